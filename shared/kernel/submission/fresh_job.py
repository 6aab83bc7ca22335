"""A job of a recording of which no answer is known, made by one statement. Nearly all jobs are.

Made as jobs.py makes the others, through objects, one takes ten statements and three times as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from shared.callers import quotas
from shared.config import Settings
from shared.db import Statement, statement_maker
from shared.kernel import ring_window
from shared.kernel.audio import EXPIRED
from shared.kernel.orders import Artifacts, JobOrder, Source, stage_rows
from shared.kernel.shards import SHARDED
from shared.models import Job
from shared.rings import Ring
from shared.search import entries
from shared.stages import PROBE, SOURCE, STAGES
from shared.states import JobState, StageState

COLUMNS = (
    *("id", "owner_id", "state", "priority", "filename", "source_url", "source_sha256", "source_bytes", "options"),
    *("request_id", "retry_of", "batch_id", "tags", "reference", "retention_seconds", "webhook_url"),
)
"""Of a job: what its submission decides."""


def insert(session: Session, order: JobOrder, job: Job, hashes: Mapping[str, str]) -> tuple[Ring, ...] | None:
    """Insert `job`, its stages and, of an upload, its recording; the rings that follow.

    None, with nothing inserted, when an answer is known, when the job waits for something else first, and when not one
    but several of its stages can begin.

    job : as it is to be, and no object of the session
    """
    values = _values(order, job, hashes)
    if values is None:
        return None
    session.flush()
    row = session.execute(_UPLOAD if isinstance(order.source, Source) else _REMOTE, values).one_or_none()
    if row is None:
        return None
    place = complete(job, row)
    return ring_window.rings_of_fresh(session, place, job.id, PROBE if isinstance(order.source, Source) else SOURCE)


def statement(order: JobOrder, job: Job, hashes: Mapping[str, str], config: Settings) -> Statement | None:
    """`insert` of an announced upload as a whole transaction, with the end of the announcement and a look at the key's
    quotas: `complete` takes its row.

    It has none, and has changed nothing, where `insert` gives None, when the announcement is over, and when the key is
    not valid, is near a limit or has somebody to be told. None where objects are needed in any case.
    """
    values = _values(order, job, hashes)
    if values is None or not isinstance(order.source, Source):
        return None
    return _ANNOUNCED_UPLOAD(values | quotas.limits_of(config))


def complete(job: Job, row: Sequence[Any]) -> Sequence[Any]:
    """Complete the job by the statement's row; its place in the ring window."""
    job.created_at, job.updated_at, *place = row
    job.cached = False
    return place


def _values(order: JobOrder, job: Job, hashes: Mapping[str, str]) -> dict[str, Any] | None:
    """The statement's parameters; None when objects are needed."""
    upload = order.source if isinstance(order.source, Source) else None
    stages = rows(order, hashes, {})
    ready = [row for row in stages if row["state"] == StageState.QUEUED]
    if job.state != JobState.QUEUED or len(ready) != 1:
        return None
    values: dict[str, Any] = {name: getattr(job, name) for name in COLUMNS}
    values |= {"options": json.dumps(job.options), "stages": _as_json(stages), **entries.values(job)}
    values |= {"artifact_id": uuid7(), "key": upload.key} if upload else {}
    return values | ring_window.binds(job.owner_id, job.priority, [ready[0]["queue"]])


def _as_json(stages: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps([{name: row[name] for name in ("name", "queue", "state", "hash")} for row in stages])


def rows(order: JobOrder, hashes: Mapping[str, str], artifacts: Artifacts) -> list[dict[str, Any]]:
    """The rows of the stages of a job of which no more is known than its recording, ready to begin.

    An upload that is no artifact yet is done all the same, and its artifact is still to be named.
    """
    stages = stage_rows(order, hashes, [{"hash": hashes[SHARDED]}], artifacts)
    if isinstance(order.source, Source):
        next(row for row in stages if row["name"] == SOURCE).update(state=StageState.DONE, progress=1.0)
    settled = {row["name"] for row in stages if row["state"] in (StageState.SKIPPED, StageState.DONE)}
    for row in stages:
        if row["state"] == StageState.WAITING and settled.issuperset(STAGES[row["name"]].needs):
            row["state"] = StageState.QUEUED
    return stages


# ---- SQL. Made of names in this file and of the tables'; values are parameters.
# ruff: noqa: S608


def _stored(condition: str) -> str:
    return f"""
        INSERT INTO artifacts (id, owner_id, stage, hash, key, bytes, meta)
        SELECT :artifact_id, :owner_id, '{SOURCE}', :source_sha256, :key, :source_bytes, '{{}}'
        WHERE {condition}
        -- an equal upload that is being committed right now: then there is an answer, and nothing is inserted here
        ON CONFLICT (owner_id, stage, hash) DO NOTHING RETURNING id
    """


_NOTHING = "SELECT CAST(NULL AS uuid) AS id WHERE NOT EXISTS (SELECT FROM known)"


# The time is compared behind the lock, and by the clock: nobody may wait any more for the answer of a statement that
# waited for the lock, and whoever held it may have ended the announcement, so that its object can be removed.
_IS_ANNOUNCED = "EXISTS (SELECT FROM announced WHERE created_at > clock_timestamp())"
_ANNOUNCED = f"""
    SELECT created_at FROM erasures
    WHERE job_id = :id AND NOT EXISTS (SELECT FROM known)
      AND EXISTS (SELECT FROM api_keys k WHERE k.id = :owner_id AND k.revoked_at IS NULL AND {quotas.IS_FAR})
    FOR UPDATE
"""
_KEPT = "DELETE FROM erasures USING source WHERE job_id = :id"


def _statement(source: str, before: str = "", after: str = "") -> str:
    # from JSON, of which PostgreSQL guesses always the same number of rows, so that it keeps its plan
    return f"""
        WITH planned AS MATERIALIZED (
            SELECT name, queue, state, hash
            FROM jsonb_to_recordset(CAST(:stages AS jsonb)) AS row(name text, queue text, state text, hash text)
        ), known AS (
            -- LIMIT, for an index: the planner takes the JSON for 100 rows, and would read all that the owner has
            SELECT FROM planned CROSS JOIN LATERAL (
                SELECT FROM artifacts
                WHERE owner_id = :owner_id AND stage = ANY(ARRAY[planned.name, '{EXPIRED}']) AND hash = planned.hash
                LIMIT 1
            ) AS answer
        ), place AS ({ring_window.of_one_key(1)}
        ){before}, source AS ({source}
        ){after}, job AS (
            INSERT INTO jobs ({", ".join(COLUMNS)}) SELECT {", ".join(f":{name}" for name in COLUMNS)} FROM source
            RETURNING id, owner_id, priority, created_at, updated_at
        ), entry AS (
            INSERT INTO search_entries (job_id, owner_id, keys, text)
            SELECT id, owner_id, array_to_tsvector(:entry_keys), :entry_text FROM job
        ), stage AS (
            INSERT INTO stages
                (job_id, name, shard, owner_id, priority, state, queue, hash, progress, artifact_id, rung_at, rings)
            SELECT job.id, name, 0, job.owner_id, job.priority, state, planned.queue, hash,
                   CASE WHEN state = 'done' THEN 1 ELSE 0 END, CASE WHEN state = 'done' THEN source.id END,
                   CASE WHEN state = 'queued' AND {ring_window.HAS_ROOM} THEN now() END,
                   CASE WHEN state = 'queued' AND {ring_window.HAS_ROOM} THEN 1 ELSE 0 END
            FROM source, job, place, planned
        )
        SELECT created_at, updated_at, place.* FROM job, place
    """


_UPLOAD = text(_statement(_stored("NOT EXISTS (SELECT FROM known)")))
_REMOTE = text(_statement(_NOTHING))
_ANNOUNCED_UPLOAD = statement_maker(
    text(_statement(_stored(_IS_ANNOUNCED), f", announced AS ({_ANNOUNCED})", f", kept AS ({_KEPT})"))
)
