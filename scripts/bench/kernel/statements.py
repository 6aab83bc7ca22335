"""What one act of Parley asks of PostgreSQL: every statement, explained in a transaction that is rolled back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from shared.db import engine


@dataclass(frozen=True, slots=True)
class Explained:
    """One statement: its time in the server, the rows that its scans looked at, the pages, the ways it found them."""

    statement: str
    ms: float
    rows: int
    pages: int
    scans: tuple[str, ...]


def explain(act: Callable[[Session], object]) -> list[Explained]:
    """Run `act` and undo it, then explain what it executed, the slowest first."""
    with Session(engine()) as work, noted() as queries:
        act(work)
        work.flush()
        work.rollback()
    results = []
    with engine().connect() as connection:
        for statement, parameters in queries:
            # as a session does: what comes later sees what earlier statements did
            results.append(_explained(statement, explained(connection, statement, parameters)))
        connection.rollback()
    return sorted(results, key=lambda one: -one.ms)


def explained(connection: Connection, statement: str, parameters: Any) -> Mapping[str, Any]:
    """What PostgreSQL tells of the statement, which it executes for that."""
    output = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters).scalar()
    explanation: Mapping[str, Any] = (output if isinstance(output, list) else json.loads(str(output)))[0]
    return explanation


@contextmanager
def noted() -> Iterator[list[tuple[str, Any]]]:
    """Everything that is executed inside, with its parameters."""
    queries: list[tuple[str, Any]] = []

    def note(_c: Connection, _k: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        for one in parameters if many else [parameters]:
            queries.append((statement, one))

    event.listen(engine(), "before_cursor_execute", note)
    try:
        yield queries
    finally:
        event.remove(engine(), "before_cursor_execute", note)


def _explained(statement: str, explanation: Mapping[str, Any]) -> Explained:
    rows, scans = 0, []
    for node in nodes(explanation["Plan"]):
        if "Scan" in node["Node Type"] and "Bitmap Heap" not in node["Node Type"]:
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows += round((node["Actual Rows"] + removed) * node["Actual Loops"])
            if place := node.get("Index Name") or node.get("Relation Name"):
                scans.append(("all of " if node["Node Type"] == "Seq Scan" else "") + place)
    pages = explanation["Plan"].get("Shared Hit Blocks", 0) + explanation["Plan"].get("Shared Read Blocks", 0)
    ms = explanation["Planning Time"] + explanation["Execution Time"]
    return Explained(" ".join(statement.split()), ms, rows, pages, tuple(dict.fromkeys(scans)))


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
