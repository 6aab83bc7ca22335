"""What is new of all tasks of a key: looked up once a second for each stream, however many tasks there are."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from anyio import CapacityLimiter, to_thread
from sqlalchemy import func, select, union
from sqlalchemy.orm import Session

from api import waiting
from api.revocation import until_revoked
from shared.callers import browser_sessions
from shared.db import session
from shared.errors import DatabaseUnavailable, TooManyStreams
from shared.kernel.events import Standing, look
from shared.models import Erasure, Job
from shared.states import TERMINAL, JobState

INTERVAL_S = 1.0

REST = 4
"""A stream whose looks take long looks more rarely: a fifth of one connection at most."""

THREADS = CapacityLimiter(4)
"""All streams of a process look with so many threads, so that none is taken from other requests."""

AT_EACH_END = 250
"""Of the unfinished tasks in each state so many of the oldest, which are next, and of the newest are told of. Others
are told of when they get there, and when they end."""

OVERLAP = timedelta(seconds=60)
"""A transaction that began so long before a look may be committed behind it; no statement may take longer."""

MOST_OVER = 2000
"""What ended, and what was deleted, that one look tells of: the latest."""

MAX_STREAMS = 100
"""Of one key in this process."""

FOLLOWS_NO_SEGMENTS = 2**62
LIVE = [state for state in JobState if state not in TERMINAL]


@dataclass(frozen=True, slots=True)
class Change:
    """Where a task stands now; None if it was deleted."""

    task_id: uuid.UUID
    standing: Standing | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What one look has found. `position` is where a stream is resumed: milliseconds since 1970, by the database."""

    position: int
    changes: tuple[Change, ...]


@dataclass(slots=True)
class Feed:
    """What a stream has been told. `position` is that of its last event, or None for one that begins.

    token : of the session whose stream it is; None for one that a key was sent for
    """

    owner_id: uuid.UUID
    position: int | None
    token: str | None = None
    _session: uuid.UUID | None = None
    _standings: dict[uuid.UUID, Standing | None] = field(default_factory=dict)
    _over: dict[uuid.UUID, float] = field(default_factory=dict)

    def look(self) -> Changes:
        """Read what is new. Raises DatabaseUnavailable, and Unauthorized when the session has ended."""
        with session(is_reading=True) as work:
            self._check_session(work)
            now: datetime = work.execute(select(func.clock_timestamp())).scalar_one()
            since = _moment(self.position) if self.position is not None else now
            ids, deleted = self._changed(work, since - OVERLAP)
            standings = look(work, frozenset(ids), dict.fromkeys(ids, FOLLOWS_NO_SEGMENTS)).standings
        self.position = int(now.timestamp() * 1000)
        return Changes(self.position, tuple(self._news(standings, deleted)))

    def _check_session(self, work: Session) -> None:
        if self.token and self._session is None:
            self._session = browser_sessions.family(work, self.token)
        elif self._session:
            browser_sessions.check(work, self._session)

    def _changed(self, work: Session, since: datetime) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
        own = Job.owner_id == self.owner_id
        ends = [
            select(Job.id).where(own, Job.state == state).order_by(order).limit(AT_EACH_END).subquery().select()
            for state in LIVE
            for order in (Job.id, Job.id.desc())
        ]
        ended = select(Job.id).where(own, Job.finished_at > since).order_by(Job.finished_at.desc()).limit(MOST_OVER)
        ids = set(work.scalars(union(*ends, ended.subquery().select())))
        ids |= {task_id for task_id, standing in self._standings.items() if standing and not standing.has_ended}
        erasures = select(Erasure.job_id).where(
            Erasure.owner_id == self.owner_id, Erasure.created_at > since, Erasure.created_at <= func.now()
        )
        return ids, set(work.scalars(erasures.order_by(Erasure.created_at.desc()).limit(MOST_OVER)))

    def _news(self, standings: Mapping[uuid.UUID, Standing], deleted: set[uuid.UUID]) -> list[Change]:
        unfinished = {task_id for task_id, standing in self._standings.items() if standing and not standing.has_ended}
        now: dict[uuid.UUID, Standing | None] = {**dict.fromkeys(deleted | unfinished), **standings}
        changes = [
            Change(task_id, standing)
            for task_id, standing in sorted(now.items())
            if task_id not in self._standings or self._standings[task_id] != standing
        ]
        self._standings |= now
        self._forget()
        return changes

    def _forget(self) -> None:
        """What is over is not read any more once it is older than the overlap."""
        moment = time.monotonic()
        for task_id, standing in self._standings.items():
            if standing is None or standing.has_ended:
                self._over.setdefault(task_id, moment)
        limit = moment - 2 * OVERLAP.total_seconds()
        for task_id in [task_id for task_id, since in self._over.items() if since < limit]:
            del self._over[task_id]
            self._standings.pop(task_id, None)


_streams: Counter[uuid.UUID] = Counter()


async def follow(feed: Feed, heartbeat_s: float) -> AsyncIterator[Changes | None]:
    """All news until the gateway is to end; None whenever `heartbeat_s` pass without any.

    Raises DatabaseUnavailable when there is no first news (later a database that is away is waited for), Unauthorized
    when the key is revoked or the session has ended, and TooManyStreams.
    """
    if _streams[feed.owner_id] >= MAX_STREAMS:
        raise TooManyStreams(f"This API key follows all of its tasks {MAX_STREAMS} times.", max_streams=MAX_STREAMS)
    _streams[feed.owner_id] += 1
    try:
        async with aclosing(_news(feed, heartbeat_s)) as news:
            async for changes in news:
                yield changes
    finally:
        _streams[feed.owner_id] -= 1
        if not _streams[feed.owner_id]:
            del _streams[feed.owner_id]


async def _news(feed: Feed, heartbeat_s: float) -> AsyncGenerator[Changes | None]:
    yield await _look(feed)
    silent_since = time.monotonic()
    pause_s = INTERVAL_S
    while not waiting.is_ending():
        async with until_revoked(feed.owner_id):
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            try:
                changes = await _look(feed)
            except DatabaseUnavailable:
                continue
        pause_s = max(INTERVAL_S, REST * (time.monotonic() - began))
        if changes.changes:
            silent_since = time.monotonic()
            yield changes
        elif time.monotonic() - silent_since >= heartbeat_s:
            silent_since = time.monotonic()
            yield None


async def _look(feed: Feed) -> Changes:
    return await to_thread.run_sync(partial(feed.look), limiter=THREADS)


def _moment(position: int) -> datetime:
    return datetime.fromtimestamp(position / 1000, UTC)
