"""What a worker adds to the trace of a task: each attempt at a stage, and how long it had been waiting for a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from celery import signals

from shared.claims import Claim
from shared.stages import HEAVY, STAGES
from shared.telemetry import tracing


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended: an outcome as parley_stage_runs has it, with the audio it went through or its error."""

    outcome: str
    audio_seconds: float | None = None
    error_code: str | None = None


def stage_ended(claim: Claim, ended: Ended, began_ns: int) -> None:
    """Nothing when traces are off. `began_ns` is Unix time."""
    spans = tracing.spans("worker")
    if spans:
        spans.stage(
            claim,
            outcome=ended.outcome,
            began_ns=began_ns,
            model=claim.options.model if claim.stage == "transcribe" else None,
            device=claim.device if STAGES[claim.stage].queue in HEAVY else None,
            audio_seconds=ended.audio_seconds,
            error_code=ended.error_code,
        )


@signals.worker_process_init.connect
def _open(**_: Any) -> None:
    """In each child of the pool, before its first stage."""
    tracing.spans("worker")


@signals.worker_process_shutdown.connect
def _close(**_: Any) -> None:
    tracing.close()
