"""What commands print: JSON for programs, tables and short lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

FOLDED_COLUMNS = 12
"""The least width of a column whose lines are broken."""

ENDLESS = 100_000
"""The width of a file or a pipe."""


def print_json(document: object) -> None:
    """On one line of stdout."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, folds: str) -> None:
    """To stdout. Where the terminal is too narrow the column `folds` breaks its lines; all others, such as ids, stay
    whole, even if the table is then wider than the terminal."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != folds, overflow="fold")
    for row in cells:
        table.add_row(*row)
    least = sum(
        FOLDED_COLUMNS if name == folds else max(map(cell_len, (name, *(row[n] for row in cells)))) + 1
        for n, name in enumerate(columns)
    )
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, least) if console.is_terminal else ENDLESS
    console.print(table)


def when(time: str | None) -> str:
    """An RFC 3339 time without fractions and zone; all times are UTC."""
    return time[:19].replace("T", " ") if time else ""


def standing(body: dict[str, Any]) -> str:
    """A task's status on a line."""
    if body["error"]:
        return f"{body['task_id']}  {body['status']}  {body['error']['code']}: {body['error']['message']}"
    eta = f", {body['eta_seconds']} s to go" if body.get("eta_seconds") else ""
    detail = f"  {body['stage_detail']}" if body["stage_detail"] else ""
    return f"{body['task_id']}  {body['status']}  {body['progress']} %{detail}{eta}"


def clock(seconds: float) -> str:
    """A time in a recording, as 00:01:02.5."""
    whole, tenths = divmod(round(10 * seconds), 10)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{tenths}"


def task_table(items: Iterable[dict[str, Any]]) -> None:
    """Tasks as the history and batches list them."""
    rows = []
    for item in items:
        state = f"{item['status']}: {item['error']['code']}" if item["error"] else item["status"]
        length = None if item["duration"] is None else f"{item['duration']:.0f} s"
        rows.append((item["task_id"], state, when(item["created_at"]), length, item["filename"]))
    print_table(("task", "status", "created (UTC)", "length", "file"), rows, folds="file")


def first_match(item: dict[str, Any]) -> str:
    """The words that were searched for where they come first, with their time; nothing where none are in the text."""
    for place in item.get("snippets") or ():
        words = " ".join("".join(run["text"] for run in place["runs"]).split())
        return words if place.get("start") is None else f"{clock(place['start'])}  {words}"
    return ""
