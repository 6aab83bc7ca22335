"""Jobs: the recording, its stages and their answers, and what is kept with it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    SmallInteger,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column
from uuid_utils.compat import uuid7

from shared.models.base import Base

SEARCHABLE = (
    "CASE WHEN full_text IS NULL THEN NULL ELSE array_to_tsvector(ARRAY[owner_id::text])"
    " || to_tsvector('simple'::regconfig, left(full_text,"
    " CASE WHEN octet_length(left(full_text, 330000)) <= 340000 THEN 330000"
    " WHEN octet_length(left(full_text, 170000)) <= 340000 THEN 170000 ELSE 85000 END)) END"
)
"""The owner and the words of a transcript, so that one index finds the words of one owner. PostgreSQL takes 1 MiB of
them and fails beyond; a byte of text makes at most 3 (in words-with-hyphens, which are noted as a whole and in parts),
so 340,000 bytes fit: 5 hours of speech in Latin script. Stemming is language-specific and an archive mixes languages,
so we use `simple`, which does not stem. Null until the job is done, so that no queue pays for the index."""

TAGGED = "array_append(tags, owner_id::text)"
"""The tags of a job and its owner, for the same reason."""


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
    search: Mapped[str | None] = mapped_column(TSVECTOR, Computed(SEARCHABLE, persisted=True), deferred=True)
    # what the owner keeps with the task
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    reference: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer, server_default=text("0"))  # of the corrections; 0 is the original
    retention_seconds: Mapped[int | None]
    webhook_url: Mapped[str | None]
    batch_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("batches.id", ondelete="SET NULL", name="jobs_batch"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.clock_timestamp())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # set when the task ends, if it is to be erased

    __table_args__ = (
        Index("jobs_by_owner", "owner_id", "id"),
        Index("jobs_by_owner_state", "owner_id", "state", "id"),
        Index("jobs_by_state", "state", "id"),
        Index("jobs_by_source", "owner_id", "source_sha256"),
        # what a page of the history is found by; each ends with the id, so that a page is a range of the index
        Index("jobs_by_language", "owner_id", "language", "id", postgresql_where=text("language IS NOT NULL")),
        Index("jobs_by_model", "owner_id", "model", "id", postgresql_where=text("model IS NOT NULL")),
        Index("jobs_by_reference", "owner_id", "reference", "id", postgresql_where=text("reference IS NOT NULL")),
        Index("jobs_by_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        # which of a batch are unfinished and which began first, whatever its size
        Index("jobs_by_batch_state", "batch_id", "state", "started_at", postgresql_where=text("batch_id IS NOT NULL")),
        # what has ended since a moment, for who follows all tasks of a key
        Index("jobs_by_end", "owner_id", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("jobs_by_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index("jobs_by_tag", text(TAGGED), postgresql_using="gin", postgresql_where=text("tags <> '{}'")),
        Index("jobs_by_word", "search", postgresql_using="gin", postgresql_where=text("search IS NOT NULL")),
    )


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
        # the two sides of shared/kernel/ring_window.py: who has a place, and who waits for one, in order
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
        # the head of the queue of each stage and priority, by which its oldest task is found
        Index("stages_queued", "name", "priority", "job_id", postgresql_where=text("state = 'queued'")),
        Index("stages_by_artifact", "artifact_id"),
        Index(
            "stages_speed", "name", "profile", "finished_at", postgresql_where=text("state = 'done' AND attempt > 0")
        ),
    )


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
    used_at: Mapped[datetime] = mapped_column(server_default=func.now())  # of audio: when it was last found in use
    # of a copy: the audio that it belongs to and goes with
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("artifacts.id", ondelete="CASCADE", name="artifacts_parent")
    )

    __table_args__ = (
        Index("artifacts_by_parent", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
        UniqueConstraint("owner_id", "stage", "hash"),
        Index("artifacts_audio", "used_at", postgresql_where=text("stage = 'convert'")),
        Index("artifacts_expired", "used_at", postgresql_where=text("stage = 'expired' AND bytes > 0")),
    )


class Event(Base):
    """Something that a follower of a job is told: a change of state, progress, a finished segment."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("events_by_job", "job_id", "id"),)


class Correction(Base):
    """One edit of a finished transcript: all speaker names and segment texts that differ from the original."""

    __tablename__ = "corrections"

    job_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    speakers: Mapped[dict[str, Any]]
    segments: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Batch(Base):
    """Many tasks submitted at once. `finished_at` is set with the end of the last of them."""

    __tablename__ = "batches"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid7)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("api_keys.id"))
    total: Mapped[int]
    reference: Mapped[str | None]
    webhook_url: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("batches_by_owner", "owner_id", "id"),)
