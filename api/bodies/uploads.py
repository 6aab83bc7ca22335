"""Bodies of requests and answers about uploads in parts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.bodies.tasks import TaskError
from shared.intake.uploads import UploadState

UPLOAD_ID = "019aa5c8-9b1c-7d52-8a3e-2f6b0c4d7e91"

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{64}$", to_lower=True)]


class NewUpload(BaseModel):
    """Body of POST /uploads."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(gt=0, description="Size of the recording", examples=[10_737_418_240])
    filename: str | None = Field(None, max_length=4096, examples=["conference.wav"])
    sha256: Sha256 | None = Field(
        None, description="Of the whole recording, in hex. Compared at the end; known bytes need not be sent at all"
    )
    part_bytes: int | None = Field(
        None, description="Size of a part, 5 MiB to 5 GiB; only the last one may be smaller", examples=[16_777_216]
    )


class UploadPart(BaseModel):
    """One part. Send it to `path` here, with the API key; or to `url`, without one."""

    number: int = Field(ge=1, examples=[1])
    bytes: int = Field(description="The size that it must have", examples=[16_777_216])
    received_bytes: int | None = Field(description="The size that it has; null until it has arrived")
    etag: str | None = Field(description="Changes with the content; with most stores the MD5 of the part")
    path: str = Field(examples=[f"/uploads/{UPLOAD_ID}/parts/1"])
    url: str | None = Field(
        description="Presigned, for a PUT with exactly these bytes; null when it is not needed, or "
        "when this server offers none"
    )


class UploadInfo(BaseModel):
    """An upload in parts."""

    upload_id: uuid.UUID = Field(examples=[UPLOAD_ID])
    state: UploadState = Field(description="open, checking or complete; only a complete one can be transcribed")
    filename: str | None
    bytes: int
    sha256: str | None = Field(description="As announced; when complete, of what is stored")
    part_bytes: int
    part_count: int
    error: TaskError | None = Field(description="Why the last attempt to complete it failed")
    created_at: datetime
    expires_at: datetime = Field(description="Until then it can be sent and used")
    completed_at: datetime | None


class Uploads(BaseModel):
    """A page of uploads."""

    items: list[UploadInfo]
    next_cursor: str | None = Field(description="Pass as cursor for the next page; null at the end")


class UploadDetail(UploadInfo):
    """An upload with a page of its parts; they are listed while it is open."""

    received_parts: int = Field(description="Parts that have arrived in their full size")
    received_bytes: int
    parts: list[UploadPart]
    next_part: int | None = Field(description="Pass as first_part for the next page; null at the end")
    urls_expire_at: datetime | None = Field(description="When the presigned URLs of this answer end")


class ReceivedPart(BaseModel):
    """A part that has arrived."""

    number: int
    bytes: int
    etag: str


class UploadReceipt(BaseModel):
    """Proof that an upload was deleted. A recording that a task uses stays until that task is deleted."""

    upload_id: uuid.UUID = Field(examples=[UPLOAD_ID])
    erased: Literal[True]
    objects: int = Field(description="Number of objects removed from storage", examples=[1])
    erased_at: datetime
    verified: bool = Field(description="Storage was listed afterwards and is empty; false while it cannot be reached")
