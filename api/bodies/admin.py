"""Bodies of the calls for administrators: keys and their limits, the queue, repairs."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _number(value: object) -> object:
    """What JSON calls a number: 600 and 600.0, not "600" or true."""
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


KeyLimit = Annotated[int, Field(ge=0, le=2_147_483_647), BeforeValidator(_number)] | None
ByteLimit = Annotated[int, Field(ge=0, le=2**53), BeforeValidator(_number)] | None
"""Up to 8 PiB, the largest number that every JSON parser reads exactly."""


class KeyLimits(BaseModel):
    """What a key may use. Null means the server's own setting, 0 any amount."""

    requests_per_minute: KeyLimit = Field(None, description="Requests that need a key; more are 429 rate_limited")
    max_running: KeyLimit = Field(None, description="Model stages that run at the same time; further tasks wait")
    max_queued: KeyLimit = Field(None, description="Waiting tasks; more are 429 too_many_queued")
    minutes_per_day: KeyLimit = Field(None, description="Minutes of audio per day (UTC); then 429 quota_exceeded")
    max_open_uploads: KeyLimit = Field(
        None, description="Uploads in parts that are open; one more is 429 too_many_uploads"
    )
    max_announced_bytes: ByteLimit = Field(
        None, description="Bytes that open uploads announce; more are 403 storage_quota_exceeded"
    )
    max_stored_bytes: ByteLimit = Field(
        None, description="Bytes in storage, with those announced; more are 403 storage_quota_exceeded"
    )
    max_waiting_deliveries: KeyLimit = Field(
        None, description="Webhooks that wait to be sent, with those of unfinished tasks; then 429 too_many_deliveries"
    )
    webhook_tests_per_minute: KeyLimit = Field(
        None, description="Webhooks that are tested or sent again; more are 429 rate_limited"
    )
    retention_seconds: KeyLimit = Field(
        None, description="Seconds its tasks are kept after completion, unless a task has its own; 0 keeps them forever"
    )


class ChangedLimits(KeyLimits):
    """Limits to set. Omitted ones stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"requests_per_minute": 600}})


class NewKey(KeyLimits):
    """A new key."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "laptop"}})

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
    ]
    scopes: list[Literal["transcribe", "admin"]] = Field(["transcribe"], min_length=1)


class KeyInfo(KeyLimits):
    """A key without the key."""

    id: uuid.UUID
    name: str
    prefix: str = Field(
        description="To tell it by: how a made key begins, which is no secret; of a key that was chosen by hand, and "
        "of those made before 0.2, the beginning of its SHA-256",
        examples=["pk_8f02c4e1_", "sha256:2c26b46b68ff"],
    )
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    from_environment: bool = Field(description="It is the value of `API_KEY`; one such key is valid at a time")


class CreatedKey(KeyInfo):
    """A new key. `key` is shown this once."""

    key: str


class Keys(BaseModel):
    """One page of all keys, newest first."""

    items: list[KeyInfo]
    next_cursor: str | None


class Failure(BaseModel):
    """A task that failed."""

    task_id: uuid.UUID
    code: str | None
    message: str | None
    finished_at: datetime | None


class StageCount(BaseModel):
    """How many rows of one stage are in one state."""

    stage: str
    state: str
    count: int


class QueueSummary(BaseModel):
    """All unfinished work, of all keys."""

    jobs: dict[str, int] = Field(description="Unfinished tasks by status")
    stages: list[StageCount] = Field(description="Stages that wait for a worker or have one")
    oldest_queued_seconds: float | None = Field(description="Age of the oldest task that no worker has begun")
    recent_failures: list[Failure]


class Repaired(BaseModel):
    """What POST /jobs/repair found and put right."""

    expired: int = Field(description="Tasks whose worker had gone silent")
    rung_again: int = Field(description="Stages whose doorbell had been lost")
    erased: int = Field(description="Deletions that were finished")
    retired: int = Field(description="Tasks that had been kept as long as they were to be, and were erased")
    indexed: int = Field(description="Tasks of an earlier release that the search now finds in the new way")
    recounted: int = Field(description="Counts of the queue, of keys and of batches that were wrong")
