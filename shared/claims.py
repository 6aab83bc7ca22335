"""What passes between the kernel and a worker: the claim on a stage, its inputs, its answer. Plain data."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.options import JobOptions, Priority


@dataclass(frozen=True, slots=True)
class Input:
    """What a needed stage left behind: its object, or the error that killed it."""

    stage: str
    shard: int
    key: str | None
    meta: Mapping[str, Any]
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Copy:
    """An object beside the answer, for people and for no stage: it stays as long as a task refers to the answer."""

    key: str
    bytes: int
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stage produced: an object in storage and what the database should know about it."""

    key: str
    bytes: int
    meta: Mapping[str, Any]
    audio_seconds: float | None = None
    copy: Copy | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one stage, valid while the lease is renewed and nobody raised the fence.

    `known_answer` is the answer to this very stage if another job of the same owner has produced it in the meantime.
    """

    job_id: uuid.UUID
    owner_id: uuid.UUID
    stage: str
    shard: int
    fence: int
    attempt: int
    hash: str
    options: JobOptions
    source_url: str | None
    request_id: str | None
    inputs: tuple[Input, ...]
    known_answer: Answer | None
    device: str
    priority: Priority
    waited_s: float | None
    """Seconds from the job's submission, when this is its first stage to run."""

    queued_s: float | None
    """Seconds since all that the stage needs was there; None when it was claimed before."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker that is about to hand an answer in and would go on with the next stage of the same job."""

    worker: str
    lease_s: float
