"""The versions of a transcript as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import BaseModel, Field

from api.bodies.tasks import TASK_ID


class TranscriptVersion(BaseModel):
    """One version of a transcript."""

    version: int = Field(examples=[1])
    speakers: dict[str, str] = Field(description="Names in force", examples=[{"spk_1": "Anna"}])
    segments: int = Field(description="How many segments differ from the original")
    created_at: datetime | None


class TranscriptVersions(BaseModel):
    """All versions that are kept, newest first; the last one, 0, is the original."""

    task_id: uuid.UUID = Field(examples=[TASK_ID])
    version: int = Field(description="The newest, which GET /result shows")
    versions: list[TranscriptVersion]
