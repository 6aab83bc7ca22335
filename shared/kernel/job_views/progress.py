"""How far a job is, told by its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from shared.stages import STAGES
from shared.states import SETTLED, JobState, StageState

OVER = SETTLED - {StageState.CANCELLED}
"""States in which a stage counts as wholly done in the progress that users see."""


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


def waits_for(stages: Sequence[Progressing]) -> str | None:
    """The first stage that waits for a worker, while none is at work."""
    if any(row.state == StageState.RUNNING for row in stages):
        return None
    queued = {row.name for row in stages if row.state == StageState.QUEUED}
    return next((name for name in STAGES if name in queued), None)


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
