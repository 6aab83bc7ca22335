"""Bodies of requests and responses of Parley's own API. Times of day are RFC 3339 in UTC, durations are seconds."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

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
    """Where a task stands."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    status: JobState
    progress: int = Field(ge=0, le=100, description="Percent; never goes back", examples=[42])
    eta_seconds: int | None = Field(description="Seconds until it is done; null until that can be told", examples=[31])
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


class Receipt(BaseModel):
    """Proof of a deletion."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    erased: Literal[True]
    objects: int = Field(description="Number of objects removed from storage", examples=[5])
    erased_at: datetime
    verified: bool = Field(description="Storage was listed afterwards and is empty; false while it cannot be reached")


# ---- results


class ResultWord(BaseModel):
    """One spoken word."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: str | None


class ResultSegment(BaseModel):
    """A stretch of speech by one speaker."""

    id: int
    start: float
    end: float
    speaker: str | None = Field(examples=["spk_1"])
    text: str
    confidence: float
    words: list[ResultWord] | None = Field(None, description="Only with timestamp_granularity=word")


class ResultSpeaker(BaseModel):
    """A voice and how long it talks."""

    id: str = Field(examples=["spk_1"])
    name: str | None = Field(None, description="Only of a speaker that a correction has named")
    seconds: float


class ResultWarning(BaseModel):
    """Something to know before trusting the text."""

    code: str
    message: str
    start: float | None
    end: float | None


class ResultParagraph(BaseModel):
    """Segments of one speaker that belong together, as in the text format."""

    start: float
    end: float
    speaker: str | None = Field(examples=["spk_1"])
    text: str


class ResultStretch(BaseModel):
    """A part of the recording."""

    start: float
    end: float


class ResultQuality(BaseModel):
    """How far the text can be trusted, by what the models say themselves."""

    speech_seconds: float = Field(description="In which somebody is heard; of split channels, on each of them")
    dropped_seconds: float = Field(description="Of speech in the stretches of `dropped`")
    overlap_seconds: float | None = Field(description="In which several talk at once; null without speakers")
    words: int
    uncertain_words: int = Field(description="With a confidence below 0.5")
    mean_confidence: float | None = Field(description="Of all words; null without words", examples=[0.87])
    dropped: list[ResultStretch] = Field(description="Somebody speaks for 2 s or more, and there are no words")
    loops: list[ResultStretch] = Field(description="The recogniser repeats itself")
    low_confidence: list[ResultStretch] = Field(description="Segments with a confidence below 0.5")


class Result(BaseModel):
    """The transcript as JSON."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    status: JobState
    version: int = Field(description="Which version of the transcript this is; 0 is the original", examples=[0])
    language: str = Field(examples=["en"])
    language_probability: float
    duration: float
    model: str
    segments: list[ResultSegment]
    paragraphs: list[ResultParagraph]
    speakers: list[ResultSpeaker]
    full_text: str
    text: str = Field(description="The same as full_text")
    warnings: list[ResultWarning]
    quality: ResultQuality | None = Field(description="Null in transcripts made before there was a report")
    processing_time: float | None
    cached: bool


# ---- catalogue


class ModelInfo(BaseModel):
    """A Whisper model that may be asked for."""

    id: str = Field(examples=["base"])
    english_only: bool


class Models(BaseModel):
    """What `model` may be."""

    default: str = Field(description="`auto` is base on CPU and large-v3-turbo on CUDA", examples=["auto"])
    models: list[ModelInfo]


class Language(BaseModel):
    """A language that may be asked for."""

    code: str = Field(examples=["de"])
    name: str = Field(examples=["German"])


class Languages(BaseModel):
    """What `language` may be, besides `auto`."""

    languages: list[Language]


# ---- health


class Live(BaseModel):
    """The process answers."""

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


# ---- admin


def _number(given: object) -> object:
    """What JSON calls a number: 600 and 600.0, not "600" or true."""
    if isinstance(given, bool | str):
        raise ValueError("must be a number")
    return given


KeyLimit = Annotated[int, Field(ge=0, le=2_147_483_647), BeforeValidator(_number)] | None


class KeyLimits(BaseModel):
    """What a key may use. Null means the server's own setting, 0 any amount."""

    requests_per_minute: KeyLimit = Field(None, description="Requests that need a key; more are 429 rate_limited")
    max_running: KeyLimit = Field(None, description="Model stages that run at once; further tasks wait")
    max_queued: KeyLimit = Field(None, description="Tasks that wait for a worker; more are 429 too_many_queued")
    minutes_per_day: KeyLimit = Field(None, description="Minutes of audio per day (UTC); then 429 quota_exceeded")
    retention_seconds: KeyLimit = Field(
        None, description="How long its tasks are kept after their end, unless a task says otherwise; 0 for ever"
    )


class ChangedLimits(KeyLimits):
    """Limits to be set; those left out stay as they are."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"requests_per_minute": 600}})


class NewKey(KeyLimits):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "laptop"}})

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")
    ]
    scopes: list[Literal["transcribe", "admin"]] = Field(["transcribe"], min_length=1)


class KeyInfo(KeyLimits):
    """A key without the key."""

    id: uuid.UUID
    name: str
    prefix: str = Field(description="First characters of the key, to recognise it by", examples=["pk_8fJ2kQx9z"])
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None


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
