"""`python -m scripts.bench.kernel.looks`: looks at the queue with a million and a thousand tasks waiting (P11).

One PostgreSQL with two databases, one of each length, and a process for each. Every look is taken in turn by both (A B
A B ...); a row is the ratio of the pairs, long queue / short queue, with both in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from scripts.bench.ratios import Deadline, Goal, ratios, rounds, row, time_limit
from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import ROOT
from scripts.local.stack import Stack

GOAL = Goal(1.5)
ENOUGH_S = 1800
READY = "ready"
NAMES = ("metrics", "room in the queue", "max_queued of a key", "tenants", "batches of a key", "GET /admin/queue")


def child(url: str, rows: int, count: int) -> subprocess.Popen[str]:
    environ = {**os.environ, "DATABASE_URL": url}
    argv = (sys.executable, "-m", "scripts.bench.kernel.looker", str(rows), str(count))
    return subprocess.Popen(argv, cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin and process.stdout
    return process.stdin, process.stdout


def ask(process: subprocess.Popen[str], name: str) -> float:
    questions, answers = pipes(process)
    print(name, file=questions, flush=True)
    return float(answers.readline())


@contextmanager
def sides_of(stack: Stack, lengths: Sequence[int], count: int) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """The processes, each with a database of its own that it has filled."""
    os.environ.update(stack.env)
    address, start = make_url(stack.env["DATABASE_URL"]), time.perf_counter()
    children: dict[str, subprocess.Popen[str]] = {}
    try:
        for rows in lengths:
            name = f"waiting_{rows}"
            with psycopg.connect(
                address.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
            ) as work:
                work.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            children[name] = child(address.set(database=name).render_as_string(hide_password=False), rows, count)
        for process in children.values():
            assert pipes(process)[1].readline().strip() == READY
        print(f"filled in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        yield children
    finally:
        for process in children.values():
            process.kill()
            process.communicate()


def compare(name: str, sides: Mapping[str, Callable[[], float]], pairs: int, deadline: Deadline) -> None:
    """A row of the pairs, and one of the medians, which has the verdict: a pair of milliseconds is a throw of dice."""
    short, long = rounds(sides, pairs, deadline).values()
    medians = [statistics.median(side) for side in (short, long)]
    print(row(name, ratios(long, short), None, f"{medians[0]:.2f} and {medians[1]:.2f} ms"))
    print(row(f"{name}, of the medians", [medians[1] / medians[0]], GOAL), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000,1000000", help="tasks that wait on both sides (default 1000,1000000)")
    parser.add_argument("--keys", type=int, default=100, help="API keys that they belong to (default 100)")
    parser.add_argument("--pairs", type=int, default=51, help="(default 51)")
    options = parser.parse_args()
    short, long = map(int, options.rows.split(","))
    environ = bare_environment() | {"MAX_QUEUED_TASKS": str(2 * long)}
    with (
        tempfile.TemporaryDirectory(prefix="parley-looks-") as home,
        time_limit(ENOUGH_S) as deadline,
        Stack(Path(home), apps=(), environ=environ, migrate=False) as stack,
        sides_of(stack, (short, long), options.keys) as sides,
    ):
        for name in NAMES:
            compare(name, {length: partial(ask, side, name) for length, side in sides.items()}, options.pairs, deadline)


if __name__ == "__main__":
    main()
