"""Who calls, what they have used, and which of their requests must not be carried out twice."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import BigInteger, Date, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.models.base import Base


class ApiKey(Base):
    """A caller. Only the SHA-256 of the key is kept."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    prefix: Mapped[str]  # to tell it by; no part of the secret
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    # limits of this key; null means the server's own
    requests_per_minute: Mapped[int | None]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    minutes_per_day: Mapped[int | None]
    max_open_uploads: Mapped[int | None]
    max_announced_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_waiting_deliveries: Mapped[int | None]
    webhook_tests_per_minute: Mapped[int | None]
    retention_seconds: Mapped[int | None]  # how long its finished tasks are kept; null means JOB_TTL_SECONDS
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]
    from_environment: Mapped[bool | None]  # API_KEY's, of which one is valid at a time; null: of a release before 0006


class BrowserSession(Base):
    """A browser that is signed in with a key, by the SHA-256 of its cookie. Rotated ones share a `family`."""

    __tablename__ = "browser_sessions"

    digest: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    family: Mapped[uuid.UUID]
    is_rotated: Mapped[bool]
    began_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]

    __table_args__ = (
        Index("browser_sessions_by_owner", "owner_id"),
        Index("browser_sessions_by_family", "family"),
        Index("browser_sessions_by_expiry", "expires_at"),
    )


class Share(Base):
    """A link that shows one task to whoever has it, by the SHA-256 of its secret."""

    __tablename__ = "shares"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    digest: Mapped[str] = mapped_column(unique=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    has_audio: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]

    __table_args__ = (Index("shares_by_job", "job_id"),)


class AudioDay(Base):
    """How much audio a key has had transcribed on one day (UTC). Deleting tasks does not change it."""

    __tablename__ = "audio_days"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    seconds: Mapped[float]


class UsageDay(Base):
    """What a key has had transcribed on one day (UTC) by one model. Deleting tasks does not change it."""

    __tablename__ = "usage_days"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    tasks: Mapped[int]
    seconds: Mapped[float]
    bytes: Mapped[int] = mapped_column(BigInteger)


class IdempotencyKey(Base):
    """A request that must not be carried out twice, by the name that its sender gave it."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    # what the request has made: one of the two
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    batch_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE", name="idempotency_keys_batch")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index("idempotency_keys_by_job", "job_id"),
        Index("idempotency_keys_by_batch", "batch_id"),
        Index("idempotency_keys_by_age", "created_at"),
    )
