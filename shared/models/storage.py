"""What lies in the bucket and is no answer of a job: uploads on their way in, deletions on their way out."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.models.base import Base


class Upload(Base):
    """A recording that arrives in parts. It ends as an artifact of the download stage, which tasks are made from."""

    __tablename__ = "uploads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    state: Mapped[str]
    filename: Mapped[str | None]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    part_bytes: Mapped[int] = mapped_column(BigInteger)
    key: Mapped[str]
    storage_id: Mapped[str | None]  # of the multipart upload in S3
    artifact_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    checking_until: Mapped[datetime | None]  # somebody is at it; later than this, not any more
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uploads_by_owner", "owner_id", "id"),
        Index("uploads_by_expiry", "expires_at"),
        Index("uploads_by_artifact", "artifact_id"),
        Index("uploads_open", "owner_id", postgresql_where=text("state <> 'complete'")),
    )


class Erasure(Base):
    """A deletion in progress or done: what must be gone from storage. Kept as the proof that it is."""

    __tablename__ = "erasures"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID]
    prefix: Mapped[str]
    keys: Mapped[list[str]]
    objects: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    verified_at: Mapped[datetime | None]
    settled: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    __table_args__ = (
        Index("erasures_open", "created_at", postgresql_where=text("NOT settled")),
        Index("erasures_by_owner", "owner_id", "created_at"),
    )
