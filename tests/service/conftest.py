"""What the tests of a folder share: a gateway with default settings, beside those that some start for themselves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.gateway import Caller, Gateway, gateway_on


@pytest.fixture(scope="session")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """No test leaves it stopped, or with other limits."""
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment)) as running:
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    """A key of its own for each test."""
    new_caller = gateway.caller()
    with new_caller.http:
        yield new_caller
