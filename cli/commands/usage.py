"""`parley usage`: tasks, minutes and bytes, and what is left of the key's quotas."""

from __future__ import annotations

from argparse import Namespace

from cli.arguments import Commands, identifier
from cli.client import Server
from cli.commands.output import print_json, print_table
from cli.failures import Exit, UsageError


def add(commands: Commands) -> None:
    """The command and its arguments."""
    command = commands.add("usage", usage, "show the tasks, minutes and bytes that this API key has used")
    command.add_argument("--since", metavar="DAY", help="first day (UTC): 2026-03-01; default the first of this month")
    command.add_argument("--until", metavar="DAY", help="last day (UTC); default today")
    command.add_argument(
        "--by", metavar="NAMES", help="group by day, model or both (day,model), with --all also by key"
    )
    command.add_argument("--all", action="store_true", help="usage of all keys; needs a key with the scope admin")
    command.add_argument("--key", type=identifier, metavar="KEY", help="with --all: only this key, by its id")


def usage(server: Server, options: Namespace) -> Exit:
    """Of this key, or of all keys."""
    if options.key and not options.all:
        raise UsageError("--key needs --all.")
    by = ("key" if options.all else "day") if options.by is None else options.by
    parameters = {"since": options.since, "until": options.until, "by": by, "key": options.key}
    body = server.json("GET", "/admin/usage" if options.all else "/usage", parameters)
    if options.json:
        print_json(body)
        return Exit.DONE
    print(f"{body['since']} to {body['until']} (UTC)")
    groups = [name for name in ("key_id", "day", "model") if any(item[name] for item in body["items"])]
    figures = ("tasks", "minutes", "bytes")
    rows = [[item[name] for name in (*groups, *figures)] for item in body["items"]]
    total = ["total", *[""] * (len(groups) - 1)] if groups else []
    if groups or not rows:
        rows.append([*total, *(body["total"][name] for name in figures)])
    print_table(["key" if name == "key_id" else name for name in (*groups, *figures)], rows, folds="model")
    quotas = body.get("quotas", {})
    if quotas:
        print()
        limits = [(name, quota["used"], quota["limit"] or "none") for name, quota in quotas.items()]
        print_table(("quota", "used", "limit"), limits, folds="")
    return Exit.DONE
