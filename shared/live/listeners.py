"""How a worker takes a live session, keeps it, and writes what it hears.

A listener's lease is of seconds, so that another goes on soon when it dies. What it writes carries the fence of its
claim; behind a newer claim it changes nothing and raises LeaseLost. A listener that takes over begins behind the last
final, so no final is said twice; what the one before had begun to say is said anew.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Float, case, delete, extract, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from shared.errors import LeaseLost
from shared.kernel import jobs, news
from shared.kernel.events import publish_heard
from shared.live import sessions
from shared.live.age import Age
from shared.live_events import Cut, Final, LiveEvent, Partial, SpeechStarted, SpeechStopped
from shared.models import Job, LiveChunk, LiveSession, LiveVoices
from shared.models import LiveEvent as Row
from shared.options import JobOptions
from shared.rings import Ring
from shared.states import TERMINAL, JobState

KINDS: dict[type[LiveEvent], str] = {
    SpeechStarted: "speech_started",
    SpeechStopped: "speech_stopped",
    Partial: "partial",
    Final: "final",
    Cut: "cut",
}

CHUNKS_AT_ONCE = 20
"""Chunks that a listener has in memory: ten seconds when they are of half a second."""

BYTES_AT_ONCE = 1 << 20
"""And of no more than so many bytes, and those of one chunk: a client may send a megabyte at once."""

STOPPED = (*(state for state in TERMINAL if state != JobState.DONE), JobState.CANCELLING)
"""Whoever cancels a task does not want to hear more of it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listener goes on: behind so many seconds of the session, with this utterance and language, and with the
    voices that it tells apart."""

    utterance: int = 0
    resume_s: float = 0.0
    language: str | None = None
    voices: bytes | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A session to listen to, from a place on. `event` is the newest that is written.

    attempt : which claim of the place it is
    seq : frames that had arrived
    """

    job_id: uuid.UUID
    fence: int
    encoding: str
    rate: int
    event: int
    place: Place
    options: JobOptions
    request_id: str | None
    age: Age
    attempt: int = 1
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of the recording; `start` is its first byte. An empty one asks for the utterance's end."""

    seq: int
    start: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """Some chunks of a session.

    is_last : there are none, and none will come
    bytes : of all that has arrived
    """

    chunks: list[Chunk]
    is_last: bool
    bytes: int


def claim(work: Session, worker: str, lease_s: float) -> Claim | None:
    """Take the oldest session that nobody listens to, if there is one."""
    is_free = LiveSession.lease_until.is_(None) | (LiveSession.lease_until < func.now())
    is_waited_for = LiveSession.ended_at.is_(None) | (LiveSession.ended_at > func.now() - sessions.PATIENCE)
    waiting = (
        select(LiveSession, extract("epoch", func.now() - LiveSession.created_at).cast(Float))
        .join(Job, Job.id == LiveSession.job_id)
        .where(
            LiveSession.heard_at.is_(None),
            is_free,
            is_waited_for,
            LiveSession.attempt < sessions.MAX_ATTEMPTS,
            Job.state.not_in(STOPPED),
        )
        .order_by(LiveSession.job_id)
        .limit(1)
        .with_for_update(of=LiveSession, skip_locked=True)
    )
    oldest = work.execute(waiting).one_or_none()
    if oldest is None:
        return None
    row, age_s = oldest
    row.fence += 1
    row.attempt += 1
    row.worker, row.lease_until = worker, func.now() + timedelta(seconds=lease_s)
    work.execute(delete(Row).where(Row.job_id == row.job_id, Row.utterance >= row.utterance))
    work.flush()
    job = work.get_one(Job, row.job_id)
    options = JobOptions.from_row(job.options)
    voices = work.scalar(select(LiveVoices.voices).where(LiveVoices.job_id == row.job_id))
    place = Place(row.utterance, row.resume_s, row.language, voices)
    fields = (row.job_id, row.fence, row.encoding, row.rate, row.event, place, options, job.request_id)
    return Claim(*fields, Age(age_s), row.attempt, row.seq)


def beat(work: Session, claims: Collection[Claim], lease_s: float) -> set[uuid.UUID]:
    """Renew the leases; the sessions that are still these claims'."""
    held = [(each.job_id, each.fence) for each in claims]
    renewed = (
        update(LiveSession)
        .where(tuple_(LiveSession.job_id, LiveSession.fence).in_(held), LiveSession.heard_at.is_(None))
        .where(Job.id == LiveSession.job_id, Job.state.not_in(STOPPED))
        .values(lease_until=func.now() + timedelta(seconds=lease_s))
        .returning(LiveSession.job_id)
        .execution_options(synchronize_session=False)
    )
    return set(work.scalars(renewed)) if held else set()


def record(
    work: Session, claimed: Claim, events: Sequence[LiveEvent], before: int, place: Place, lease_s: float
) -> int:
    """Write events behind the event `before`, and where another listener would now go on. Gives the id of the newest.
    Safe to repeat after a COMMIT whose fate is unknown. Raises LeaseLost.
    """
    last = before + len(events)
    finals = [event for event in events if isinstance(event, Final)]
    if finals:  # before the session's row, as whoever ends the session does
        jobs.lock(work, claimed.job_id)
    lease_until = func.now() + timedelta(seconds=lease_s)
    # what is said anew at the same place is no progress: its sound may be what no listener gets through
    attempt = case((LiveSession.resume_s < place.resume_s, 1), else_=LiveSession.attempt)
    changes = {"event": last, "lease_until": lease_until, "attempt": attempt, **_columns(place)}
    if not _change(work, claimed, LiveSession.event == before, **changes):
        if _change(work, claimed, LiveSession.event == last, lease_until=lease_until):
            return last
        raise LeaseLost
    if finals and place.voices is not None:  # by nothing else do they change
        voices = upsert(LiveVoices).values(job_id=claimed.job_id, voices=place.voices)
        work.execute(voices.on_conflict_do_update(index_elements=["job_id"], set_={"voices": place.voices}))
    spoken = {event.utterance for event in events if isinstance(event, Partial | Final)}
    work.execute(delete(Row).where(Row.job_id == claimed.job_id, Row.kind == KINDS[Partial], Row.utterance.in_(spoken)))
    work.execute(insert(Row), [_row(claimed.job_id, number, event) for number, event in enumerate(events, before + 1)])
    utterances = [{"start": final.start, "end": final.end, "text": _clean(final.text)} for final in finals]
    publish_heard(work, claimed.job_id, utterances)
    news.tell(work, claimed.job_id)
    return last


def move(work: Session, claimed: Claim, place: Place) -> None:
    """Where another listener would now go on, after a long silence. Raises LeaseLost."""
    if not _change(work, claimed, attempt=1, **_columns(place)):
        raise LeaseLost


def get_past(work: Session, claimed: Claim) -> None:
    """All is heard that had arrived with the claim, and the session goes on: with a newer frame, or with none so far.
    So it is past whatever those had heard that failed at the place before, and their attempts count no more. Of a
    session that had ended they may have failed at its last pass, so nobody gets past before that. Raises LeaseLost."""
    if not _change(work, claimed, attempt=1):
        raise LeaseLost


def give_back(work: Session, claims: Collection[Claim], *, failed: bool = False) -> None:
    """Let go of sessions, so that another worker goes on at once. Who still writes for one of them finds it lost.

    failed : the attempt counts, and the next one waits for two seconds, four, eight, up to a minute
    """
    held = [(each.job_id, each.fence) for each in claims]
    pause = func.make_interval(0, 0, 0, 0, 0, 0, func.least(60, func.power(2, LiveSession.attempt)))
    freed = (
        update(LiveSession)
        .where(tuple_(LiveSession.job_id, LiveSession.fence).in_(held), LiveSession.heard_at.is_(None))
        .values(
            fence=LiveSession.fence + 1,
            attempt=LiveSession.attempt - (0 if failed else 1),
            worker=None,
            lease_until=func.now() + pause if failed else None,
        )
        .returning(LiveSession.job_id)
        .execution_options(synchronize_session=False)
    )
    if held and work.scalars(freed).all() and not failed:
        sessions.tell_listeners(work, sessions.FREE)


def finish(work: Session, claimed: Claim, heard_s: float | None = None, *, is_whole: bool = True) -> None:
    """The session was heard to its end, which is at `heard_s`; or not, and nobody will. Raises LeaseLost."""
    values: dict[str, Any] = {} if heard_s is None else {"resume_s": heard_s}
    values |= {} if is_whole else {"worker": None}
    if not _change(work, claimed, heard_at=func.now(), lease_until=None, **values):
        raise LeaseLost
    work.execute(delete(LiveVoices).where(LiveVoices.job_id == claimed.job_id))
    news.tell(work, claimed.job_id)


def end(work: Session, claimed: Claim, reason: sessions.End) -> tuple[Ring, ...]:
    """Nobody can hear the session: it ends here. Ring what is returned. Raises LeaseLost."""
    rings = sessions.end(work, claimed.job_id, reason, LiveSession.fence == claimed.fence)
    finish(work, claimed, is_whole=False)
    return rings


def is_waited_for(work: Session, job_id: uuid.UUID) -> bool:
    """Whether it is not too long since the session's end."""
    is_open, is_fresh = LiveSession.ended_at.is_(None), LiveSession.ended_at > func.now() - sessions.PATIENCE
    return bool(work.scalar(select(is_open | is_fresh).where(LiveSession.job_id == job_id)))


def chunks(work: Session, job_id: uuid.UUID, after: int, most: int = CHUNKS_AT_ONCE) -> Arrived:
    """Chunks behind the frame `after`, at least one where there is any."""
    session = select(LiveSession.ended_at, LiveSession.bytes).where(LiveSession.job_id == job_id)
    ended_at, size = work.execute(session).one_or_none() or (None, 0)
    following = (LiveChunk.job_id == job_id, LiveChunk.seq > after)
    next_start = select(LiveChunk.start).where(*following).order_by(LiveChunk.seq).limit(1).scalar_subquery()
    query = select(LiveChunk.seq, LiveChunk.start, LiveChunk.data)
    query = query.where(*following, LiveChunk.start < next_start + BYTES_AT_ONCE)
    rows = work.execute(query.order_by(LiveChunk.seq).limit(most)).all()
    return Arrived([Chunk(*row) for row in rows], ended_at is not None and not rows, size)


def frame_before(work: Session, job_id: uuid.UUID, start: int) -> int:
    """The frame behind which the chunk with the byte `start` begins. Before the first byte there is none: frames that
    cut there are heard."""
    if start == 0:
        return 0
    query = select(func.max(LiveChunk.seq)).where(LiveChunk.job_id == job_id, LiveChunk.start <= start)
    holding = work.scalar(query)
    if holding is None:
        return 0
    return work.scalar(select(func.max(LiveChunk.seq)).where(LiveChunk.job_id == job_id, LiveChunk.seq < holding)) or 0


def _columns(place: Place) -> dict[str, Any]:
    """In the session's row, so without voices."""
    return {"utterance": place.utterance, "resume_s": place.resume_s, "language": place.language}


def _change(work: Session, claimed: Claim, *conditions: Any, **values: Any) -> bool:
    """The fenced write; whether it took place."""
    is_held = (LiveSession.job_id == claimed.job_id, LiveSession.fence == claimed.fence, LiveSession.heard_at.is_(None))
    changed = work.execute(
        update(LiveSession).where(*is_held, *conditions).values(**values).execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount)  # type: ignore[attr-defined]


def _row(job_id: uuid.UUID, number: int, event: LiveEvent) -> dict[str, Any]:
    data = asdict(event)
    utterance = data.pop("utterance")
    return {"job_id": job_id, "id": number, "kind": KINDS[type(event)], "utterance": utterance, "data": _clean(data)}


def _clean(value: Any) -> Any:
    """Without NUL, which jsonb does not know."""
    match value:
        case str():
            return value.replace("\0", "")
        case dict():
            return {name: _clean(each) for name, each in value.items()}
        case list() | tuple():
            return [_clean(each) for each in value]
    return value
