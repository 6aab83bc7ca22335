"""`@stage`: what every stage has in common. Claim, workspace, lease, work, answer to S3, complete, ring.

The decorated function gets a `Work` and returns an `Output`; it knows nothing of leases, states or doorbells. With the
answer of one stage a worker may claim the next one of the same job: then it goes on with that, without a ring.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy.orm import Session

from shared.claims import Answer, Claim, Claimant, Copy, Input
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
from tasks import patience
from tasks.app import app, ring
from tasks.lease import KeptLease, settle
from tasks.worker.name import worker_name
from tasks.worker.shutdown import shutting_down
from tasks.worker.traces import Ended, stage_ended
from tasks.worker.workspace import discard, workspace

log = get_logger(__name__)
T = TypeVar("T")

Content = Mapping[str, bytes]
"""Objects by key that this process has just stored, so that its next stage need not fetch them."""


@dataclass(frozen=True)
class Work:
    """What a stage is given: its claim, a folder of its own, its inputs in storage, and where to tell how far it is."""

    claim: Claim
    folder: Path
    storage: Storage
    config: Settings
    progress: Progress
    finished: Finished
    at_hand: Content

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
        return from_json(kind, self.content(claim_input))

    def content(self, claim_input: Input) -> bytes:
        """The object of an input."""
        key = key_of(claim_input)
        return self.at_hand[key] if key in self.at_hand else self.storage.get(key)


@dataclass(frozen=True)
class CopyOutput:
    """A file beside the answer, for people: see claims.Copy."""

    path: Path
    suffix: str
    meta: Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """What a stage gives back: bytes, or a file in its folder, and what the database should know.

    key : of the input that has the very same bytes, which are then stored once
    """

    content: bytes | Path
    suffix: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    audio_seconds: float | None = None
    copy: CopyOutput | None = None
    key: str | None = None


_FUNCTIONS: dict[str, Callable[[Work], Output]] = {}
"""What is done in each stage, by its name."""


def key_of(claim_input: Input) -> str:
    """Storage key of an input. Raises UnexpectedError when the stage that should have made it died."""
    if claim_input.key is None:
        raise UnexpectedError(f"The {claim_input.stage} stage left no answer.")
    return claim_input.key


def stage(name: str, device: Callable[[Settings], str] = lambda _: "") -> Callable[[Callable[[Work], Output]], Any]:
    """Make a Celery task `parley.NAME` of a function; `device` names what it runs on, for the forecast."""

    def register(function: Callable[[Work], Output]) -> Any:
        _FUNCTIONS[name] = function

        @app.task(name=f"parley.{name}")
        def task(job_id: str, shard: int = 0) -> None:
            run(name, uuid.UUID(job_id), shard, device)

        return task

    return register


def run(name: str, job_id: uuid.UUID, shard: int, device: Callable[[Settings], str]) -> None:
    """Do a stage of a job, if it can be claimed, and those that this process goes on with; leave all in order."""
    config = settings()
    structlog.contextvars.bind_contextvars(job_id=str(job_id), stage=name, shard=shard)
    try:
        if shutting_down():
            return  # the stage stays queued; the sweep rings somebody else
        with session() as opened:
            claim = leases.claim(
                opened, job_id, name, shard, worker=worker_name(), device=device(config), lease_s=config.lease_s
            )
        at_hand: Content = {}
        while claim is not None:
            claim, at_hand = _attempt(claim, at_hand, config)
    except DatabaseUnavailable:
        log.warning("database_away")  # unclaimed, the stage is rung again; claimed, it is when its lease has run out
    finally:
        structlog.contextvars.clear_contextvars()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """How it ended, the claim to go on with, and what that stage finds at hand."""

    ended: Ended
    following: Claim | None = None
    at_hand: Content = field(default_factory=dict)


def _attempt(claim: Claim, at_hand: Content, config: Settings) -> tuple[Claim | None, Content]:
    """Do what was claimed. Gives the claim on the next stage, if this process goes on, and what that finds at hand."""
    about = {"stage": claim.stage, "shard": claim.shard, "request_id": claim.request_id, "attempt": claim.attempt}
    structlog.contextvars.bind_contextvars(**about)
    log.info("stage_started")
    if claim.waited_s is not None:
        metrics.WAIT_SECONDS.labels(claim.priority).observe(claim.waited_s)
    began_ns = time.time_ns()
    attempt = _work(claim, at_hand, config)
    metrics.STAGE_RUNS.labels(claim.stage, attempt.ended.outcome).inc()
    stage_ended(claim, attempt.ended, began_ns)
    return attempt.following, attempt.at_hand


def _work(claim: Claim, at_hand: Content, config: Settings) -> _Attempt:
    began = time.monotonic()
    try:
        with (
            workspace(config.scratch_dir, claim.stage) as folder,
            KeptLease(claim, config, clean_up=lambda: discard(folder)) as lease,
        ):
            if claim.fence > 1:
                _clear(claim)
            work = Work(claim, folder, storage(), config, lease.progress, lease.finished, at_hand)
            answer, stored = (claim.known_answer, {}) if claim.known_answer else _answer(claim, work)
            outcome = _hand_in(claim, answer, lease, config)
        ring(outcome.rings)
        log.info("stage_done")
        ended = Ended("reused") if claim.known_answer else Ended("done", answer.audio_seconds)
        if not claim.known_answer:
            _measure(claim, answer, time.monotonic() - began)
        return _Attempt(ended, outcome.claim, stored)
    except Interrupted as interruption:
        log.info("stage_interrupted", reason=interruption.reason)
        settle(claim, interruption.reason, config)
        return _Attempt(Ended("interrupted"))
    except LeaseLost:
        log.warning("stage_superseded")
        return _Attempt(Ended("superseded"))
    except Exception as error:  # noqa: BLE001 - whatever a stage or a library raises becomes the stage's cause of death
        return _Attempt(Ended("failed", error_code=_fail(claim, error, config)))


def _measure(claim: Claim, answer: Answer, seconds: float) -> None:
    is_heavy = STAGES[claim.stage].queue in HEAVY
    labels = (claim.stage, claim.options.model if claim.stage == "transcribe" else "", claim.device if is_heavy else "")
    metrics.STAGE_SECONDS.labels(*labels).observe(seconds)
    if answer.audio_seconds:
        metrics.AUDIO_SECONDS.labels(*labels[:2]).inc(answer.audio_seconds)
        metrics.STAGE_RTF.labels(*labels).observe(seconds / answer.audio_seconds)


def _answer(claim: Claim, work: Work) -> tuple[Answer, Content]:
    """The answer, stored, and its bytes unless they are a file's."""
    output = _FUNCTIONS[claim.stage](work)
    if isinstance(output.content, Path):
        key = _own_key(claim, output.suffix)
        size = _store(work, partial(work.storage.put_file, key, output.content))
        return Answer(key, size, output.meta, output.audio_seconds, _copy(claim, work, output.copy)), {}
    key, size = output.key or _own_key(claim, output.suffix), len(output.content)
    if output.key is None:
        size = _store(work, partial(work.storage.put, key, output.content))
    copy = _copy(claim, work, output.copy)
    return Answer(key, size, output.meta, output.audio_seconds, copy), {key: output.content}


def _copy(claim: Claim, work: Work, output: CopyOutput | None) -> Copy | None:
    if output is None:
        return None
    key = _own_key(claim, output.suffix)
    return Copy(key, _store(work, partial(work.storage.put_file, key, output.path)), output.meta)


def _store(work: Work, put: Callable[[], int]) -> int:
    return patience.store(put, lambda: work.progress(1.0))


def _own_key(claim: Claim, suffix: str) -> str:
    return stage_key(claim.owner_id, claim.job_id, claim.stage, claim.shard, claim.fence, suffix)


def _hand_in(claim: Claim, answer: Answer, lease: KeptLease, config: Settings) -> Outcome:
    def complete(opened: Session) -> Outcome:
        events.publish(opened, claim, lease.unpublished(), ended=True)
        return leases.complete(
            opened, claim, answer, None if shutting_down() else Claimant(worker_name(), config.lease_s)
        )

    try:
        outcome = patience.change(complete, lambda: lease.progress(1.0))
    except LeaseLost:
        _forget(claim, answer.key, *([answer.copy.key] if answer.copy else ()))
        raise
    if outcome.unused:
        _forget(claim, *outcome.unused)
    return outcome


def _clear(claim: Claim) -> None:
    """Remove what workers that held this stage before had stored when they were killed.

    Nothing is published under these keys while the stage is unfinished. It is done before the work, as a worker can be
    killed right after it, too.
    """
    keys = job_prefix(claim.owner_id, claim.job_id) + f"{claim.stage}/{claim.shard}."
    storage().abort_uploads(keys)
    storage().delete(storage().list(keys))


def _forget(claim: Claim, *keys: str) -> None:
    """Remove those that are this worker's own, to which no row refers. Storage that is away keeps them until the job
    goes."""
    prefix = _own_key(claim, ".")
    own = [key for key in keys if key.startswith(prefix)]
    try:
        if own:
            storage().delete(own)
    except StorageUnavailable:
        log.warning("object_left_behind", key=own[0])


def _fail(claim: Claim, error: Exception, config: Settings) -> str:
    """The code that the error has got."""
    failure = error if isinstance(error, ParleyError) else UnexpectedError(f"{claim.stage} failed unexpectedly.")
    log.warning("stage_failed", code=failure.code, message=failure.message, exc_info=failure.retryable)
    try:
        outcome = patience.change(lambda opened: leases.fail(opened, claim, failure, max_attempts=config.max_attempts))
        ring(outcome.rings)
    except LeaseLost:
        log.warning("stage_superseded")
    return failure.code
