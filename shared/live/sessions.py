"""A live session from its first byte to its last, as gateways see it.

Its job is in the state `live` until the session ends; then it waits for workers as any other job does. Whoever changes
both rows locks the job's first.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from shared.db import Query
from shared.errors import MissingAudio, TooManySessions
from shared.kernel import jobs, news
from shared.kernel.orders import JobOrder
from shared.kernel.submission import new_jobs
from shared.live.age import Age
from shared.models import LiveSession, Worker
from shared.rings import Ring
from shared.states import JobState

CHANNEL = "parley_live"
"""Where listeners are told of a session that has more audio or has ended, by its id, or that one is FREE."""

FREE = "free"

QUEUE = "live"
"""What workers say they serve that listen to sessions."""

LIVE_S = 30.0
"""A worker that was not heard from for so long listens to nobody."""

MAX_ATTEMPTS = 5
"""Claims at the same place, after which nobody listens any more. The recording is transcribed anyway."""

PATIENCE = timedelta(minutes=10)
"""How long after a session's end its last words may be waited for."""

AT_ONCE = 100
SAMPLE_BYTES = 2

CONTAINER, CONTAINER_RATE = "container", 32_000
"""The encoding of a session whose bytes are a file of WebM, Ogg or MP4 that grows, and the rate at which it is kept:
its bytes are taken no faster than those of PCM of this rate. That is 512 kbit/s, the most of Opus."""

PLACES_LOCK = 0x6C697665
"""Of two that ask for the last place one gets it."""


class End(StrEnum):
    """Why a session has ended."""

    CLIENT = "client"
    IDLE = "idle"
    LONGEST = "longest"
    QUOTA = "quota"
    ABANDONED = "abandoned"
    UNDECODABLE = "undecodable"


@dataclass(frozen=True, slots=True)
class Look:
    """A session as a socket sees it, with the events behind one that it has seen. `state` is the job's.

    is_heard : no further event comes
    is_whole : because the session was heard to its end
    heard_s : behind the last final, or when it was heard to its end, how long the session is
    """

    holder: int
    seq: int
    bytes: int
    end_reason: str | None
    is_heard: bool
    is_whole: bool
    heard_s: float
    state: JobState
    events: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Hold:
    """A socket's right to append to a session. `seq` frames of `bytes` bytes are stored."""

    job_id: uuid.UUID
    holder: int
    seq: int
    bytes: int
    encoding: str
    rate: int
    created_at: datetime
    end_reason: str | None
    age: Age = field(default_factory=Age)

    @property
    def is_container(self) -> bool:
        """Whether bytes do not tell how long it is."""
        return self.encoding == CONTAINER

    def spoken_s(self, size: int) -> float:
        """How long a session of so many bytes is; of a container, at least, and no less than since it began."""
        seconds = size / (SAMPLE_BYTES * self.rate)
        return max(seconds, self.age.now_s) if self.is_container else seconds


def check_open(work: Session, owner_id: uuid.UUID, most: int) -> None:
    """Raises TooManySessions when a key has `most` already; 0 is any number. The caller has locked its quotas."""
    is_open = LiveSession.ended_at.is_(None)
    is_unheard = LiveSession.heard_at.is_(None)
    count = select(func.count().filter(is_open), func.count()).where(
        LiveSession.owner_id == owner_id, is_open | is_unheard
    )
    opened, places = work.execute(count).one()
    if most and (opened >= most or places >= 2 * most):  # sent faster than it is heard, one holds its place for long
        raise TooManySessions(f"This API key may have {most} live sessions at once.", max_live_sessions=most)


def begin(work: Session, order: JobOrder, *, encoding: str, rate: int) -> Hold:
    """A new session and its job."""
    new_jobs.submit(work, order)
    row = LiveSession(job_id=order.job_id, owner_id=order.owner_id, encoding=encoding, rate=rate)
    work.add(row)
    work.flush()
    tell_listeners(work, FREE)
    return Hold(order.job_id, row.holder, 0, 0, encoding, rate, row.created_at, None)


def tell_listeners(work: Session, news: str) -> None:
    """With the commit of this transaction: the id of a session, or FREE."""
    work.execute(select(func.pg_notify(CHANNEL, news)))


def free_places(work: Session) -> int:
    """How many more sessions the live workers that there are can listen to. Until this transaction's end nobody else
    is told."""
    work.execute(select(func.pg_advisory_xact_lock(PLACES_LOCK)))
    serving = (Worker.queues.contains([QUEUE]), ~Worker.deaf, Worker.seen_at > func.now() - timedelta(seconds=LIVE_S))
    slots = work.scalar(select(func.coalesce(func.sum(Worker.slots), 0)).where(*serving)) or 0
    count = work.scalar(select(func.count()).where(LiveSession.heard_at.is_(None))) or 0
    return int(slots) - count


def end(work: Session, job_id: uuid.UUID, reason: End, *conditions: ColumnElement[bool]) -> tuple[Ring, ...]:
    """No more audio comes: the job goes on. Nothing happens to a session that has ended, or of which the conditions
    are not true. Ring what is returned."""
    job = jobs.lock(work, job_id)
    if job is None or job.state != JobState.LIVE:
        return ()
    ended = work.scalars(
        update(LiveSession)
        .where(LiveSession.job_id == job_id, *conditions)
        .values(ended_at=func.now(), end_reason=reason)
        .returning(LiveSession.job_id)
        .execution_options(synchronize_session=False)
    )
    if not ended.all():
        return ()
    tell_listeners(work, str(job_id))
    return jobs.arrived(work, job)


# ---- what a gateway does with each frame, as single statements


def holds(held: Hold) -> ColumnElement[bool]:
    """For `end`: the session is still this socket's."""
    return LiveSession.holder == held.holder


def take(job_id: uuid.UUID, owner_id: uuid.UUID, seq: int = 0, size: int = 0) -> Query:
    """Take a session over from whatever socket had it, if `seq` frames and `size` bytes of it have arrived. No row when
    this owner has no such session."""
    return Query(_TAKE, {"job": job_id, "owner": owner_id, "seq": seq, "size": size, "news": news.CHANNEL})


def hold(job_id: uuid.UUID, row: Sequence[Any]) -> Hold:
    """What a row of `take` says. Raises MissingAudio when less has arrived."""
    holder, seq, size, encoding, rate, created_at, end_reason, age_s = row[:8]
    if holder is None:
        raise MissingAudio(f"{seq} frames have arrived, of {size} bytes.", seq=seq, bytes=size)
    return Hold(job_id, holder, seq, size, encoding, rate, created_at, end_reason, Age(age_s))


def append(held: Hold, seq: int, before: int, data: bytes) -> Query:
    """Store a chunk whose last frame is `seq`, behind the frame `before`. No row when the socket may not, or has done
    so already: `look` tells which."""
    values = {"job": held.job_id, "holder": held.holder, "seq": seq, "before": before, "data": data, "size": len(data)}
    return Query(_APPEND, values | {"channel": CHANNEL, "live": JobState.LIVE})


def look(job_id: uuid.UUID, after: int) -> Query:
    """The session, and events behind the id `after`. No row when it was deleted."""
    return Query(_LOOK, {"job": job_id, "after": after, "most": AT_ONCE})


def look_of(row: Sequence[Any]) -> Look:
    """What a row of `look` says."""
    holder, seq, size, reason, is_heard, is_whole, heard_s, state, events = row
    return Look(holder, seq, size, reason, is_heard, is_whole, heard_s, JobState(state), events or [])


def touch(held: Hold) -> Query:
    """The socket is still there."""
    return Query(_TOUCH, {"job": held.job_id, "holder": held.holder})


_TAKE = """
    WITH taken AS (
        UPDATE live_sessions SET holder = holder + 1, seen_at = now()
        WHERE job_id = %(job)s AND owner_id = %(owner)s AND seq >= %(seq)s AND bytes >= %(size)s
        RETURNING job_id, holder, seq, bytes, encoding, rate, created_at, end_reason
    )
    SELECT holder, seq, bytes, encoding, rate, created_at, end_reason,
        extract(epoch FROM now() - created_at)::float8, pg_notify(%(news)s, job_id::text)::text
    FROM taken
    UNION ALL SELECT NULL, seq, bytes, encoding, rate, created_at, end_reason, NULL, NULL FROM live_sessions
    WHERE job_id = %(job)s AND owner_id = %(owner)s AND NOT EXISTS (SELECT FROM taken)
"""
_APPEND = """
    WITH grown AS (
        UPDATE live_sessions SET seq = %(seq)s, bytes = bytes + %(size)s, seen_at = now()
        WHERE job_id = %(job)s AND holder = %(holder)s AND seq = %(before)s AND ended_at IS NULL
          AND EXISTS (SELECT FROM jobs WHERE id = job_id AND state = %(live)s)
        RETURNING job_id, bytes
    ), kept AS (
        INSERT INTO live_chunks (job_id, seq, start, data)
        SELECT job_id, %(seq)s, bytes - %(size)s, %(data)s FROM grown RETURNING job_id
    )
    SELECT pg_notify(%(channel)s, job_id::text) FROM kept
"""
_LOOK = """
    SELECT holder, seq, bytes, end_reason, heard_at IS NOT NULL, heard_at IS NOT NULL AND worker IS NOT NULL,
    resume_s, state, (
        SELECT json_agg(json_build_object('id', id, 'kind', kind, 'utterance', utterance, 'data', data) ORDER BY id)
        FROM (
            SELECT * FROM live_events WHERE job_id = live_sessions.job_id AND id > %(after)s ORDER BY id LIMIT %(most)s
        ) AS fresh
    )
    FROM live_sessions JOIN jobs ON jobs.id = job_id WHERE job_id = %(job)s
"""
_TOUCH = """
    UPDATE live_sessions SET seen_at = now() WHERE job_id = %(job)s AND holder = %(holder)s RETURNING job_id
"""
