"""The stages of a job, a record each. docs/how-to-add-a-stage.md goes through one that is added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Options = Mapping[str, Any]
"""A job's options, as JobOptions dumps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRecord:
    """All that the kernel knows of a stage. tasks/pipeline.py has the Celery task of the same name.

    needs : the stages whose answers it reads; it is queued when all of them are settled
    queue : its Celery queue; a pool of workers serves one queue or several
    weight : its share in the progress that users see, from the CPU seconds that it takes on long recordings
    version : raised when it begins to give another answer for the same input: older answers are not used again
    options : those that change its answer; the others only change how the answer is shown
    later_options : more of them, which came later: None leaves the hash of its answer as it was before
    is_optional : its death costs the job a part of its answer, but not the answer
    applies : whether a job with these options has it
    pace : for a stage whose remaining time is forecast, what decides how fast it is, beside the device
    is_short : it takes milliseconds and no model; who ends the last of its needs does it at once, whatever it serves
    writes_words : it makes or changes words; followers see those of the last such stage of a job, never earlier ones
    """

    needs: tuple[str, ...]
    queue: str
    weight: float
    version: int = 1
    options: tuple[str, ...] = ()
    later_options: tuple[str, ...] = ()
    is_optional: bool = False
    applies: Callable[[Options], bool] = lambda _: True
    pace: Callable[[Options], tuple[str, ...]] | None = None
    is_short: bool = False
    writes_words: bool = False


def _recognition_pace(options: Options) -> tuple[str, ...]:
    split = ("split",) if options.get("channels") == "split" else ()  # as slow as all channels one after another
    return (*split, options["model"], options["mode"])


STAGES: dict[str, StageRecord] = {
    "download": StageRecord(needs=(), queue="io", weight=2, options=("max_duration",)),
    "convert": StageRecord(needs=("download",), queue="cpu", weight=5, version=3, options=("channels", "track")),
    "transcribe": StageRecord(
        needs=("convert",),
        queue="asr",
        weight=55,
        version=3,
        options=("model", "language", "languages", "task", "prompt", "hotwords", "temperature", "mode"),
        pace=_recognition_pace,
        writes_words=True,
    ),
    "diarize": StageRecord(
        needs=("convert",),
        queue="diarize",
        weight=34,
        version=2,
        options=("num_speakers", "min_speakers", "max_speakers"),
        is_optional=True,
        applies=lambda options: bool(options["diarization"]),
        pace=lambda _: ("diarize",),
    ),
    "merge": StageRecord(
        needs=("transcribe", "diarize"), queue="cpu", weight=2, version=3, later_options=("script",), is_short=True
    ),
    "store": StageRecord(needs=("merge",), queue="io", weight=2, is_short=True),
}
"""By name, each behind those that it needs."""

SOURCE = "download"
"""The stage whose answer is the recording as it was sent or fetched: born done for an upload."""

PROBE = "convert"
"""The stage that first looks into a recording: one that is none, or has no sound, fails there."""

FINAL = "store"
"""The stage whose completion makes the job done."""

HEAVY = frozenset({"asr", "diarize"})
"""The queues whose stages run models; `max_running` counts these."""


def queues() -> tuple[str, ...]:
    """Every queue that some stage is in, in order of the alphabet."""
    return tuple(sorted({record.queue for record in STAGES.values()}))


def artifact_hash(stage: str, inputs: Iterable[str], options: Options) -> str:
    """SHA-256, in hex, of all that decides a stage's answer: its version, the hashes of its inputs, its options."""
    record = STAGES[stage]
    values = {name: options.get(name) for name in record.options}
    values |= {name: options[name] for name in record.later_options if options.get(name) is not None}
    recipe = [stage, record.version, list(inputs), values]
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def plan(source_sha256: str, options: Options) -> dict[str, str]:
    """Every stage of a job with the hash of its answer, in the order of `STAGES`.

    A stage that the options leave out is missing; it counts as settled for those that need it.
    """
    hashes = {SOURCE: source_sha256}
    for name, record in STAGES.items():
        if name != SOURCE and record.applies(options):
            hashes[name] = artifact_hash(name, [hashes[need] for need in record.needs if need in hashes], options)
    return hashes


def after(stage: str) -> frozenset[str]:
    """All stages that need `stage`, directly or through others."""
    direct = {name for name, record in STAGES.items() if stage in record.needs}
    return frozenset(direct.union(*(after(name) for name in direct)))


def shows_words(stage: str, options: Options) -> bool:
    """Whether followers may see the words of this stage: no later stage of the job changes them."""
    later = (STAGES[name] for name in after(stage))
    return STAGES[stage].writes_words and not any(each.writes_words and each.applies(options) for each in later)


def profile(stage: str, options: Options, device: str) -> str:
    """What decides how fast a stage is: the basis on which runs are compared to forecast the next one."""
    pace = STAGES[stage].pace
    return "/".join([*(pace(options) if pace else (stage,)), device])
