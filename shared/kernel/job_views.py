"""Reading one job, with progress and a forecast; many are read by api/history/search.py. Nothing here changes a row."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from shared.errors import NotFound
from shared.models import Artifact, Job, Stage
from shared.options import JobOptions
from shared.stages import FINAL, STAGES, profile
from shared.states import SETTLED, TERMINAL, JobState, StageState

RECENT_RUNS = 20
"""Runs that the forecast is the mean of: enough to be steady, few enough to follow a change of machine."""

OVER = SETTLED - {StageState.CANCELLED}
"""States in which a stage counts as wholly done in the progress that users see."""


@dataclass(frozen=True, slots=True)
class View:
    """A job as its owner sees it. `progress` is 0..100; `eta_seconds` is None until it can be known."""

    job: Job
    stages: tuple[Stage, ...]
    progress: int
    stage: str | None
    stage_detail: str | None
    eta_seconds: int | None


def get(session: Session, owner_id: uuid.UUID, job_id: uuid.UUID) -> View:
    """One job of this owner, `full_text` read only if it is asked for. Raises NotFound, also for another owner's."""
    query = select(Job).where(Job.id == job_id, Job.owner_id == owner_id)
    # those who poll would be sent megabytes of it
    job = session.scalars(query.options(defer(Job.full_text))).one_or_none()
    if job is None:
        raise NotFound("There is no such task.")
    order = {name: place for place, name in enumerate(STAGES)}
    rows = session.scalars(select(Stage).where(Stage.job_id == job_id)).all()
    stages = tuple(sorted(rows, key=lambda row: (order[row.name], row.shard)))
    current = next((row for row in stages if row.state == StageState.RUNNING), None) or next(
        (row for row in stages if row.state == StageState.QUEUED), None
    )
    ended = job.state in TERMINAL
    return View(
        job=job,
        stages=stages,
        progress=percent(job.state, stages),
        stage=current.name if current and not ended else None,
        stage_detail=None if ended else detail(stages),
        eta_seconds=0 if job.state == JobState.DONE else None if ended else _eta(session, job, stages),
    )


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


def processing_time(job: Job) -> float | None:
    """Seconds from the first claim to the end; 0 for an answer that was known, None while it is not there."""
    if job.cached:
        return 0.0
    if job.started_at is None or job.finished_at is None:
        return None
    return round((job.finished_at - job.started_at).total_seconds(), 3)


class Progressing(Protocol):
    """What the progress of a job is told by: the row of a stage, or the three columns of it that matter."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def progress(self) -> float: ...


def percent(state: str, stages: Sequence[Progressing]) -> int:
    """Progress of a job as users see it, 0..100."""
    return 100 if state == JobState.DONE else min(99, int(100 * _share_done(stages)))


def _share_done(stages: Sequence[Progressing]) -> float:
    counted = [row for row in stages if row.state != StageState.SKIPPED]
    shards = {row.name: sum(other.name == row.name for other in counted) for row in counted}
    total = sum(STAGES[name].weight for name in shards)
    completed_weight = sum(
        # a cancelled stage stands where it stood; a dead one is as over as one that is done
        STAGES[row.name].weight / shards[row.name] * (1.0 if row.state in OVER else row.progress)
        for row in counted
    )
    return completed_weight / total if total else 0.0


def detail(stages: Sequence[Progressing]) -> str | None:
    """What is being done now, in words. The shards of a stage are told as one, by how many of them are done."""
    running, queued = [], []
    for name in dict.fromkeys(row.name for row in stages):
        shards = [row for row in stages if row.name == name]
        parts = f" ({sum(row.state in OVER for row in shards)} of {len(shards)} parts)" if len(shards) > 1 else ""
        states = {row.state for row in shards}
        if StageState.RUNNING in states or (parts and StageState.QUEUED in states and states & OVER):
            share = sum(1.0 if row.state in OVER else row.progress for row in shards) / len(shards)
            running.append(f"{name} {int(100 * share)} %{parts}")
        elif StageState.QUEUED in states:
            queued.append(f"{name} queued")
    return ", ".join(running + queued) or None


def _eta(session: Session, job: Job, stages: Sequence[Stage]) -> int | None:
    """Seconds left by the speed of recent runs; the stages that run side by side count as the slower of the two."""
    if job.duration is None:
        return None
    left: dict[str, float] = {}
    for row in stages:
        if STAGES[row.name].pace is None or row.state in SETTLED:
            continue
        seconds_per_second = _speed(session, job, row)
        if seconds_per_second is None:
            return None
        remaining_s = seconds_per_second * (row.audio_seconds or job.duration) * (1 - row.progress)
        if row.progress == 0 and row.state == StageState.RUNNING and row.started_at:
            remaining_s = max(remaining_s - (datetime.now(UTC) - row.started_at).total_seconds(), 0)
        left[row.name] = left.get(row.name, 0.0) + remaining_s
    for name in left:
        # shards that run at once share what is left; how many workers will be free later nobody knows
        left[name] /= max(1, sum(row.name == name and row.state == StageState.RUNNING for row in stages))
    return round(max(left.values(), default=0.0))


def _speed(session: Session, job: Job, row: Stage) -> float | None:
    """Seconds of work per second of audio, over recent runs of the same stage, model and device.

    Before a worker has taken the stage its device is not known; then all devices count.
    """
    options = JobOptions.from_row(job.options).model_dump()
    seconds = func.extract("epoch", Stage.finished_at - Stage.started_at)
    recent = (
        select((seconds / Stage.audio_seconds).label("speed"))
        .where(
            Stage.name == row.name,
            Stage.state == StageState.DONE,
            Stage.attempt > 0,
            Stage.audio_seconds > 0,
            Stage.profile.like(row.profile or profile(row.name, options, "%")),
        )
        .order_by(Stage.finished_at.desc())
        .limit(RECENT_RUNS)
        .subquery()
    )
    return session.scalar(select(func.avg(recent.c.speed)))
