"""Finished work is not lost to a server that is away for a while: what hands it in is tried again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.orm import Session

from shared.db import session
from shared.errors import DatabaseUnavailable, ParleyError, StorageFull, StorageUnavailable
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

DATABASE_S = 300
"""How long finished work waits for a database that is away."""

STORAGE_S = 60
"""How long it waits for an object store: a restart of that costs no work that took hours. Behind that, and where there
is no room, it is done again later, as the worker has other jobs."""

PAUSE_S = 1


def store(put: Callable[[], int], check: Callable[[], None]) -> int:
    """What `put` returns. `check` may end the wait by what it raises.

    Raises StorageUnavailable after a minute, and StorageFull at once.
    """
    return _again(put, StorageUnavailable, STORAGE_S, check, "storage_away")


def change(make: Callable[[Session], T], check: Callable[[], None] = lambda: None) -> T:
    """What `make` returns, committed. `check` may end the wait by what it raises.

    Raises DatabaseUnavailable after five minutes.
    """

    def transaction() -> T:
        with session() as opened:
            return make(opened)

    return _again(transaction, DatabaseUnavailable, DATABASE_S, check, "database_away")


def _again(
    attempt: Callable[[], T], away: type[ParleyError], patience_s: float, check: Callable[[], None], event: str
) -> T:
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return attempt()
        except StorageFull:
            raise
        except away:
            if time.monotonic() > give_up_at:
                raise
        log.warning(event)
        time.sleep(PAUSE_S)
        check()
