"""What the followers of jobs are told: where a job stands, read from its rows, and the segments heard so far.

Only segments are kept as events, and only until the sweep removes them. A job's status and progress are in its own
rows, so that following costs the kernel nothing and the end of a job is told at any time.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Uuid, any_, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from shared.claims import Claim
from shared.db import first_row
from shared.kernel import news
from shared.kernel.job_views import StageRow, Waiting, detail, eta, percent, places, waits_for
from shared.kernel.jobs import lock
from shared.kernel.leases import holds
from shared.kernel.shards import SHARDED
from shared.models import Event, Job, Stage
from shared.stages import PROBE, STAGES, shows_words
from shared.states import SETTLED, TERMINAL, JobState
from shared.transcript import Segment

SEGMENT = "segment"

HEARD = "live"
"""What was heard while the recording arrived: finals of a live session."""

HELD = "held"
"""Segments of a shard, by number, that nobody is told until the shards before it are done: readers hear in order."""

KEPT = timedelta(hours=1)
"""How long after a job's end its segments can still be followed. Later the transcript has them anyway."""

MAX_SEGMENTS = 2000
"""Segments read in one look: about 2 MB with their words. Whoever is behind gets the rest from the next look."""


# ---- telling


def publish(session: Session, claim: Claim, segments: Sequence[Segment], *, ended: bool = False) -> None:
    """Show finished segments to followers, in the name of a claim: a stale one shows nothing.

    Readers never see a part of the recording twice: what lies before the last published segment is left out, because
    an earlier attempt, or an earlier COMMIT whose answer was lost, has published it. The job's row is locked, so that
    the ids of its events are in the order in which readers can see them.

    The segments of a shard are held back while an earlier shard is unfinished. The claim that has `ended` shows them,
    in the transaction that completes it. Words that a later stage of the job changes are shown to nobody.
    """
    if not shows_words(claim.stage, claim.options.model_dump()):
        return
    is_shard = claim.stage == SHARDED and any(claim_input.meta.get("shards") for claim_input in claim.inputs)
    if not (segments or (ended and is_shard)) or lock(session, claim.job_id) is None or not holds(session, claim):
        return
    unfinished = _unfinished(session, claim) if is_shard else {claim.shard}
    kind = SEGMENT if claim.shard == min(unfinished) else f"{HELD} {claim.shard}"
    last = session.scalar(
        select(Event.data).where(Event.job_id == claim.job_id, Event.kind == kind).order_by(Event.id.desc()).limit(1)
    ) or {"start": 0.0, "end": 0.0}
    fresh = [
        {"job_id": claim.job_id, "kind": kind, "data": _data(segment)}
        for segment in segments
        if segment.start >= last["end"] and (segment.start, segment.end) != (last["start"], last["end"])
    ]
    if fresh:
        session.execute(insert(Event), fresh)
    if ended and kind == SEGMENT:
        _show(session, claim, min(unfinished - {claim.shard}, default=None))
    if kind == SEGMENT:
        news.tell(session, claim.job_id)


def publish_heard(session: Session, job_id: uuid.UUID, finals: Sequence[Mapping[str, Any]]) -> None:
    """Show finals of a live session to the followers of its job, whose row the caller has locked. Each has `start`,
    `end` and `text`."""
    if finals:
        session.execute(insert(Event), [{"job_id": job_id, "kind": HEARD, "data": dict(final)} for final in finals])


def _unfinished(session: Session, claim: Claim) -> set[int]:
    """The shards, this claim's among them, that somebody still has to finish."""
    conditions = (Stage.job_id == claim.job_id, Stage.name == claim.stage, Stage.state.not_in(SETTLED))
    return set(session.scalars(select(Stage.shard).where(*conditions)))


def _show(session: Session, claim: Claim, next_one: int | None) -> None:
    """What was held back behind this claim's shard, up to the `next_one` that is unfinished and what it has said."""
    conditions = (Event.job_id == claim.job_id, Event.kind.startswith(f"{HELD} "))
    rows = session.execute(select(Event.id, Event.kind, Event.data).where(*conditions).order_by(Event.id)).all()
    ready = sorted((int(kind.removeprefix(HELD)), number, data) for number, kind, data in rows)
    ready = [row for row in ready if next_one is None or row[0] <= next_one]
    if ready:
        entries = [{"job_id": claim.job_id, "kind": SEGMENT, "data": data} for _, _, data in ready]
        session.execute(insert(Event), entries)
        session.execute(delete(Event).where(Event.id.in_([number for _, number, _ in ready])))


def _data(segment: Segment) -> dict[str, Any]:
    words = [[_text(word.text), word.confidence] for word in segment.words]
    return {
        "start": segment.start,
        "end": segment.end,
        "text": _text(segment.text),
        **({"words": words} if words else {}),
    }


def _text(text: str) -> str:
    return text.replace("\0", "")  # jsonb knows no NUL


def sweep(session: Session) -> None:
    """Forget the events of jobs that ended long ago."""
    # ids begin with the time of submission, so that the younger jobs are not even looked at
    youngest = uuid.UUID(int=int((datetime.now(UTC) - KEPT).timestamp() * 1000) << 80)
    over = (Job.id == Event.job_id, Event.job_id < youngest, Job.finished_at < func.now() - KEPT)
    session.execute(delete(Event).where(*over).execution_options(synchronize_session=False))


# ---- following


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands. `progress` is percent; `is_probed` once the recording was found to have sound, or not.

    queue_position : as of a View
    eta_seconds : as of a View; it changes with every second, which is no news by itself
    """

    owner_id: uuid.UUID
    state: JobState
    progress: int = 0
    stage_detail: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    is_probed: bool = False
    queue_position: int | None = None
    eta_seconds: int | None = field(default=None, compare=False)

    @property
    def has_ended(self) -> bool:
        return self.state in TERMINAL


@dataclass(frozen=True, slots=True)
class SegmentEvent:
    """A finished segment. `id` grows within a job, in the order in which readers can see the segments.

    segment : start, end and text
    kind : SEGMENT, or HEARD for what was heard while the recording arrived
    words : text and confidence of each word; none where the model gave none, or an older release published it
    """

    id: int
    segment: Mapping[str, Any]
    words: Sequence[tuple[str, float]] = ()
    kind: str = SEGMENT


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: a job that is not in `standings` was deleted. `is_whole` unless segments were left out."""

    standings: Mapping[uuid.UUID, Standing]
    segments: Mapping[uuid.UUID, Sequence[SegmentEvent]]
    is_whole: bool


def look(session: Session, job_ids: frozenset[uuid.UUID], after: Mapping[uuid.UUID, int]) -> Look:
    """Where these jobs stand; for those in `after` also their progress, and their segments behind that event id.

    Jobs are read before segments, so that whoever sees a job ended here sees all of its segments too.
    """
    columns = (Job.id, Job.owner_id, Job.state, Job.error_code, Job.error_message, *FORECAST)
    jobs = session.execute(select(*columns).where(Job.id == any_(literal(list(job_ids), ARRAY(Uuid))))).all()
    stages = _stages(session, [row.id for row in jobs if row.id in after and row.state != JobState.DONE])
    positions, forecast = _positions(session, jobs, stages), _Forecast(session)
    standings = {
        row.id: Standing(
            row.owner_id,
            JobState(row.state),
            percent(row.state, stages.get(row.id, ())),
            None if row.state in TERMINAL else detail(stages.get(row.id, ())),
            row.error_code,
            row.error_message,
            row.state in TERMINAL or _is_probed(stages.get(row.id, ())),
            positions.get(row.id),
            forecast.of(row, stages.get(row.id, ())),
        )
        for row in jobs
    }
    segments = _segments_after(session, {job_id: after[job_id] for job_id in standings if job_id in after})
    return Look(standings, segments, is_whole=sum(map(len, segments.values())) < MAX_SEGMENTS)


FORECAST = (Job.priority, Job.duration, Job.options)
"""Of a job, for the forecast of its followers."""


class _Forecast:
    """Forecasts of many jobs, which share what is known about speeds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._speeds: dict[tuple[str, ...], Sequence[Any] | None] = {}

    def of(self, job: Any, stages: Sequence[StageRow]) -> int | None:
        """Seconds that are left, if that can be known; None for a job that has failed or that nobody follows."""
        if job.state in TERMINAL or not stages:
            return 0 if job.state == JobState.DONE else None
        try:
            reading = eta(job, stages)
            query = next(reading)
            while True:
                name = (query.text, *map(str, query.parameters.values()))
                if name not in self._speeds:
                    self._speeds[name] = first_row(self._session, query)
                query = reading.send(self._speeds[name])
        except StopIteration as end:
            seconds: int | None = end.value
            return seconds


def _positions(
    session: Session, jobs: Sequence[Any], stages: Mapping[uuid.UUID, Sequence[StageRow]]
) -> dict[uuid.UUID, int]:
    waiting = [
        Waiting(row.id, row.owner_id, STAGES[name].queue, row.priority)
        for row in jobs
        if row.state not in TERMINAL and (name := waits_for(stages.get(row.id, ())))
    ]
    if not waiting:
        return {}
    query = places(waiting)
    rows = session.connection().exec_driver_sql(query.text, dict(query.parameters))
    return {row[0]: row[1] for row in rows}


def _is_probed(steps: Sequence[StageRow]) -> bool:
    return any(step.name == PROBE and step.state in SETTLED for step in steps)


def _stages(session: Session, job_ids: list[uuid.UUID]) -> dict[uuid.UUID, list[StageRow]]:
    steps: dict[uuid.UUID, list[StageRow]] = {job_id: [] for job_id in job_ids}
    if job_ids:
        # columns, not objects, with which a look takes more than twice as long
        columns = select(Stage.job_id, *(getattr(Stage, each.name) for each in fields(StageRow)))
        rows = session.execute(columns.where(Stage.job_id == any_(literal(job_ids, ARRAY(Uuid)))))
        for job_id, *values in rows:
            steps[job_id].append(StageRow(*values))
    return steps


def _segments_after(session: Session, after: Mapping[uuid.UUID, int]) -> dict[uuid.UUID, list[SegmentEvent]]:
    segments: dict[uuid.UUID, list[SegmentEvent]] = {}
    if after:
        arrays = literal(list(after), ARRAY(Uuid)), literal(list(after.values()), ARRAY(BigInteger))
        bounds = func.unnest(*arrays).table_valued("job_id", "id", name="wanted").render_derived()
        rows = session.execute(
            select(Event.job_id, Event.id, Event.kind, Event.data)
            .join(bounds, (Event.job_id == bounds.c.job_id) & (Event.id > bounds.c.id))
            .where(Event.kind.in_((SEGMENT, HEARD)))
            .order_by(Event.id)
            .limit(MAX_SEGMENTS)
        )
        for job_id, number, kind, segment in rows:
            words = tuple((text, confidence) for text, confidence in segment.pop("words", ()))
            segments.setdefault(job_id, []).append(SegmentEvent(number, segment, words, kind))
    return segments
