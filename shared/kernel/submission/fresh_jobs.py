"""Many jobs of recordings of which no answer is known, made by one statement: those of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.models import Job
from shared.search import entries


def insert(session: Session, jobs: Sequence[Job], stages: Sequence[Mapping[str, Any]]) -> None:
    """Insert jobs with their search entries and stages, none of which is rung yet.

    jobs : as they are to be, and no objects of the session
    stages : rows of all the jobs, as `fresh_job.rows` gives them, with `job_id`
    """
    rows = [{**{name: getattr(job, name) for name in _JOB}, **entries.values(job)} for job in jobs]
    session.flush()
    values = {name: json.dumps(table, default=str) for name, table in (("jobs", rows), ("stages", stages))}
    session.execute(_INSERT, values)


_JOB = {
    **{"id": "uuid", "owner_id": "uuid", "state": "text", "priority": "smallint", "filename": "text"},
    **{"source_url": "text", "source_sha256": "text", "source_bytes": "bigint", "options": "jsonb"},
    **{"request_id": "text", "retry_of": "uuid", "batch_id": "uuid", "tags": "text[]", "reference": "text"},
    **{"retention_seconds": "integer", "webhook_url": "text"},
}
_ENTRY = {"entry_id": "uuid", "entry_owner": "uuid", "entry_keys": "text[]", "entry_text": "text"}
_STAGE = {
    **{"job_id": "uuid", "name": "text", "owner_id": "uuid", "priority": "smallint", "state": "text", "queue": "text"},
    **{"hash": "text", "progress": "real", "artifact_id": "uuid"},
}
"""Columns and their types, as JSON is read."""


def _columns(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


_INSERT = text(f"""
    WITH made AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:jobs AS jsonb)) AS row({_columns(_JOB | _ENTRY)})
    ), job AS (
        INSERT INTO jobs ({", ".join(_JOB)}) SELECT {", ".join(_JOB)} FROM made
    ), entry AS (
        INSERT INTO search_entries (job_id, owner_id, keys, text)
        SELECT entry_id, entry_owner, array_to_tsvector(entry_keys), entry_text FROM made
    )
    INSERT INTO stages ({", ".join(_STAGE)})
    SELECT {", ".join(_STAGE)} FROM jsonb_to_recordset(CAST(:stages AS jsonb)) AS row({_columns(_STAGE)})
""")  # noqa: S608 - made of the names above
