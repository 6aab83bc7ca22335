"""A backlog of any size for the benches: tasks that wait for speech recognition, made inside PostgreSQL.

They look as `new_jobs.submit` leaves tasks whose audio is known: download and convert are done, transcribe is queued
and not yet rung, merge and store wait, diarize is skipped. Every task has an answer of its own for convert.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection, text

from shared.ledger import folding
from shared.options import JobOptions

_FRESH = """
CREATE TEMP TABLE fresh ON COMMIT DROP AS
SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
              || 'b' || substr(md5(n::text), 1, 15))::uuid AS id,
       (CAST(:owners AS uuid[]))[1 + n % keys] AS owner_id, n / keys % 3 AS priority, md5('a' || n)::uuid AS answer, at
FROM (SELECT n, CAST(:keys AS int) AS keys, now() - make_interval(days => 1, secs => -n * 0.05) AS at
      FROM generate_series(CAST(:start AS int), CAST(:stop AS int)) AS n) AS numbers
"""

_ARTIFACTS = """
INSERT INTO artifacts (id, owner_id, stage, hash, key, bytes, meta)
SELECT answer, owner_id, 'convert', md5('c' || n) || md5(n || 'c'), owner_id || '/' || id || '/convert/0.1.wav',
       1920044, '{"duration": 60, "channels": 1}'
FROM fresh
"""

_JOBS = """
INSERT INTO jobs (id, owner_id, state, priority, filename, source_sha256, source_bytes, options, duration, created_at,
                  updated_at)
SELECT id, owner_id, 'queued', priority, 'call-' || n || '.wav', md5(n::text) || md5('s' || n), 480000,
       CAST(:options AS jsonb), 60, at, at
FROM fresh
"""

_STAGES = """
INSERT INTO stages (job_id, name, owner_id, priority, state, queue, hash, progress, artifact_id)
SELECT id, name, owner_id, priority, state, queue, md5(name || n) || md5(n || name), progress,
       CASE WHEN name = 'convert' THEN answer END
FROM fresh, (VALUES ('download', 'done', 'io', 1), ('convert', 'done', 'cpu', 1), ('transcribe', 'queued', 'asr', 0),
                    ('diarize', 'skipped', 'diarize', 0), ('merge', 'waiting', 'cpu', 0), ('store', 'waiting', 'io', 0)
            ) AS plan(name, state, queue, progress)
"""


def fill(connection: Connection, owners: Sequence[uuid.UUID], start: int, stop: int) -> None:
    """Insert the tasks `start` + 1 to `stop`, of these keys in turn and of all priorities. Needs a superuser.

    Other indexes than those of the primary keys are made afterwards, which is many times faster, the tables are
    vacuumed and analysed, and the ledger, whose triggers do not see these rows, is made anew.
    """
    connection.execute(text("SET session_replication_role = replica"))  # no look at the other table for every row
    indexes = connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('jobs', 'stages')"
            " AND indexname NOT LIKE '%_pkey'"
        )
    ).all()
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    parameters = {"owners": list(owners), "keys": len(owners), "start": start + 1, "stop": stop}
    connection.execute(text(_FRESH), parameters)
    connection.execute(text("ANALYZE fresh"))
    connection.execute(text(_ARTIFACTS))
    connection.execute(text(_JOBS), {"options": JobOptions(diarization=False).model_dump_json()})
    connection.execute(text(_STAGES))
    for _, definition in indexes:
        connection.execute(text(definition))
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM (ANALYZE) jobs, stages, artifacts"))
    folding.recount()
