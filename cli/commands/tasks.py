"""Commands about tasks that are on the server: status, watch, result, history, retry, cancel, delete."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli import files
from cli.arguments import Commands, identifier, positive
from cli.client import Server
from cli.commands.output import clock, first_match, print_json, standing, task_table
from cli.failures import Exit, Failure
from cli.recordings import SUFFIXES
from cli.screen import Row, Screen, complain

ASK_EVERY_S = 3.0
"""Events do not tell how long a task still takes; /status does, and is asked no more often than this."""

ENDED = ("done", "error", "cancelled")

STATES = ("live", "queued", "processing", "cancelling", "done", "error", "cancelled")


def add(commands: Commands) -> None:
    """The commands and their arguments."""
    for name, run, does in (
        ("status", status, "show the status of tasks"),
        ("cancel", cancel, "stop tasks"),
        ("delete", delete, "erase tasks, their recordings and their transcripts"),
    ):
        command = commands.add(name, run, does, prints_lines=True)
        command.add_argument("tasks", nargs="+", type=identifier, metavar="TASK")
    command = commands.add("retry", retry, "run failed or cancelled tasks again, each as a new task")
    command.add_argument("tasks", nargs="+", type=identifier, metavar="TASK")

    command = commands.add("watch", watch, "follow a task and print its text as it is recognised", prints_lines=True)
    command.add_argument("task", type=identifier, metavar="TASK")

    command = commands.add("result", result, "print a transcript")
    command.add_argument("task", type=identifier, metavar="TASK")
    command.add_argument("-f", "--format", choices=list(SUFFIXES), default="json")
    command.add_argument("-o", "--output", metavar="FILE", help="write to this file instead of the screen")
    command.add_argument("--force", action="store_true", help="replace an existing file")

    command = commands.add("history", history, "list the tasks of this API key, newest first", prints_lines=True)
    command.add_argument("-n", "--limit", type=positive, default=20, metavar="N", help="number of tasks (default 20)")
    command.add_argument("--status", choices=STATES)
    command.add_argument(
        "-q", metavar="WORDS", help="only transcripts with these words, such as '\"train delay\" -freight'"
    )
    command.add_argument("--tag", action="append", help="only tasks with this tag; repeat it for several")
    command.add_argument("--reference", help="only tasks with this reference")
    command.add_argument("--language", help="only transcripts in this language: code, tag or name")
    command.add_argument(
        "--since", metavar="TIME", help="only tasks created at this time or later: 2026-03-01, or 2026-03-01T08:00:00Z"
    )
    command.add_argument("--until", metavar="TIME", help="only tasks created before this time")


def status(server: Server, options: Namespace) -> Exit:
    """Each task on a line."""
    return _each(server, options, lambda server, task_id: server.status(task_id), standing)


def cancel(server: Server, options: Namespace) -> Exit:
    return _each(server, options, lambda server, task_id: server.cancel(task_id), standing)


def delete(server: Server, options: Namespace) -> Exit:
    """The receipts."""

    def receipt(body: dict[str, Any]) -> str:
        proof = "verified" if body["verified"] else "storage is away and will be emptied when it is back"
        return f"{body['task_id']}  erased, {body['objects']} objects, {proof}"

    return _each(server, options, lambda server, task_id: server.delete(task_id), receipt)


def retry(server: Server, options: Namespace) -> Exit:
    """The new tasks. One that cannot be retried does not keep the others from it."""
    outcomes: list[dict[str, Any]] = []
    for task_id in options.tasks:
        outcome: dict[str, Any] = {"retry_of": task_id, "task_id": None, "error": None}
        outcomes.append(outcome)
        try:
            outcome["task_id"] = server.retry(task_id)
        except Failure as failure:
            if failure.exit is not Exit.FAILED:
                raise
            outcome["error"] = {"code": failure.code, "message": failure.message}
            complain(f"{task_id}  {failure.code}: {failure.message}")
        else:
            if not options.json:
                print(f"{task_id}  runs again as {outcome['task_id']}", flush=True)
    if options.json:
        print_json(outcomes)
    return Exit.FAILED if any(outcome["error"] for outcome in outcomes) else Exit.DONE


def result(server: Server, options: Namespace) -> Exit:
    """The transcript to stdout, or to a file."""
    target = Path(options.output) if options.output else None
    if target and target.exists() and not options.force:
        raise files.exists(target)
    content = server.result(options.task, options.format)
    if target:
        files.write(target, content, force=options.force)
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    return Exit.DONE


def history(server: Server, options: Namespace) -> Exit:
    """The newest tasks first, as a table or a JSON object per line."""
    filters = {
        name: getattr(options, name) for name in ("status", "language", "tag", "reference", "since", "until", "q")
    }
    items = server.items("/history", options.limit, **filters)
    if options.json:
        for item in items:
            print_json(item)
    else:
        task_table(items)
        for item in items if options.q else ():
            if match := first_match(item):
                print(f"{item['task_id']}  {match}")
    return Exit.DONE


def watch(server: Server, options: Namespace) -> Exit:
    """What is said to stdout as it is recognised, where the task stands to stderr; fails if the task does."""
    last: dict[str, Any] = {}
    with Screen(quiet=options.json) as screen:
        follower = _Follower(server, screen, options.task) if screen.bars is not None else None
        for event in server.events(options.task):
            if options.json:
                print_json(event)
            elif event["event"] == "segment":
                screen.print(f"{clock(event['start'])}  {event['text'].strip()}")
            elif event["event"] == "status":
                if follower:
                    follower.step(event)
                else:
                    complain(standing(event))
            last = event
    if follower and last.get("event") == "status":
        complain(standing(last))
    if last.get("event") == "deleted":
        raise Failure("deleted", "The task was deleted meanwhile.")
    return Exit.DONE if last.get("status") == "done" else Exit.FAILED


class _Follower:
    """The bar of a task that is watched on a terminal."""

    def __init__(self, server: Server, screen: Screen, task_id: str) -> None:
        self._server, self._task_id = server, task_id
        self._row: Row = screen.row(server.detail(task_id)["file"]["name"] or task_id)
        self._left_s: float | None = None
        self._asked_at = -ASK_EVERY_S

    def step(self, event: dict[str, Any]) -> None:
        """Draw where the task stands, and how long it still takes as far as the server knows."""
        if event["status"] in ENDED:
            return
        now = time.monotonic()
        if now - self._asked_at >= ASK_EVERY_S:
            self._asked_at, self._left_s = now, self._server.status(self._task_id)["eta_seconds"]
        left_s = None if self._left_s is None else max(0.0, self._left_s - (now - self._asked_at))
        self._row.step(event["stage_detail"] or event["status"], event["progress"], left_s)


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
            print_json(body)
        else:
            print(formatter(body), flush=True)
    return code
