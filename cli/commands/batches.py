"""`parley batch`: many tasks that were submitted in one request."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from cli.arguments import Commands, identifier, positive
from cli.client import Server
from cli.commands.output import print_json, print_table, task_table, when
from cli.failures import Exit
from cli.screen import Screen

FIRST_POLL_S, LONGEST_POLL_S, SLOWER = 0.5, 5.0, 1.3

ALL = 10**9
"""Of a list that is wanted to its end."""


def add(commands: Commands) -> None:
    """The commands and their arguments."""
    group = commands.group(
        "batch", "list, show, cancel and await batches: many tasks that were submitted in one request"
    )
    command = group.add("list", listing, "list the batches of this API key, newest first")
    command.add_argument("-n", "--limit", type=positive, default=20, metavar="N", help="number of batches (default 20)")
    for name, run, does in (
        ("show", show, "show a batch and its tasks"),
        ("cancel", cancel, "stop the tasks of a batch that have not ended"),
        ("wait", wait, "wait until all tasks of a batch have ended; exit code 1 if not all are done"),
    ):
        group.add(name, run, does).add_argument("batch", type=identifier, metavar="BATCH")


def listing(server: Server, options: Namespace) -> Exit:
    """The newest batches first."""
    items = server.items("/batches", options.limit)
    if options.json:
        print_json(items)
        return Exit.DONE
    rows = [
        (
            item["batch_id"],
            item["status"],
            f"{item['progress']} %",
            _counts(item),
            when(item["created_at"]),
            item["reference"],
        )
        for item in items
    ]
    print_table(("batch", "status", "progress", "tasks", "created (UTC)", "reference"), rows, folds="reference")
    return Exit.DONE


def show(server: Server, options: Namespace) -> Exit:
    """How the batch stands as a whole, and each of its tasks in the order of the request."""
    batch = server.json("GET", f"/batches/{options.batch}")
    tasks = server.items(f"/batches/{options.batch}/tasks", ALL)
    if options.json:
        print_json({**batch, "tasks": tasks})
        return Exit.DONE
    print(_standing(batch))
    task_table(tasks)
    return Exit.DONE


def cancel(server: Server, options: Namespace) -> Exit:
    return _end(server.json("POST", f"/batches/{options.batch}/cancel"), options)


def wait(server: Server, options: Namespace) -> Exit:
    """Exit code 1 unless every task is done."""
    poll_s = FIRST_POLL_S
    with Screen(quiet=options.json) as screen:
        row = None
        while (batch := server.json("GET", f"/batches/{options.batch}"))["status"] != "done":
            row = row or screen.row(batch["reference"] or options.batch)
            row.step(_counts(batch), batch["progress"], batch["eta_seconds"])
            time.sleep(poll_s)
            poll_s = min(SLOWER * poll_s, LONGEST_POLL_S)
    _end(batch, options)
    return Exit.DONE if batch["counts"]["done"] == batch["total"] else Exit.FAILED


def _end(batch: dict[str, Any], options: Namespace) -> Exit:
    if options.json:
        print_json(batch)
    else:
        print(_standing(batch), flush=True)
    return Exit.DONE


def _standing(batch: dict[str, Any]) -> str:
    eta = f", {batch['eta_seconds']} s to go" if batch["eta_seconds"] else ""
    return f"{batch['batch_id']}  {batch['status']}  {batch['progress']} %  {_counts(batch)}{eta}"


def _counts(batch: dict[str, Any]) -> str:
    """Of 12 tasks: 3 queued, 9 done."""
    parts = [f"{count} {state}" for state, count in batch["counts"].items() if count]
    return ", ".join(parts) or "no tasks"
