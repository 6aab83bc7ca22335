"""The state machine of a job and of its stages, shown as data. shared/kernel/jobs.py moves rows through it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands, in the words of the API."""

    LIVE = "live"
    QUEUED = "queued"
    PROCESSING = "processing"
    CANCELLING = "cancelling"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


class StageState(StrEnum):
    """Where one stage of a job stands. Only `running` has a lease. Anybody can claim a `queued` one; a `waiting` one
    only who settles what it waits for."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.LIVE: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.PROCESSING, JobState.DONE, JobState.ERROR, JobState.CANCELLED}),
    JobState.PROCESSING: frozenset({JobState.DONE, JobState.ERROR, JobState.CANCELLING, JobState.CANCELLED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.ERROR: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""Nothing goes back, so a reader never sees a finished job unfinished."""

STAGE_MOVES: Mapping[StageState, frozenset[StageState]] = {
    StageState.WAITING: frozenset({StageState.QUEUED, StageState.RUNNING, StageState.CANCELLED}),
    StageState.QUEUED: frozenset({StageState.RUNNING, StageState.CANCELLED}),
    StageState.RUNNING: frozenset({StageState.DONE, StageState.DEAD, StageState.QUEUED, StageState.CANCELLED}),
    StageState.DONE: frozenset(),
    StageState.DEAD: frozenset(),
    StageState.CANCELLED: frozenset(),
    StageState.SKIPPED: frozenset(),
}
"""The one step back is running -> queued: a lease that was lost or given back."""

TERMINAL = frozenset(state for state, moves in JOB_MOVES.items() if not moves)
SETTLED = frozenset(state for state, moves in STAGE_MOVES.items() if not moves)
