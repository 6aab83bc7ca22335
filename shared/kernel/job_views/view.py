"""A job as its owner sees it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from shared.db import Reading, first_row, run
from shared.errors import NotFound
from shared.kernel.job_views import rows
from shared.kernel.job_views.places import Waiting, places
from shared.kernel.job_views.progress import detail, percent, waits_for
from shared.kernel.job_views.rows import JobRow, StageRow
from shared.models import Artifact, Job, Stage
from shared.options import JobOptions
from shared.stages import FINAL, STAGES, profile
from shared.states import SETTLED, TERMINAL, JobState, StageState

PLACES = {name: place for place, name in enumerate(STAGES)}


@dataclass(frozen=True, slots=True)
class View:
    """A job as its owner sees it. `progress` is 0..100; `eta_seconds` is None until it can be known.

    queue_position : its place among the tasks of its key that wait for the same step; None while none waits
    """

    job: JobRow
    stages: tuple[StageRow, ...]
    progress: int
    stage: str | None
    stage_detail: str | None
    eta_seconds: int | None
    queue_position: int | None = None

    @property
    def has_ended(self) -> bool:
        return self.job.state in TERMINAL


class Timed(Protocol):
    """What a forecast needs to know of a job."""

    @property
    def duration(self) -> float | None: ...
    @property
    def options(self) -> dict[str, Any]: ...


def get(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> View:
    """One job of this owner. Raises NotFound, also for another owner's."""
    return run(session, viewed(first_row(session, rows.owners_job(owner_id, job_id))))


def viewed(row: Sequence[Any] | None) -> Reading[View]:
    """What a row of `rows.owners_job` shows. Raises NotFound when there is none, or it is of nulls."""
    if row is None or row[0] is None:
        raise NotFound("There is no such task.")
    job, unsorted = rows.parts(row)
    stages = tuple(sorted(unsorted, key=lambda stage: PLACES[stage.name]))
    current = next((row for row in stages if row.state == StageState.RUNNING), None) or next(
        (row for row in stages if row.state == StageState.QUEUED), None
    )
    waiting_for = None if job.state in TERMINAL else waits_for(stages)
    ended = job.state in TERMINAL
    eta_seconds = 0 if job.state == JobState.DONE else None if ended else (yield from eta(job, stages))
    queue_position = None
    if waiting_for:
        place = yield places([Waiting(job.id, job.owner_id, STAGES[waiting_for].queue, job.priority)])
        queue_position = place[1] if place else None
    return View(
        job=job,
        stages=stages,
        progress=percent(job.state, stages),
        stage=current.name if current and not ended else None,
        stage_detail=None if ended else detail(stages),
        eta_seconds=eta_seconds,
        queue_position=queue_position,
    )


def owned(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    """The job's whole row, `full_text` read only if it is asked for. Raises NotFound, also for another owner's."""
    query = select(Job).where(Job.id == job_id, Job.owner_id == owner_id)
    job = session.scalars(query.options(defer(Job.full_text))).one_or_none()
    if job is None:
        raise NotFound("There is no such task.")
    return job


def transcript_key(session: Session, job_id: uuid.UUID) -> str:
    """Storage key of the finished transcript. Raises NotFound when the job has none."""
    key = session.scalar(
        select(Artifact.key)
        .join(Stage, Stage.artifact_id == Artifact.id)
        .where(Stage.job_id == job_id, Stage.name == FINAL)
    )
    if key is None:
        raise NotFound("The task has no transcript.")
    return key


def processing_time(job: Job | JobRow) -> float | None:
    """Seconds from the first claim to the end; 0 for an answer that was known, None while it is not there."""
    if job.cached:
        return 0.0
    if job.started_at is None or job.finished_at is None:
        return None
    return round((job.finished_at - job.started_at).total_seconds(), 3)


def eta(job: Timed, stages: Sequence[StageRow]) -> Reading[int | None]:
    """Seconds left by the speed of recent runs; the stages that run side by side count as the slower of the two."""
    if job.duration is None:
        return None
    speeds: dict[tuple[str, str], float | None] = {}
    by_stage: dict[str, float] = {}
    for row in stages:
        if STAGES[row.name].pace is None or row.state in SETTLED:
            continue
        # before a worker has taken the stage its device is not known; then all devices count
        pace = row.name, row.profile or profile(row.name, JobOptions.from_row(job.options).model_dump(), "%")
        if pace not in speeds:
            answer = yield rows.speed(*pace)
            speeds[pace] = answer[0] if answer else None
        seconds_per_second = speeds[pace]
        if seconds_per_second is None:
            return None
        remaining_s = seconds_per_second * (row.audio_seconds or job.duration) * (1 - row.progress)
        if row.progress == 0 and row.state == StageState.RUNNING and row.started_at:
            remaining_s = max(remaining_s - (datetime.now(UTC) - row.started_at).total_seconds(), 0)
        by_stage[row.name] = by_stage.get(row.name, 0.0) + remaining_s
    for name in by_stage:
        # shards that run at once share what is left; how many workers will be free later nobody knows
        by_stage[name] /= max(1, sum(row.name == name and row.state == StageState.RUNNING for row in stages))
    return round(max(by_stage.values(), default=0.0))
