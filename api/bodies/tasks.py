"""Bodies of requests and responses of Parley's own API. Times of day are RFC 3339 in UTC, durations are seconds."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from shared.options import JobOptions, Priority
from shared.states import JobState

TASK_ID = "019aa5c8-7d3e-7a41-9f0b-5d6c2b8e1f4a"
"""The task of all examples."""


class Problem(BaseModel):
    """Every error, from whatever path."""

    code: str = Field(description="Stable code; docs/errors.md lists them all", examples=["not_found"])
    message: str = Field(description="For people", examples=["There is no such task."])
    request_id: str = Field(description="The same as in the X-Request-Id header and in the logs")
    detail: dict[str, Any] | None = Field(None, description="What the code is about, such as the parameter's name")


class TaskError(BaseModel):
    """Why a task failed."""

    code: str = Field(examples=["no_audio"])
    message: str


# ---- tasks


class Accepted(BaseModel):
    """The answer to a submission."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    job_id: uuid.UUID = Field(description="The same as task_id", examples=[TASK_ID])
    status: JobState = Field(description="`done` at once when the same recording with the same options is known")
    message: str = Field(examples=["The recording was accepted."])
    status_url: str = Field(examples=[f"/status/{TASK_ID}"])
    result_url: str = Field(examples=[f"/result/{TASK_ID}"])
    eta_seconds: int | None = Field(description="Seconds until it is done; null until that can be told")


class TaskStatus(BaseModel):
    """Status of a task."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    status: JobState
    progress: int = Field(ge=0, le=100, description="Percent; never goes back", examples=[42])
    eta_seconds: int | None = Field(description="Seconds until it is done; null until that can be told", examples=[31])
    queue_position: int | None = Field(
        description="Place among the tasks of this key that wait for the same step, from 1; 1000 is the 1000th or a "
        "later one. null unless it waits",
        examples=[3],
    )
    stage: str | None = Field(description="What is being done now", examples=["transcribe"])
    stage_detail: str | None = Field(examples=["transcribe 61 %, diarize 48 %"])
    error: TaskError | None
    created_at: datetime
    updated_at: datetime


class FileInfo(BaseModel):
    """The recording as it was sent, or as it was found behind its URL; before it is fetched only `url` is known."""

    name: str | None = Field(examples=["meeting.mp3"])
    bytes: int | None = Field(examples=[1_048_576])
    sha256: str | None
    url: str | None = Field(None, examples=["https://media.example/meeting.mp3"])


class StageInfo(BaseModel):
    """One step of the work."""

    name: str = Field(examples=["transcribe"])
    shard: int
    state: str
    progress: float = Field(ge=0, le=1)
    attempts: int
    error: TaskError | None
    started_at: datetime | None
    finished_at: datetime | None


class TaskDetail(TaskStatus):
    """All that is known about a task but its text."""

    options: JobOptions
    priority: Priority
    file: FileInfo
    cached: bool = Field(description="Answered from what was known, without any work")
    retry_of: uuid.UUID | None
    language: str | None = Field(examples=["en"])
    duration: float | None = Field(description="Length of the recording in seconds", examples=[61.3])
    model: str | None = Field(examples=["base"])
    speakers: int | None = Field(description="Number of speakers found")
    processing_time: float | None = Field(description="Seconds from the first worker's claim to the end")
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="When it will be erased; null while it runs, or for never")
    version: int = Field(description="Of the transcript; grows with each correction, 0 is the original", examples=[0])
    tags: list[str] = Field(examples=[["interview"]])
    reference: str | None = Field(description="The owner's own name for the task", examples=["case-17"])
    batch_id: uuid.UUID | None = Field(description="The batch that it came with")
    stages: list[StageInfo]


class SnippetRun(BaseModel):
    """A piece of plain text, not of HTML: escape it as any text."""

    text: str
    is_match: bool = Field(description="It is one of the words that were looked for")


class Snippet(BaseModel):
    """A place in a transcript where words are that were looked for."""

    runs: list[SnippetRun] = Field(description="In order; their texts joined are the place's text")
    start: float | None = Field(
        None, description="Second of the recording at which the first match is said, if it is known"
    )


class HistoryItem(BaseModel):
    """A task in the list of all tasks."""

    task_id: uuid.UUID
    status: JobState
    filename: str | None
    language: str | None
    duration: float | None
    model: str | None
    speakers: int | None
    cached: bool
    error: TaskError | None
    tags: list[str]
    reference: str | None
    batch_id: uuid.UUID | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    snippets: list[Snippet] | None = Field(None, description="With `q`: up to two places where the words are")


class History(BaseModel):
    """One page of this key's tasks, newest first."""

    items: list[HistoryItem]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")


class UsageItem(BaseModel):
    """What was used on a day, by a model, or by a key; null is what `by` does not name."""

    day: date | None = Field(description="UTC", examples=["2026-03-01"])
    model: str | None = Field(examples=["base"])
    key_id: uuid.UUID | None = Field(description="Only of GET /admin/usage")
    tasks: int = Field(description="Tasks that were done, with those answered from what was known")
    minutes: float = Field(description="Audio that was recognised for them")
    bytes: int = Field(description="Size of the recordings that were recognised")


class UsageTotal(BaseModel):
    """All of it."""

    tasks: int
    minutes: float
    bytes: int


class Usage(BaseModel):
    """What was used from one day to another, both included."""

    since: date
    until: date
    items: list[UsageItem]
    total: UsageTotal


class QuotaUse(BaseModel):
    """What a key uses of one limit."""

    used: int
    limit: int = Field(description="0 is none")


class OwnUsage(Usage):
    """Usage of this key, and what it has of its quotas now."""

    quotas: dict[str, QuotaUse] = Field(
        description="By the names of the limits in /admin/keys",
        examples=[{"max_open_uploads": {"used": 2, "limit": 100}}],
    )


class Receipt(BaseModel):
    """Proof of a deletion."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    erased: Literal[True]
    objects: int = Field(description="Number of objects removed from storage", examples=[5])
    erased_at: datetime
    verified: bool = Field(description="Storage was listed afterwards and is empty; false while it cannot be reached")


# ---- catalogue


class ModelInfo(BaseModel):
    """A speech model that may be asked for."""

    id: str = Field(examples=["base"])
    engine: str = Field(description="What runs it: faster_whisper or onnx", examples=["faster_whisper"])
    languages: list[str] = Field(description="Codes of the languages that it knows", examples=[["en"]])
    english_only: bool
    translates: bool = Field(description="Whether `task=translate` gives English text")
    detects_language: bool = Field(description="Without it, a model of several languages needs `language`")
    installed: bool | None = Field(
        description="Whether a running worker has its weights. null: unknown, as no worker that recognises speech is "
        "running, or one of them does not report its models",
        examples=[True],
    )
    loaded: bool | None = Field(
        description="Whether a running worker has it in memory; if not, the next task loads it first. null: unknown",
        examples=[True],
    )


class LiveModels(BaseModel):
    """Which models live sessions have."""

    model: str | None = Field(description="LIVE_MODEL; null: that of the task's transcript", examples=["base"])
    final_model: str | None = Field(
        description="LIVE_FINAL_MODEL; null: finals are recognised by the same model as partials", examples=["small"]
    )


class Models(BaseModel):
    """What `model` may be."""

    default: str = Field(description="`auto` is base on CPU and large-v3-turbo on CUDA", examples=["auto"])
    models: list[ModelInfo]
    live: LiveModels


class Language(BaseModel):
    """A language that may be asked for."""

    code: str = Field(examples=["de"])
    name: str = Field(examples=["German"])


class Languages(BaseModel):
    """What `language` may be, besides `auto`."""

    languages: list[Language]


# ---- health


class Live(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Health(BaseModel):
    """Each server behind the gateway: `ok`, or what is wrong in a few words."""

    status: Literal["ok", "degraded"]
    version: str
    checks: dict[str, str] = Field(examples=[{"database": "ok", "broker": "ok", "storage": "ok", "workers": "ok"}])


class QueueHealth(BaseModel):
    """One Celery queue."""

    workers: int = Field(description="Workers heard from in the last 30 s that take what waits")
    deaf: int = Field(
        description="Workers that live and take nothing, or fell silent in the last 10 minutes without a goodbye"
    )
    queued: int = Field(description="Stages that wait for a worker")
    running: int


class AsyncHealth(BaseModel):
    """Whether somebody works on each queue."""

    status: Literal["ok", "degraded"]
    queues: dict[str, QueueHealth]
