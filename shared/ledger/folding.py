"""Adding changes up, and counting anew.

Who folds holds a lock, so that two never take the same changes. Nobody waits for it: readers add what is not folded
yet, and writers only insert.
"""

from __future__ import annotations

import time

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from shared.db import session
from shared.ledger.counts import UNFINISHED
from shared.telemetry.logs import get_logger

FOLD_LOCK = 7_275_543
"""Advisory lock, any constant that nothing else has."""

AT_ONCE = 10_000
"""Changes that one transaction takes."""

FOLD_S = 1.0
"""What one sweep gives the ledger, of its five seconds."""

LONG = 1000
"""Changes that a reader need not mind; more means that no worker sweeps, or that very much changes."""

RECOUNT_TIMEOUT_S = 600
"""Counting anew reads all unfinished stages and all tasks: a few seconds for a million."""

log = get_logger(__name__)


def sweep(seconds: float = FOLD_S) -> int:
    """Fold what there is, for about this long. Returns how many changes were folded."""
    deadline, count = time.monotonic() + seconds, 0
    while True:
        with session() as work:
            folded = fold(work)
        count += folded
        if folded < AT_ONCE or time.monotonic() >= deadline:
            return count


def keep_short() -> None:
    """Fold once if many changes wait: for whoever reads while no worker sweeps."""
    with session() as work:
        if work.scalar(_IS_LONG):
            fold(work)


def fold(work: Session) -> int:
    """Add at most AT_ONCE changes of each kind to the counts; none while somebody else folds. Returns how many."""
    if not work.scalar(select(func.pg_try_advisory_xact_lock(FOLD_LOCK))):
        return 0
    stages = work.execute(_FOLD_STAGES, {"most": AT_ONCE}).scalar_one()
    jobs, batches = work.execute(_FOLD_JOBS, {"most": AT_ONCE}).one()
    _forget_zeros(work, batches)
    return int(stages + jobs)


def recount() -> int:
    """Count all rows and set right what is wrong, while others go on working. Returns how many counts were wrong.

    Triggers keep them right; what goes past the triggers (a load with `session_replication_role = replica`, a table
    that was emptied by hand) does not.
    """
    with session() as work:
        work.execute(select(func.pg_advisory_xact_lock(FOLD_LOCK)))
        work.execute(text(f"SET LOCAL statement_timeout = '{RECOUNT_TIMEOUT_S}s'"))
        wrong = 0
        for statement in (_RECOUNT_STAGES, _RECOUNT_OWNERS, _RECOUNT_BATCHES):
            wrong += work.execute(statement).scalar_one()
        work.execute(text("DELETE FROM owner_counts WHERE n = 0"))
        work.execute(text("DELETE FROM batch_counts WHERE n = 0"))
    if wrong:
        log.warning("ledger_recounted", wrong=wrong)
    return wrong


def _forget_zeros(work: Session, batches: object) -> None:
    """There are as many rows of keys as keys have work; of batches only those that were folded are looked at."""
    work.execute(text("DELETE FROM owner_counts WHERE n = 0"))
    if batches:
        work.execute(text("DELETE FROM batch_counts WHERE n = 0 AND batch_id = ANY(:batches)"), {"batches": batches})


# ---- SQL. A statement sees one moment: the rows and the changes of it belong together.

_UNFINISHED = ", ".join(f"'{state}'" for state in UNFINISHED)

_IS_LONG = text(f"""
    SELECT EXISTS (SELECT FROM stage_changes OFFSET {LONG}) OR EXISTS (SELECT FROM job_changes OFFSET {LONG})
""")  # noqa: S608

_FOLD_STAGES = text("""
    WITH gone AS (
        DELETE FROM stage_changes WHERE id IN (SELECT id FROM stage_changes ORDER BY id LIMIT :most)
        RETURNING name, priority, state, n
    ), folded AS (
        INSERT INTO stage_counts (name, priority, state, n)
        SELECT name, priority, state, sum(n) FROM gone GROUP BY name, priority, state HAVING sum(n) <> 0
        ON CONFLICT (name, priority, state) DO UPDATE SET n = stage_counts.n + excluded.n
    )
    SELECT count(*) FROM gone
""")

_FOLD_JOBS = text(f"""
    WITH gone AS (
        DELETE FROM job_changes WHERE id IN (SELECT id FROM job_changes ORDER BY id LIMIT :most)
        RETURNING owner_id, batch_id, state, has_begun, n
    ), owners AS (
        INSERT INTO owner_counts (owner_id, state, n)
        SELECT owner_id, state, sum(n) FROM gone WHERE state IN ({_UNFINISHED})
        GROUP BY owner_id, state HAVING sum(n) <> 0
        ON CONFLICT (owner_id, state) DO UPDATE SET n = owner_counts.n + excluded.n
    ), batches AS (
        INSERT INTO batch_counts (batch_id, state, has_begun, n)
        SELECT batch_id, state, has_begun, sum(n) FROM gone WHERE batch_id IS NOT NULL
        GROUP BY batch_id, state, has_begun HAVING sum(n) <> 0
        ON CONFLICT (batch_id, state, has_begun) DO UPDATE SET n = batch_counts.n + excluded.n
        RETURNING batch_id
    )
    SELECT (SELECT count(*) FROM gone), (SELECT array_agg(DISTINCT batch_id) FROM batches)
""")  # noqa: S608


def _recount(counts: str, key: str, rows: str, changes: str) -> str:
    """Set those of the `counts` that differ from the `rows` to what makes them right together with the `changes`."""
    return f"""
        WITH truth AS (
            SELECT {key}, sum(n) AS n FROM ({rows} UNION ALL {changes}) AS parts GROUP BY {key}
        ), wrong AS (
            SELECT {key}, coalesce(truth.n, 0) AS n FROM truth FULL JOIN {counts} USING ({key})
            WHERE coalesce(truth.n, 0) <> coalesce({counts}.n, 0)
        ), corrected AS (
            INSERT INTO {counts} ({key}, n) SELECT {key}, n FROM wrong
            ON CONFLICT ({key}) DO UPDATE SET n = excluded.n
        )
        SELECT count(*) FROM wrong
    """  # noqa: S608 - made of constants


_RECOUNT_STAGES = text(
    _recount(
        "stage_counts",
        "name, priority, state",
        "SELECT name, priority, state, 1 AS n FROM stages WHERE state IN ('queued', 'running')",
        "SELECT name, priority, state, -n FROM stage_changes",
    )
)

_RECOUNT_OWNERS = text(
    _recount(
        "owner_counts",
        "owner_id, state",
        f"SELECT owner_id, state, 1 AS n FROM jobs WHERE state IN ({_UNFINISHED})",  # noqa: S608
        f"SELECT owner_id, state, -n FROM job_changes WHERE state IN ({_UNFINISHED})",  # noqa: S608
    )
)

_RECOUNT_BATCHES = text(
    _recount(
        "batch_counts",
        "batch_id, state, has_begun",
        "SELECT batch_id, state, started_at IS NOT NULL AS has_begun, 1 AS n FROM jobs WHERE batch_id IS NOT NULL",
        "SELECT batch_id, state, has_begun, -n FROM job_changes WHERE batch_id IS NOT NULL",
    )
)
