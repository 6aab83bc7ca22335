"""A job with its stages as one row, by SQL that the gateway's event loop and the sessions of threads share.

Nothing here runs it: `shared.db.first_row` does for a session, api/postgres/reader.py for the event loop.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from shared.callers import keys
from shared.db import Query


@dataclass(slots=True)
class JobRow:
    """The columns of a job that its owner is shown, by their names, but for the text, which may be megabytes."""

    id: uuid.UUID
    owner_id: uuid.UUID
    state: str
    priority: int
    filename: str | None
    source_url: str | None
    source_sha256: str | None
    source_bytes: int | None
    options: dict[str, Any]
    cached: bool
    retry_of: uuid.UUID | None
    error_code: str | None
    error_message: str | None
    language: str | None
    duration: float | None
    model: str | None
    speakers: int | None
    tags: list[str]
    reference: str | None
    version: int
    batch_id: uuid.UUID | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None


@dataclass(slots=True)
class StageRow:
    """The columns of a stage that its job's progress, forecast and details are told by."""

    name: str
    shard: int
    state: str
    progress: float
    attempt: int
    error_code: str | None
    error_message: str | None
    audio_seconds: float | None
    profile: str | None
    started_at: datetime | None
    finished_at: datetime | None


def _columns(table: str, kind: type[JobRow | StageRow]) -> str:
    return ", ".join(f"{table}.{field.name}" for field in fields(kind))


# ruff: noqa: S608 - these texts are made of names in this file; values are parameters
STAGES_OF_JOB = (
    f"(SELECT json_agg(json_build_array({_columns('s', StageRow)}) ORDER BY s.shard)"
    " FROM stages s WHERE s.job_id = j.id)"
)
JOB = f"{_columns('j', JobRow)}, {STAGES_OF_JOB}"
OWNERS_JOB = f"SELECT {JOB} FROM jobs j WHERE j.id = %(job_id)s AND j.owner_id = %(owner_id)s"
KEYS_JOB = (
    f"SELECT {keys.COLUMNS}, {JOB} FROM api_keys k LEFT JOIN jobs j ON j.id = %(job_id)s AND j.owner_id = k.id WHERE "
)

TIMES = 2
"""The last columns of a stage."""

RECENT_RUNS = 20
"""Runs that the forecast is the mean of: enough to be steady, few enough to follow a change of machine."""

SPEED = f"""\
SELECT avg(speed) FROM (
    SELECT extract(epoch FROM finished_at - started_at) / audio_seconds AS speed FROM stages
    WHERE name = %(name)s AND state = 'done' AND attempt > 0 AND audio_seconds > 0 AND profile LIKE %(profile)s
    ORDER BY finished_at DESC LIMIT {RECENT_RUNS}
) AS recent"""

SPEED_FRESH_S = 2.0
"""The mean of so many runs changes slowly; those who poll once a second and oftener share it."""


def owners_job(owner_id: uuid.UUID, job_id: uuid.UUID) -> Query:
    """One job of an owner, as `parts` takes it; no row when the owner has no such job."""
    return Query(OWNERS_JOB, {"owner_id": owner_id, "job_id": job_id})


def keys_job(key: str, job_id: uuid.UUID) -> Query:
    """The key, as `keys.caller` takes it, and behind its columns one job of its owner, all null when there is none.

    No row when the key is not valid.
    """
    return Query(KEYS_JOB + keys.is_valid(key), {"digest": keys.digest(key), "job_id": job_id})


def speed(name: str, profile: str) -> Query:
    """Seconds of work per second of audio: the mean of recent runs of a stage; null when there were none.

    profile : as LIKE takes it
    """
    return Query(SPEED, {"name": name, "profile": profile}, SPEED_FRESH_S)


def parts(row: Sequence[Any]) -> tuple[JobRow, list[StageRow]]:
    """The job and its stages, shards in order."""
    *columns, stages = row
    return JobRow(*columns), [_stage(*columns) for columns in stages or ()]


def _stage(*columns: Any) -> StageRow:
    stage = StageRow(*columns)
    stage.progress = float(stage.progress)  # JSON has times only as text, and whole numbers without a fraction
    stage.started_at, stage.finished_at = (
        datetime.fromisoformat(value) if value else None for value in columns[-TIMES:]
    )
    return stage
