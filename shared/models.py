"""The tables. shared/migrations creates them; `alembic check` in the tests keeps the two the same."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7


class Base(DeclarativeBase):
    """Common types: every time is timestamptz, every dict jsonb, every string text. Defaults come back at once."""

    __mapper_args__ = {"eager_defaults": True}
    type_annotation_map = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        str: Text,
        uuid.UUID: Uuid,
        float: Float,
    }


class ApiKey(Base):
    """A caller. Only the SHA-256 of the key is kept."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    # limits of this key; null means the server's own
    requests_per_minute: Mapped[int | None]
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    minutes_per_day: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]


class Job(Base):
    """One recording on its way to a transcript. The id is a UUIDv7, so ids sort by time of submission."""

    __tablename__ = "jobs"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    state: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    filename: Mapped[str | None]
    source_url: Mapped[str | None]
    source_sha256: Mapped[str | None]  # of a recording that is still to be fetched, both are unknown
    source_bytes: Mapped[int | None] = mapped_column(BigInteger)
    options: Mapped[dict[str, Any]]
    cached: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    retry_of: Mapped[uuid.UUID | None]
    request_id: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    # the searchable summary, written by store
    language: Mapped[str | None]
    language_probability: Mapped[float | None]
    duration: Mapped[float | None]
    model: Mapped[str | None]
    speakers: Mapped[int | None]
    full_text: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("jobs_by_owner", "owner_id", "id"),
        Index("jobs_by_owner_state", "owner_id", "state", "id"),
        Index("jobs_by_state", "state", "id"),
    )


class AudioDay(Base):
    """How much audio a key has had transcribed on one day (UTC). Deleting tasks does not change it."""

    __tablename__ = "audio_days"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    seconds: Mapped[float]


class IdempotencyKey(Base):
    """A request that must not be carried out twice, by the name that its sender gave it."""

    __tablename__ = "idempotency_keys"

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("idempotency_keys_by_job", "job_id"), Index("idempotency_keys_by_age", "created_at"))


class Event(Base):
    """Something that a follower of a job is told: a change of state, progress, a finished segment."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("events_by_job", "job_id", "id"),)


class Artifact(Base):
    """The answer of one stage for one owner: where its bytes are and what went into it."""

    __tablename__ = "artifacts"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    stage: Mapped[str]
    hash: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    meta: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("owner_id", "stage", "hash"),)


class Stage(Base):
    """One stage (and shard) of one job: its lease, its attempts, its answer."""

    __tablename__ = "stages"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("0"))
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    priority: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    queue: Mapped[str]
    hash: Mapped[str]
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    fence: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    progress: Mapped[float] = mapped_column(server_default=text("0"))
    rings: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    rung_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    audio_seconds: Mapped[float | None]
    profile: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    artifact_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("artifacts.id"))

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        # lease_until and progress stay out of every index, so that a heartbeat is a cheap in-page update
        Index("stages_live", "state", "queue", postgresql_where=text("state IN ('queued', 'running')")),
        # the two sides of the ring window (shared/window.py): who has a place, and who waits for one, in order
        Index(
            "stages_rung",
            "queue",
            "owner_id",
            "priority",
            postgresql_where=text("CASE WHEN rung_at IS NOT NULL THEN state END IN ('queued', 'running')"),
        ),
        Index(
            "stages_backlog",
            "queue",
            "owner_id",
            "priority",
            "job_id",
            "name",
            "shard",
            postgresql_where=text("rung_at IS NULL AND state = 'queued'"),
        ),
        Index("stages_by_artifact", "artifact_id"),
        Index(
            "stages_speed", "name", "profile", "finished_at", postgresql_where=text("state = 'done' AND attempt > 0")
        ),
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

    __table_args__ = (Index("erasures_open", "created_at", postgresql_where=text("NOT settled")),)


class Worker(Base):
    """A worker process that has been heard from: the truth behind /health/ready and /health/async."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queues: Mapped[list[str]]
    slots: Mapped[int] = mapped_column(server_default=text("1"))  # stages that it runs at once
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
