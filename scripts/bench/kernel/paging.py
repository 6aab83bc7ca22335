"""`python -m scripts.bench.kernel.paging`: pages of a long history, the first and one 400,000 tasks deep (goal P7).

For every filter and for words of every kind the two pages are read in turn (A B A B ...); the ratio is that of the
medians. Each listing is explained as well: a sequential scan, or a sort of more rows than an inverted index can have
found, ends the run with status 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text

from api.history.search import Filters, page
from scripts.bench.kernel.archive import COMMON, COMMON_TAG, MEDIUM, OLD, RARE, RARE_TAG, fill
from scripts.bench.kernel.statements import explained, nodes, noted
from scripts.local.stack import Stack
from shared.callers import keys
from shared.db import engine, session
from shared.models import Job
from shared.states import JobState

GOAL = 1.5
PAGE = 20

LISTINGS: Mapping[str, Filters] = {
    "all": Filters(),
    "state of 98 %": Filters(state=JobState.DONE),
    "state of 2 %": Filters(state=JobState.ERROR),
    "language of 0.5 %": Filters(language="de"),
    "model of 0.01 %": Filters(model="large-v3"),
    "reference": Filters(reference="case-17"),
    "language and state": Filters(language="de", state=JobState.ERROR),
    "half a year": Filters(until=datetime.now(UTC) - timedelta(days=1), since=datetime.now(UTC) - timedelta(days=180)),
    "tag of 50 %": Filters(tags=(COMMON_TAG,)),
    "tag of 0.002 %": Filters(tags=(RARE_TAG,)),
    "word in 50 %": Filters(words=COMMON),
    "word in 1 %": Filters(words=MEDIUM),
    "word in 0.001 %": Filters(words=RARE),
    "word in none": Filters(words="nirgends"),
    "word in the older half": Filters(words=OLD),
    "phrase": Filters(words=f'"w0 {COMMON}"'),
    "not a word": Filters(words=f"-{COMMON}"),
}


def read(owner_id: uuid.UUID, filters: Filters, before: uuid.UUID | None) -> float:
    """Milliseconds for a page, with the transaction that it takes."""
    start = time.perf_counter()
    with session() as work:
        page(work, owner_id, limit=PAGE, before=before, filters=filters)
    return 1000 * (time.perf_counter() - start)


def faults(owner_id: uuid.UUID, filters: Filters, before: uuid.UUID | None, rows: int) -> tuple[set[str], list[str]]:
    """The indexes that a listing uses, and what is wrong with its plans."""
    with noted() as queries:
        read(owner_id, filters, before)
    used, wrong = set(), []
    with engine().connect() as connection:
        for statement, parameters in queries:
            if "set_config" in statement:
                connection.exec_driver_sql(statement, parameters)
            elif statement.startswith(("SELECT jobs", "SELECT search_entries", "WITH hits")):
                for node in nodes(explained(connection, statement, parameters)["Plan"]):
                    used |= {node["Index Name"]} if "Index Name" in node else set()
                    if node["Node Type"] == "Seq Scan":
                        wrong.append("sequential scan")
                    elif node["Node Type"] == "Sort" and "hits" not in statement and node["Actual Rows"] > PAGE + 1:
                        wrong.append(f"sort of {node['Actual Rows']:.0f} of {rows} rows")
    return used, wrong


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--deep", type=int, default=400_000)
    arguments.add_argument("--words", type=int, default=60, help="words per transcript (150 are a minute)")
    arguments.add_argument("--pairs", type=int, default=31)
    options = arguments.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as home, Stack(Path(home), apps=()) as stack:
        os.environ.update(stack.env)
        with session() as work:
            owner_id = keys.create(work, "archive")[0].id
        start = time.perf_counter()
        with engine().connect() as connection:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("SET maintenance_work_mem = '256MB'"))
            fill(connection, owner_id, options.rows, words=options.words)
        engine().dispose()
        with session() as work:
            ids = select(Job.id).where(Job.owner_id == owner_id).order_by(Job.id.desc()).offset(options.deep).limit(1)
            deep = work.scalar(ids)
            size = work.scalar(select(func.pg_size_pretty(func.pg_total_relation_size("jobs"))))
        print(f"{options.rows} rows, {size}, made in {time.perf_counter() - start:.0f} s\n")
        print(f"{'listing':<24}{'first':>9}{'deep':>9}{'ratio':>7}   indexes")
        for name, filters in LISTINGS.items():
            used, wrong = faults(owner_id, filters, deep, options.rows)
            pairs = [[read(owner_id, filters, before) for before in (None, deep)] for _ in range(options.pairs + 2)][2:]
            first, later = (statistics.median(side) for side in zip(*pairs, strict=True))
            is_met = later <= GOAL * first and not wrong
            failed |= not is_met
            verdict = "" if is_met else f"   MISSED {', '.join(wrong)}"
            print(
                f"{name:<24}{first:>6.1f} ms{later:>6.1f} ms{later / first:>7.2f}   {', '.join(sorted(used))}{verdict}",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
