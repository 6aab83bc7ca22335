"""Bodies of the calls about batches."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.bodies.tasks import TASK_ID, HistoryItem
from shared.states import JobState

BATCH_ID = "019aa5c8-9b10-7c02-8e57-2f4d6a8c0e13"
"""The batch of all examples."""


class BatchTask(BaseModel):
    """The task of one item."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    status: JobState = Field(description="`done` at once when the same recording with the same options is known")
    status_url: str = Field(examples=[f"/status/{TASK_ID}"])
    result_url: str = Field(examples=[f"/result/{TASK_ID}"])


class AcceptedBatch(BaseModel):
    """The answer to a batch."""

    batch_id: uuid.UUID = Field(examples=[BATCH_ID])
    total: int = Field(examples=[1])
    status_url: str = Field(examples=[f"/batches/{BATCH_ID}"])
    tasks: list[BatchTask] = Field(description="One per item, in the order of the items")


class BatchCounts(BaseModel):
    """Tasks by where they stand. They add up to the batch's total."""

    queued: int
    processing: int
    cancelling: int
    done: int
    error: int
    cancelled: int
    deleted: int


class BatchStatus(BaseModel):
    """Status of a batch as a whole."""

    batch_id: uuid.UUID = Field(examples=[BATCH_ID])
    status: Literal["queued", "processing", "done"] = Field(
        description="`done` when every task has ended, whichever way; `counts` has the ways"
    )
    total: int
    counts: BatchCounts
    progress: int = Field(ge=0, le=100, description="Percent, the mean of the tasks; one that has ended counts 100")
    eta_seconds: int | None = Field(description="Seconds until it is done; null until a task of it has ended")
    reference: str | None = Field(examples=["spring interviews"])
    created_at: datetime
    finished_at: datetime | None
    tasks_url: str = Field(examples=[f"/batches/{BATCH_ID}/tasks"])


class Batches(BaseModel):
    """One page of this key's batches, newest first."""

    items: list[BatchStatus]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class BatchTasks(BaseModel):
    """One page of a batch's tasks, in the order of its items."""

    items: list[HistoryItem]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class BatchReceipt(BaseModel):
    """Proof of a deletion."""

    batch_id: uuid.UUID = Field(examples=[BATCH_ID])
    erased: Literal[True]
    tasks: int = Field(description="Number of tasks erased with it")
    objects: int = Field(description="Number of objects removed from storage so far")
    verified: bool = Field(description="Storage was listed afterwards and is empty; else the sweep goes on removing")
