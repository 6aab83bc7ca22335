"""Whether a session may begin, or be taken over."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from anyio import to_thread
from starlette.requests import HTTPConnection
from uuid_utils.compat import uuid7

from api import limits
from api.auth import identify
from api.live.bounds import check_room
from api.live.request import Wish
from api.postgres.reader import reader
from shared.abilities import abilities
from shared.callers import quotas
from shared.callers.keys import Caller
from shared.config import Settings
from shared.db import session
from shared.errors import ModelNotAllowed, NotFound, ServiceBusy, TooManySessions
from shared.kernel import fleet
from shared.kernel.orders import JobOrder, LiveSource
from shared.live import sessions
from shared.live.sessions import Hold

RETRY_AFTER_S = 10

_silent: Counter[uuid.UUID] = Counter()


async def caller(connection: HTTPConnection, key: str | None) -> Caller:
    """Raises Unauthorized, Forbidden, RateLimited and DatabaseUnavailable."""

    def look() -> Caller:
        with session() as work:
            return identify(work, connection, key, "transcribe")

    return await to_thread.run_sync(look)


@contextmanager
def silence(who: Caller, most: int) -> Iterator[None]:
    """Around the time in which a socket is open and its session has not begun: it is no session that could be counted.

    Raises TooManySessions when a key has `most` such sockets at this gateway's process; 0 is any number.
    """
    if most and _silent[who.id] >= most:
        raise TooManySessions(f"This API key has {most} sockets open without audio.", max_live_sessions=most)
    _silent[who.id] += 1
    try:
        yield
    finally:
        _silent[who.id] -= 1
        if not _silent[who.id]:
            del _silent[who.id]


async def hold(
    who: Caller, wish: Wish, config: Settings, request_id: str, *, job_id: uuid.UUID | None = None, offset: int = 0
) -> Hold:
    """The session that was asked for. A new one may have its id from the caller; one that goes on has `offset` bytes.

    Raises what `limits.admit` raises, TooManySessions, ServiceBusy when no live worker has a place, NotFound for a
    session of somebody else, MissingAudio, ModelNotInstalled, StorageFull, and DatabaseUnavailable. A session that goes
    on stays with the socket that has it unless it can go on there.
    """
    await check_room()
    if wish.session is None:
        return await to_thread.run_sync(_begin, who, wish, config, request_id, job_id or uuid7())
    row = await reader.first_row(sessions.take(wish.session, who.id, wish.stream.seq or 0, offset))
    if row is None:
        raise NotFound("There is no such session.")
    return sessions.hold(wish.session, row)


def _check_model(wish: Wish, config: Settings) -> None:
    """Raises ModelNotAllowed for a model whose engine cannot listen."""
    name = config.live_model or wish.spec.options.model
    if name not in ("auto", config.whisper_model, *config.allowed_models):  # LIVE_MODEL, which no worker would load
        raise ModelNotAllowed(f"This server does not offer the model {name[:100]!r}.", parameter="model")
    if name != "auto" and abilities(name).engine == "onnx":
        raise ModelNotAllowed("A live session needs a Whisper model, its own or LIVE_MODEL.", parameter="model")


def _begin(who: Caller, wish: Wish, config: Settings, request_id: str, job_id: uuid.UUID) -> Hold:
    _check_model(wish, config)
    with session() as work:
        limits.admit(work, who)
        quotas.lock(work, who.id)
        sessions.check_open(work, who.id, config.max_live_sessions)
        if sessions.free_places(work) <= 0:
            raise ServiceBusy("No live worker has a place for a session.", retry_after_s=RETRY_AFTER_S)
        held = sessions.begin(
            work,
            JobOrder(
                job_id=job_id,
                owner_id=who.id,
                source=LiveSource(_stand_in(job_id)),
                options=wish.spec.options,
                priority=wish.spec.priority,
                notes=wish.spec.notes,
                request_id=request_id,
            ),
            encoding=wish.stream.encoding,
            rate=sessions.CONTAINER_RATE if wish.stream.encoding == sessions.CONTAINER else wish.stream.rate,
        )
        fleet.check_model(work, job_id, wish.spec.options.model, config)
        if wish.spec.notes.webhook_url or quotas.has_webhooks(work, who.id):
            quotas.check_deliveries(work, who.id, config)
    return held


def _stand_in(job_id: uuid.UUID) -> str:
    return hashlib.sha256(f"live {job_id}".encode()).hexdigest()
