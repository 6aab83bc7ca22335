"""`@stage`: what every stage has in common. Claim, workspace, lease, work, answer to S3, complete, ring.

The decorated function gets a `Work` and returns an `Output`; it knows nothing of leases, states or doorbells.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from shared.claims import Answer, Claim, Input
from shared.config import Settings, settings
from shared.db import session
from shared.errors import (
    DatabaseUnavailable,
    Interrupted,
    LeaseLost,
    ParleyError,
    StorageUnavailable,
    UnexpectedError,
)
from shared.kernel import events, leases
from shared.kernel.agreement import agree_on_language
from shared.kernel.jobs import Outcome
from shared.stages import HEAVY, STAGES
from shared.storage import Storage, job_prefix, stage_key, storage
from shared.telemetry import metrics
from shared.telemetry.logs import get_logger
from shared.transcript import Finished, Progress, from_json
from tasks.app import app, ring
from tasks.lease import KeptLease, settle
from tasks.worker.name import worker_name
from tasks.worker.shutdown import shutting_down
from tasks.worker.traces import Ended, stage_ended
from tasks.worker.workspace import discard, workspace

log = get_logger(__name__)
T = TypeVar("T")

PATIENCE_S = 300
"""How long finished work waits for a database that is away."""


@dataclass(frozen=True)
class Work:
    """What a stage is given: its claim, a folder of its own, its inputs in storage, and where to tell how far it is."""

    claim: Claim
    folder: Path
    storage: Storage
    config: Settings
    progress: Progress
    finished: Finished

    def input(self, stage: str, shard: int = 0) -> Input:
        """The answer of a stage that this one needs."""
        return next(
            claim_input for claim_input in self.claim.inputs if (claim_input.stage, claim_input.shard) == (stage, shard)
        )

    def inputs(self, stage: str) -> tuple[Input, ...]:
        """The answers of all shards of a stage that this one needs, in order; empty when it was left out."""
        return tuple(claim_input for claim_input in self.claim.inputs if claim_input.stage == stage)

    def agree_on_language(self, detection: tuple[str, float] | None = None) -> tuple[str, float] | None:
        """The language of all shards and its probability; None until a worker has a `detection`: the first decides."""
        with session() as opened:
            return agree_on_language(opened, self.claim, detection)

    def load(self, kind: type[T], claim_input: Input) -> T:
        """An input that is one of the classes of shared/transcript.py."""
        return from_json(kind, self.storage.get(key_of(claim_input)))


@dataclass(frozen=True)
class Output:
    """What a stage gives back: bytes, or a file in its folder, and what the database should know."""

    content: bytes | Path
    suffix: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    audio_seconds: float | None = None


def key_of(claim_input: Input) -> str:
    """Storage key of an input. Raises UnexpectedError when the stage that should have made it died."""
    if claim_input.key is None:
        raise UnexpectedError(f"The {claim_input.stage} stage left no answer.")
    return claim_input.key


def stage(name: str, device: Callable[[Settings], str] = lambda _: "") -> Callable[[Callable[[Work], Output]], Any]:
    """Make a Celery task `parley.NAME` of a function; `device` names what it runs on, for the forecast."""

    def register(function: Callable[[Work], Output]) -> Any:
        @app.task(name=f"parley.{name}")
        def task(job_id: str, shard: int = 0) -> None:
            run(name, uuid.UUID(job_id), shard, function, device)

        return task

    return register


def run(
    name: str, job_id: uuid.UUID, shard: int, function: Callable[[Work], Output], device: Callable[[Settings], str]
) -> None:
    """Do one stage of one job if it is there to be done; leave everything in order whatever happens."""
    config = settings()
    structlog.contextvars.bind_contextvars(job_id=str(job_id), stage=name, shard=shard)
    try:
        if shutting_down():
            return  # the stage stays queued; the sweep rings somebody else
        with session() as opened:
            claim = leases.claim(
                opened, job_id, name, shard, worker=worker_name(), device=device(config), lease_s=config.lease_s
            )
        if claim is not None:
            structlog.contextvars.bind_contextvars(request_id=claim.request_id, attempt=claim.attempt)
            log.info("stage_started")
            if claim.waited_s is not None:
                metrics.WAIT_SECONDS.labels(claim.priority).observe(claim.waited_s)
            began_ns = time.time_ns()
            ended = _work(claim, function, config)
            metrics.STAGE_RUNS.labels(name, ended.outcome).inc()
            stage_ended(claim, ended, began_ns)
    except DatabaseUnavailable:
        log.warning("database_away")  # unclaimed, the stage is rung again; claimed, it is when its lease has run out
    finally:
        structlog.contextvars.clear_contextvars()


def _work(claim: Claim, function: Callable[[Work], Output], config: Settings) -> Ended:
    began = time.monotonic()
    try:
        with (
            workspace(config.scratch_dir, claim.stage) as folder,
            KeptLease(claim, config, clean_up=lambda: discard(folder)) as lease,
        ):
            if claim.fence > 1:
                _clear(claim)
            work = Work(claim, folder, storage(), config, lease.progress, lease.finished)
            answer = claim.known or _answer(claim, function, work)
            outcome = _hand_in(claim, answer, lease)
        ring(outcome.rings)
        log.info("stage_done")
        if claim.known:
            return Ended("reused")
        _measure(claim, answer, time.monotonic() - began)
        return Ended("done", answer.audio_seconds)
    except Interrupted as interruption:
        log.info("stage_interrupted", reason=interruption.reason)
        settle(claim, interruption.reason, config)
        return Ended("interrupted")
    except LeaseLost:
        log.warning("stage_superseded")
        return Ended("superseded")
    except Exception as error:  # noqa: BLE001 - whatever a stage or a library raises becomes the stage's cause of death
        return Ended("failed", error_code=_fail(claim, error, config))


def _measure(claim: Claim, answer: Answer, seconds: float) -> None:
    is_heavy = STAGES[claim.stage].queue in HEAVY
    labels = (claim.stage, claim.options.model if claim.stage == "transcribe" else "", claim.device if is_heavy else "")
    metrics.STAGE_SECONDS.labels(*labels).observe(seconds)
    if answer.audio_seconds:
        metrics.AUDIO_SECONDS.labels(*labels[:2]).inc(answer.audio_seconds)
        metrics.STAGE_RTF.labels(*labels).observe(seconds / answer.audio_seconds)


def _answer(claim: Claim, function: Callable[[Work], Output], work: Work) -> Answer:
    output = function(work)
    key = stage_key(claim.owner_id, claim.job_id, claim.stage, claim.shard, claim.fence, output.suffix)
    if isinstance(output.content, Path):
        size = work.storage.put_file(key, output.content)
    else:
        size = work.storage.put(key, output.content)
    return Answer(key, size, output.meta, output.audio_seconds)


def _hand_in(claim: Claim, answer: Answer, lease: KeptLease) -> Outcome:
    def complete(opened: Session) -> Outcome:
        events.publish(opened, claim, lease.unpublished(), ended=True)
        return leases.complete(opened, claim, answer)

    try:
        outcome = _patiently(complete, lambda: lease.progress(1.0))
    except LeaseLost:
        _forget(claim, answer)
        raise
    if outcome.duplicate:
        _forget(claim, answer)
    return outcome


def _clear(claim: Claim) -> None:
    """Remove what workers that held this stage before had stored when they were killed.

    Nothing is published under these keys while the stage is unfinished. It is done before the work, as a worker can be
    killed right after it, too.
    """
    keys = job_prefix(claim.owner_id, claim.job_id) + f"{claim.stage}/{claim.shard}."
    storage().abort_uploads(keys)
    storage().delete(storage().list(keys))


def _forget(claim: Claim, answer: Answer) -> None:
    """Remove this worker's own object, to which no row refers. Storage that is away keeps it until the job goes."""
    prefix = stage_key(claim.owner_id, claim.job_id, claim.stage, claim.shard, claim.fence, ".")
    try:
        if answer.key.startswith(prefix):
            storage().delete([answer.key])
    except StorageUnavailable:
        log.warning("object_left_behind", key=answer.key)


def _fail(claim: Claim, error: Exception, config: Settings) -> str:
    """The code that the error has got."""
    failure = error if isinstance(error, ParleyError) else UnexpectedError(f"{claim.stage} failed unexpectedly.")
    log.warning("stage_failed", code=failure.code, message=failure.message, exc_info=failure.retryable)
    try:
        outcome = _patiently(lambda opened: leases.fail(opened, claim, failure, max_attempts=config.max_attempts))
        ring(outcome.rings)
    except LeaseLost:
        log.warning("stage_superseded")
    return failure.code


def _patiently(change: Callable[[Session], Outcome], check: Callable[[], None] = lambda: None) -> Outcome:
    """Make a change that must not be lost to a database that is away for a while. `check` may end the wait."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            with session() as opened:
                return change(opened)
        except DatabaseUnavailable:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(1)
            check()
