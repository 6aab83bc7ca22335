"""What docs/clients.md says of the clients that are run themselves is what their drivers tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import DRIVERS, Said
from tests.clients.written import Client, clients

DRIVEN = [client for client in clients() if client.driver]


@pytest.mark.parametrize("client", DRIVEN, ids=lambda client: client.name)
def test_the_page_lists_what_was_tried(said_by: Callable[[str], tuple[Said, list[int]]], client: Client) -> None:
    """All of it, in its words."""
    report, _ = said_by(client.driver)
    assert set(client.works) == report.keys()


def test_each_driver_is_of_a_client() -> None:
    """And each client has its driver."""
    assert sorted(client.driver for client in DRIVEN) == sorted(path.name for path in Path(DRIVERS).iterdir())
