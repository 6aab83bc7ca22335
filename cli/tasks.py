"""Commands about tasks that are on the server: status, result, history, watch, cancel, delete."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cli import written
from cli.client import Server
from cli.failures import Exit, Failure
from cli.screen import complain

PAGE = 100
"""Entries of /history in one request; the most that the API gives."""


def status(server: Server, options: Namespace) -> Exit:
    """Each task on a line."""
    return _each(server, options, lambda server, task_id: server.status(task_id), _standing)


def cancel(server: Server, options: Namespace) -> Exit:
    return _each(server, options, lambda server, task_id: server.cancel(task_id), _standing)


def delete(server: Server, options: Namespace) -> Exit:
    """The receipts."""

    def receipt(body: dict[str, Any]) -> str:
        proof = "verified" if body["verified"] else "storage is away and will be emptied when it is back"
        return f"{body['task_id']}  erased, {body['objects']} objects, {proof}"

    return _each(server, options, lambda server, task_id: server.delete(task_id), receipt)


def result(server: Server, options: Namespace) -> Exit:
    """The transcript to stdout, or to a file."""
    target = Path(options.output) if options.output else None
    if target and target.exists() and not options.force:
        raise written.exists(target)
    content = server.result(options.task, options.format)
    if target:
        written.write(target, content, force=options.force)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return Exit.DONE


def history(server: Server, options: Namespace) -> Exit:
    """The newest tasks first, as a table or a JSON object per line."""
    filters = {
        name: getattr(options, name) for name in ("status", "language", "tag", "reference", "since", "until", "q")
    }
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(items) < options.limit:
        page = server.history(limit=min(PAGE, options.limit - len(items)), cursor=cursor, **filters)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if options.json:
        for item in items:
            _json(item)
        return Exit.DONE
    table = Table(box=None, pad_edge=False)
    for name in ("task", "status", "created (UTC)", "length", "file"):
        table.add_column(name, no_wrap=name != "file", overflow="fold")
    for item in items:
        state = f"{item['status']}: {item['error']['code']}" if item["error"] else item["status"]
        length = "" if item["duration"] is None else f"{item['duration']:.0f} s"
        table.add_row(item["task_id"], state, item["created_at"][:19].replace("T", " "), length, item["filename"] or "")
    Console(highlight=False, markup=False).print(table)
    return Exit.DONE


def watch(server: Server, options: Namespace) -> Exit:
    """What is said to stdout as it is recognised, where the task stands to stderr; fails if the task does."""
    last: dict[str, Any] = {}
    for event in server.events(options.task):
        if options.json:
            _json(event)
        elif event["event"] == "segment":
            print(f"{_clock(event['start'])}  {event['text'].strip()}", flush=True)
        elif event["event"] == "status":
            complain(_standing(event))
        last = event
    if last.get("event") == "deleted":
        raise Failure("deleted", "The task was deleted meanwhile.")
    return Exit.DONE if last.get("status") == "done" else Exit.FAILED


def _each(
    server: Server,
    options: Namespace,
    call: Callable[[Server, str], dict[str, Any]],
    formatter: Callable[[dict[str, Any]], str],
) -> Exit:
    """One call per task; one that fails does not keep the others from it."""
    code = Exit.DONE
    for task_id in options.tasks:
        try:
            body = call(server, task_id)
        except Failure as failure:
            if failure.exit is not Exit.FAILED:
                raise
            complain(f"{task_id}  {failure.code}: {failure.message}")
            code = Exit.FAILED
            continue
        if options.json:
            _json(body)
        else:
            print(formatter(body), flush=True)
    return code


def _standing(body: dict[str, Any]) -> str:
    if body["error"]:
        return f"{body['task_id']}  {body['status']}  {body['error']['code']}: {body['error']['message']}"
    eta = f", {body['eta_seconds']} s to go" if body.get("eta_seconds") else ""
    detail = f"  {body['stage_detail']}" if body["stage_detail"] else ""
    return f"{body['task_id']}  {body['status']}  {body['progress']} %{detail}{eta}"


def _clock(seconds: float) -> str:
    whole, tenths = divmod(round(10 * seconds), 10)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{tenths}"


def _json(body: dict[str, Any]) -> None:
    print(json.dumps(body, ensure_ascii=False), flush=True)
