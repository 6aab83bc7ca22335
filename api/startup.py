"""What the gateway sees to when it starts: the operator's key and the bucket. Both wait for servers still coming up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from anyio import to_thread
from sqlalchemy.exc import ProgrammingError

from shared import db
from shared.callers import keys
from shared.callers.key_strength import weakness
from shared.config import Settings
from shared.errors import DatabaseUnavailable, StorageUnavailable
from shared.intake import open_uploads
from shared.storage import Storage
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
HEAD_START_S = 5.0
"""How long the gateway waits before it answers requests anyway, so that normally the key is valid from the first on."""


def check(config: Settings) -> None:
    """End the process with a line that names `API_KEY` when its value is one that others know or guess."""
    if config.api_key and (reason := weakness(config.api_key.get_secret_value())):
        raise SystemExit(f"These settings are missing or wrong (.env.example describes all):\n  API_KEY: {reason}")


async def prepare(config: Settings, storage: Storage) -> asyncio.Task[None]:
    """Begin, and return when it is done or after HEAD_START_S. Cancel the task at shutdown.

    Raises InvalidRequest when `API_KEY` is too weak: that no waiting mends.
    """
    task = asyncio.create_task(_prepare(config, storage))
    await asyncio.wait({task}, timeout=HEAD_START_S)
    if task.done():
        task.result()
    return task


async def _prepare(config: Settings, storage: Storage) -> None:
    await asyncio.gather(
        _until_done("bucket", storage.ensure_bucket),
        _until_done("api_key", lambda: _bootstrap(config, storage)),
    )


async def _until_done(what: str, work: Callable[[], None]) -> None:
    delay_s = FIRST_DELAY_S
    while True:
        try:
            await to_thread.run_sync(work)
        except (DatabaseUnavailable, StorageUnavailable, ProgrammingError) as error:
            # ProgrammingError: the tables are not there yet
            log.warning("startup_waits", what=what, reason=type(error).__name__, next_attempt_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)
        else:
            return


def _bootstrap(config: Settings, storage: Storage) -> None:
    if config.api_key:
        with db.session() as work:
            is_valid = keys.bootstrap(work, config.api_key.get_secret_value())
        if not is_valid:
            log.error("api_key_is_revoked", advice="API_KEY was revoked by an administrator: give it a new value")
        open_uploads.erase_of_revoked(storage)  # of the value before
