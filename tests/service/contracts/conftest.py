"""A gateway for each module, a caller for each test, and a recording whose transcript is known."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import Storage
from tests.service.contracts.openai_calls import finish_rest
from tests.service.gateway import Caller, Gateway, gateway_on


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), Storage(environment)) as running:
        yield running


@pytest.fixture
def caller(gateway: Gateway) -> Iterator[Caller]:
    made = gateway.caller()
    with made.http:
        yield made


@pytest.fixture
def known(gateway: Gateway, caller: Caller) -> bytes:
    """A recording whose transcript is known: as it is, with speakers, and in English."""
    content = os.urandom(64)
    for fields in ({}, {"diarization": "true"}, {"task": "translate"}):
        finish_rest(caller.task(content, **fields), gateway, caller)
    return content
