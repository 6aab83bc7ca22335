"""What service v1 answers, for OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

JOB_ID = "019aa5c87d3e7a419f0b5d6c2b8e1f4a"
"""The job of all examples. Ids of this API have no dashes."""

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]


class JobAccepted(BaseModel):
    """The answer to a recording that became a job."""

    job_id: str = Field(examples=[JOB_ID])
    status: Status
    message: str = Field(examples=["Transcription job accepted and queued for processing"])
    status_url: str = Field(examples=[f"/api/v1/status/{JOB_ID}"])
    estimated_time: int | None = Field(description="Seconds until it is done; null until that can be told")


class JobSummary(BaseModel):
    """A job in the list of all jobs."""

    job_id: str = Field(examples=[JOB_ID])
    status: Status
    filename: str | None = Field(examples=["audio.mp3"])
    created_at: datetime
    completed_at: datetime | None


class JobStatus(JobSummary):
    """Where a job stands."""

    progress: int = Field(ge=0, le=100, description="Percent; never goes back", examples=[42])
    estimated_time: int | None = Field(description="Seconds until it is done; null until that can be told")
    result: dict[str, Any] | None = Field(description="The transcript, when the job is completed")
    error: str | None
    error_code: str | None = Field(examples=["no_audio"])


class JobList(BaseModel):
    """One page of this key's jobs, newest first."""

    jobs: list[JobSummary]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page; null at the end")
