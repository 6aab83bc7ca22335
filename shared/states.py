"""The state machine of a job and of its stages, shown as data. shared/kernel/jobs.py moves rows through it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """Where a job stands, in the words of the API."""

    QUEUED = "queued"
    PROCESSING = "processing"
    CANCELLING = "cancelling"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


class StageState(StrEnum):
    """Where one stage of a job stands. Only `queued` can be claimed; only `running` has a lease."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


JOB_MOVES: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.PROCESSING, JobState.DONE, JobState.ERROR, JobState.CANCELLED}),
    JobState.PROCESSING: frozenset({JobState.DONE, JobState.ERROR, JobState.CANCELLING, JobState.CANCELLED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.ERROR: frozenset(),
    JobState.CANCELLED: frozenset(),
}
"""Nothing goes back, so a reader never sees a finished job unfinished."""

STAGE_MOVES: Mapping[StageState, frozenset[StageState]] = {
    StageState.WAITING: frozenset({StageState.QUEUED, StageState.CANCELLED}),
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

NEEDS: Mapping[str, tuple[str, ...]] = {
    "download": (),
    "convert": ("download",),
    "transcribe": ("convert",),
    "diarize": ("convert",),
    "merge": ("transcribe", "diarize"),
    "store": ("merge",),
}
"""The order of the stages: a stage is queued when everything that it needs is settled."""

OPTIONAL = frozenset({"diarize"})
"""Stages whose death costs the job a part of its answer but not the answer."""

FINAL = "store"
"""The stage whose completion makes the job done."""

QUEUES: Mapping[str, str] = {
    "download": "io",
    "convert": "cpu",
    "transcribe": "asr",
    "diarize": "diarize",
    "merge": "cpu",
    "store": "io",
}
"""The Celery queue of each stage; a pool of workers serves one queue or several."""

HEAVY = frozenset({"asr", "diarize"})
"""The queues whose stages run models; `max_running` counts these."""

WEIGHTS: Mapping[str, float] = {
    "download": 2,
    "convert": 5,
    "transcribe": 55,
    "diarize": 34,
    "merge": 2,
    "store": 2,
}
"""Share of each stage in the progress that users see, from the CPU seconds that each takes on long recordings."""

VERSIONS: Mapping[str, int] = {"download": 1, "convert": 2, "transcribe": 2, "diarize": 1, "merge": 2, "store": 1}
"""Raise a number when a stage begins to give another answer for the same input: older artefacts are not reused."""

STAGE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "convert": ("channels",),
    "transcribe": ("model", "language", "task", "prompt", "hotwords", "temperature", "mode"),
    "diarize": ("num_speakers", "min_speakers", "max_speakers"),
}
"""The options that change a stage's answer. The others only change how the answer is shown."""


def artifact_hash(stage: str, inputs: Iterable[str], options: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of all that decides a stage's answer: its version, the hashes of its inputs, its options."""
    own = {name: options.get(name) for name in STAGE_OPTIONS.get(stage, ())}
    recipe = [stage, VERSIONS.get(stage, 1), list(inputs), own]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def plan(source_sha256: str, options: Mapping[str, Any], *, diarization: bool) -> dict[str, str]:
    """Every stage of a job with the hash of its answer, in the order of `NEEDS`.

    A stage that the options leave out is missing; it counts as settled for those that need it.
    """
    hashes = {"download": source_sha256}
    for stage, needs in NEEDS.items():
        if stage == "download" or (stage == "diarize" and not diarization):
            continue
        hashes[stage] = artifact_hash(stage, [hashes[need] for need in needs if need in hashes], options)
    return hashes


def after(stage: str) -> frozenset[str]:
    """All stages that need `stage`, directly or through others."""
    direct = {name for name, needs in NEEDS.items() if stage in needs}
    return frozenset(direct.union(*(after(name) for name in direct)))


def profile(stage: str, options: Mapping[str, Any], device: str) -> str:
    """What decides how fast a stage is: the basis on which runs are compared to forecast the next one."""
    if stage != "transcribe":
        return f"{stage}/{device}"
    split = ["split"] if options.get("channels") == "split" else []  # as slow as all channels one after another
    return "/".join([*split, options["model"], options["mode"], device])
