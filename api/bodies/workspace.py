"""Bodies of the calls in api/routes/workspace."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shared.states import JobState

DAY_S = 24 * 3600
WEEK_S = 7 * DAY_S


class Peaks(BaseModel):
    """A waveform."""

    duration: float = Field(description="Seconds", examples=[61.3])
    peaks: list[list[float]] = Field(
        description="For each channel the loudest sample of each of equal stretches of time, from 0 to 1",
        examples=[[[0.02, 0.61, 0.58, 0.03]]],
    )


class SessionInfo(BaseModel):
    """A browser's session."""

    key_id: uuid.UUID = Field(description="Of the key that it stands for")
    name: str = Field(description="Of that key", examples=["Newsroom"])
    scopes: list[str] = Field(examples=[["transcribe"]])
    csrf_token: str = Field(description="Send it as X-CSRF-Token with each call that is not a GET")
    expires_at: datetime = Field(description="When it ends unless POST /session renews it; a week after its beginning")


class NewShare(BaseModel):
    """A link to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"expires_in": 604_800, "audio": True}})

    expires_in: int = Field(WEEK_S, ge=60, le=90 * DAY_S, description="Seconds until it is invalid; 90 days at most")
    audio: bool = Field(False, description="Whether the recording can be listened to as well")


class ShareInfo(BaseModel):
    """A link that shows a task."""

    share_id: uuid.UUID
    audio: bool = Field(description="Whether the recording can be listened to as well")
    created_at: datetime
    expires_at: datetime


class CreatedShare(ShareInfo):
    """With its secret, which is shown this once."""

    token: str = Field(examples=["sh_2vGk..."])
    url: str = Field(description="The path of its calls", examples=["/shared/sh_2vGk..."])


class Shares(BaseModel):
    """The valid links to a task."""

    items: list[ShareInfo]


class SharedTask(BaseModel):
    """A task as whoever has a link to it sees it."""

    status: JobState
    filename: str | None = Field(examples=["meeting.mp3"])
    duration: float | None = Field(description="Seconds", examples=[61.3])
    language: str | None = Field(examples=["en"])
    created_at: datetime
    audio: bool = Field(description="Whether the link includes the recording")
    expires_at: datetime = Field(description="Of the link")
