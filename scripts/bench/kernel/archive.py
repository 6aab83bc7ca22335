"""A history of any size for the benches: rows as finished tasks leave them, made inside PostgreSQL."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, text

COMMON, MEDIUM, RARE, OLD = "kommt", "mittel", "selten", "damals"
"""Words in every second transcript, in one of a hundred, in one of 100,000, and in every one of the older half."""

COMMON_TAG, RARE_TAG = "call", "court"
"""A label of every second task, and of one of 50,000."""

SECONDS_APART = 30
"""A million tasks are then a year."""

_ROWS = """
INSERT INTO jobs (id, owner_id, state, priority, filename, source_sha256, source_bytes, options, language,
                  language_probability, duration, model, speakers, full_text, tags, reference, created_at, updated_at,
                  started_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
            || 'b' || substr(md5(n::text), 1, 15))::uuid,
       :owner, CASE WHEN n % 50 = 0 THEN 'error' ELSE 'done' END, 1, 'call-' || n || '.wav', md5(n::text), 480000, '{}',
       CASE WHEN n % 200 = 0 THEN 'de' ELSE 'en' END, 0.98, 60,
       CASE WHEN n % 10000 = 0 THEN 'large-v3' ELSE 'base' END, 2,
       (SELECT string_agg('w' || (power(random(), 3) * 20000)::int, ' ') FROM generate_series(1, :words) WHERE n > 0)
            || CASE WHEN n % 2 = 0 THEN ' kommt' ELSE '' END || CASE WHEN n % 100 = 7 THEN ' mittel' ELSE '' END
            || CASE WHEN n % 100000 = 9 THEN ' selten' ELSE '' END
            || CASE WHEN n * 2 < :rows THEN ' damals' ELSE '' END,
       CASE WHEN n % 50000 = 3 THEN ARRAY['call', 'court'] WHEN n % 2 = 1 THEN ARRAY['call'] ELSE '{}' END,
       'case-' || n % 100000, at, at, at, at
FROM (SELECT n, now() - make_interval(secs => (:rows - n) * :apart) AS at FROM generate_series(1, :rows) AS n) AS times
"""


_ENTRIES = """
INSERT INTO search_entries (job_id, owner_id, keys, text)
SELECT id, owner_id,
       array_to_tsvector(ARRAY['@' || replace(owner_id::text, '-', ''), 'call', split_part(reference, '-', 2), 'case',
                               'wav'] || tags || string_to_array(full_text, ' ')),
       ' ' || full_text || ' ' || E'\\n ' || translate(filename, '-.', '  ') || ' ' || E'\\n '
           || translate(reference, '-', ' ') || ' '
FROM jobs WHERE owner_id = :owner
"""
"""As shared/search/entries.py makes them."""


def insert(connection: Connection, owner_id: uuid.UUID, rows: int, *, words: int = 60) -> None:
    """Insert so many tasks, the last one ending now, each with a transcript of so many words (150 are a minute)."""
    connection.execute(text(_ROWS), {"owner": owner_id, "rows": rows, "words": words, "apart": SECONDS_APART})
    connection.execute(text(_ENTRIES), {"owner": owner_id})


def fill(connection: Connection, owner_id: uuid.UUID, rows: int, *, words: int = 60) -> None:
    """The same with all indexes made afterwards, which is many times faster, and the tables vacuumed and analysed."""
    indexes = connection.execute(
        text(
            "SELECT indexname, indexdef FROM pg_indexes"
            " WHERE tablename IN ('jobs', 'search_entries') AND indexname NOT LIKE '%\\_pkey'"
        )
    ).all()
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    insert(connection, owner_id, rows, words=words)
    for _, definition in indexes:
        connection.execute(text(definition))
    connection.commit()
    connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM (ANALYZE) jobs, search_entries"))
