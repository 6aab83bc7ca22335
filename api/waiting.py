"""Waiting for jobs to end, and following them, whatever the number of waiters.

One task per gateway process looks into the database for all of them, with one thread and one connection. A waiter is
an entry in a set: it holds neither. The task looks at once for those whose job is rung (api/postgres/listener.py), and
once in a while for all: for progress, which is not rung, and because a ring may be lost.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from anyio import CapacityLimiter, to_thread

from api.revocation import until_revoked
from shared.db import session
from shared.errors import DatabaseUnavailable, NotFound
from shared.kernel.events import Look, SegmentEvent, Standing, look
from shared.states import JobState
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

SHORTEST_INTERVAL_S = 0.25
LONGEST_INTERVAL_S = 1.0
GROWTH = 1.1
"""While nothing happens the interval grows by a tenth each time: an end is seen late by a tenth of the wait at most."""

REST = 4
"""Between two looks the poller rests four times as long as the last one took: a fifth of one core at most."""

FIRST_NEWS_TIMEOUT_S = 10.0
"""How long a follower waits for the first news, which only a database that does not answer keeps back."""

GAP_S = 0.005
"""Those that come, or are rung, this close together share a look."""


@dataclass(frozen=True, slots=True)
class News:
    """What changed for a follower: where the job stands, and the segments that were heard since the last news."""

    standing: Standing
    segments: tuple[SegmentEvent, ...]


class GatewayEnds(Exception):
    """This process is to end; who can wait elsewhere is let go."""


async def until_ended(
    job_id: uuid.UUID, owner_id: uuid.UUID, timeout_s: float, *, stays: bool = False
) -> JobState | None:
    """Wait for a job; its terminal state, or None when it has none after `timeout_s`, or when the gateway is to end.

    stays : wait on all the same, for a client that could not come again

    Raises NotFound when the owner has no such job or deletes it meanwhile, and Unauthorized when the owner's key is
    revoked. A database that is away is waited for.
    """
    try:
        async with asyncio.timeout(timeout_s):
            with _poller.waiter(job_id, owner_id, stays=stays) as waiter:
                while True:
                    async with until_revoked(owner_id):
                        news = await waiter.next()
                    if news.standing.has_ended:
                        return news.standing.state
    except (TimeoutError, GatewayEnds):
        return None


async def until_probed(job_id: uuid.UUID, owner_id: uuid.UUID, timeout_s: float) -> JobState | None:
    """Wait until a job's recording was looked into; its terminal state, or None while it goes on or after `timeout_s`.

    Raises NotFound when the owner has no such job or deletes it meanwhile.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            with _poller.waiter(job_id, owner_id, after=0, stays=True) as waiter:
                while not (standing := (await waiter.next()).standing).is_probed:
                    pass
                return standing.state if standing.has_ended else None
    return None


async def follow(
    job_id: uuid.UUID, owner_id: uuid.UUID, *, after: int, heartbeat_s: float, stays: bool = False
) -> AsyncIterator[News | None]:
    """All news of a job until its end, from behind the event `after` on; None whenever `heartbeat_s` pass without any.

    stays : follow on also when the gateway is to end, for a client that could not resume

    Raises NotFound when the owner has no such job or deletes it meanwhile, DatabaseUnavailable when there is no first
    news (later a database that is away is waited for), Unauthorized when the owner's key is revoked, and behind the
    first news GatewayEnds.
    """
    with _poller.waiter(job_id, owner_id, after, stays=stays) as waiter:
        try:
            async with asyncio.timeout(FIRST_NEWS_TIMEOUT_S), until_revoked(owner_id):
                news = await waiter.next()
        except TimeoutError as error:
            raise DatabaseUnavailable("The database does not answer; try again in a moment.") from error
        yield news
        while not news.standing.has_ended:
            try:
                async with asyncio.timeout(heartbeat_s), until_revoked(owner_id):
                    news = await waiter.next()
            except TimeoutError:
                yield None
            else:
                yield news


def ring(job_id: uuid.UUID | None) -> None:
    """A job has news, or None: any may have. Call in the event loop."""
    _poller.ring(job_id)


def let_go() -> None:
    """From now on nobody waits here who can do so elsewhere. Call in the event loop."""
    _poller.let_go()


def is_ending() -> bool:
    """Whether nobody waits here any more who can do so elsewhere."""
    return _poller.lets_go


class Waiter:
    """One who waits for a job. With `after` also one who follows it, from that event id on."""

    def __init__(self, job_id: uuid.UUID, owner_id: uuid.UUID, after: int | None, *, stays: bool) -> None:
        self.job_id, self.owner_id, self.after, self.stays = job_id, owner_id, after, stays
        self.is_rung = True  # for its first look
        self._standing: Standing | None = None
        self._news: News | NotFound | None = None
        self._arrived = asyncio.Event()

    @property
    def is_hungry(self) -> bool:
        """Whether the last news were taken. Until then nothing is read for this waiter: it is never behind by more."""
        return self._news is None

    async def next(self) -> News:
        """The next news; the first come at once. Raises NotFound, and behind the first news GatewayEnds."""
        await self._arrived.wait()
        self._arrived.clear()
        news, self._news = self._news, None
        if news is None:
            raise GatewayEnds
        if isinstance(news, NotFound):
            raise news
        return news

    def let_go(self) -> None:
        """End the wait when the news that there are have been taken."""
        if self._standing is not None and not self.stays:
            self._arrived.set()

    def tell(self, snapshot: Look) -> bool:
        """Keep what is new in `snapshot`; whether anything was."""
        standing = snapshot.standings.get(self.job_id)
        if standing is None or standing.owner_id != self.owner_id:
            self._news = NotFound("There is no such task.")
        else:
            segments = self._unheard(snapshot)
            if standing.has_ended and self.after is not None and not snapshot.is_whole:
                # its end is told with the last of its segments
                standing = self._standing or Standing(self.owner_id, JobState.PROCESSING)
            if standing == self._standing and not segments:
                return False
            self._news, self._standing = News(standing, segments), standing
        self._arrived.set()
        return True

    def _unheard(self, snapshot: Look) -> tuple[SegmentEvent, ...]:
        if self.after is None:
            return ()
        after = self.after
        segments = tuple(one for one in snapshot.segments.get(self.job_id, ()) if one.id > after)
        self.after = segments[-1].id if segments else self.after
        return segments


class Poller:
    """The one that looks. It runs while there are waiters."""

    def __init__(self, shortest_s: float = SHORTEST_INTERVAL_S, longest_s: float = LONGEST_INTERVAL_S) -> None:
        self._shortest_s, self._longest_s = shortest_s, longest_s
        self._waiters: set[Waiter] = set()
        self._task: asyncio.Task[None] | None = None
        self._bell = asyncio.Event()
        self.lets_go = False

    def let_go(self) -> None:
        """End the waits that there are and will be, but those that stay."""
        self.lets_go = True
        for waiter in self._waiters:
            waiter.let_go()

    def ring(self, job_id: uuid.UUID | None) -> None:
        """Look at once for those who wait for the job; with None for all."""
        rung = [waiter for waiter in self._waiters if job_id in (None, waiter.job_id)]
        for waiter in rung:
            waiter.is_rung = True
        if rung:
            self._bell.set()

    @contextmanager
    def waiter(
        self, job_id: uuid.UUID, owner_id: uuid.UUID, after: int | None = None, *, stays: bool
    ) -> Iterator[Waiter]:
        """Register for the time of the block."""
        waiter = Waiter(job_id, owner_id, after, stays=stays)
        self._waiters.add(waiter)
        if self._task is None or self._task.done():
            self._bell = asyncio.Event()  # of this event loop
            self._task = asyncio.create_task(self._run(), name="waiting")
        self._bell.set()
        try:
            yield waiter
        finally:
            self._waiters.discard(waiter)

    async def _run(self) -> None:
        thread = CapacityLimiter(1)
        interval_s, due_at = self._shortest_s, 0.0
        while self._waiters:
            self._bell.clear()
            began = time.monotonic()
            is_due = began >= due_at
            hungry = [waiter for waiter in self._waiters if waiter.is_hungry and (is_due or waiter.is_rung)]
            for waiter in hungry:
                waiter.is_rung = False
            try:
                snapshot = await to_thread.run_sync(partial(_look, hungry), limiter=thread)
            except Exception as error:  # whatever is wrong may be right the next time, and nobody else would look
                is_foreseen = isinstance(error, DatabaseUnavailable)
                log.warning("look_failed", reason=type(error).__name__, exc_info=not is_foreseen)
                await asyncio.sleep(LONGEST_INTERVAL_S)
                due_at = 0.0
                continue
            now = time.monotonic()
            rest_s = min(REST * (now - began), LONGEST_INTERVAL_S)
            changes = [waiter.tell(snapshot) for waiter in hungry]
            if self.lets_go:
                for waiter in hungry:
                    waiter.let_go()
            if any(changes):
                interval_s = self._shortest_s
            elif is_due:
                interval_s = min(interval_s * GROWTH, self._longest_s)
            due_at = now + interval_s if is_due else min(due_at, now + interval_s)
            await asyncio.sleep(max(GAP_S, rest_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due_at - time.monotonic())):
                    await self._bell.wait()


def _look(waiters: list[Waiter]) -> Look:
    after: dict[uuid.UUID, int] = {}
    for waiter in waiters:
        if waiter.after is not None:
            after[waiter.job_id] = min(waiter.after, after.get(waiter.job_id, waiter.after))
    with session() as work:
        return look(work, frozenset(waiter.job_id for waiter in waiters), after)


_poller = Poller()
