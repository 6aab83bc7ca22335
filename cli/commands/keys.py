"""`parley keys`: API keys, for who has one with the scope admin."""

from __future__ import annotations

import argparse
from argparse import Namespace

from cli.arguments import Commands, identifier, positive
from cli.client import Server
from cli.commands.output import print_json, print_table, when
from cli.failures import Exit
from cli.screen import complain


def add(commands: Commands) -> None:
    """The commands and their arguments."""
    group = commands.group("keys", "list, create and revoke API keys; needs a key with the scope admin")
    command = group.add("list", listing, "list all keys, newest first")
    command.add_argument("-n", "--limit", type=positive, default=100, metavar="N", help="number of keys (default 100)")
    command = group.add("create", create, "create a key and print it to stdout; it cannot be shown again")
    command.add_argument("name", metavar="NAME", help="who or what the key is for")
    command.add_argument(
        "--scope", action="append", choices=("transcribe", "admin"), help="repeat it for several; default transcribe"
    )
    command.add_argument(
        "--limit",
        action="append",
        type=_limit,
        default=[],
        metavar="NAME=N",
        help="a limit of docs/api.md, such as requests_per_minute=60 or retention_seconds=86400; repeat it for several",
    )
    command = group.add("revoke", revoke, "make keys invalid at once; their tasks stay")
    command.add_argument("keys", nargs="+", type=identifier, metavar="KEY", help="the id that `parley keys list` shows")


def listing(server: Server, options: Namespace) -> Exit:
    """Keys without the keys themselves."""
    items = server.items("/admin/keys", options.limit)
    if options.json:
        print_json(items)
        return Exit.DONE
    rows = [
        (
            item["id"],
            item["prefix"],
            " ".join(item["scopes"]),
            when(item["created_at"]),
            when(item["revoked_at"]),
            item["name"],
        )
        for item in items
    ]
    print_table(("id", "begins with", "scopes", "created (UTC)", "revoked (UTC)", "name"), rows, folds="name")
    return Exit.DONE


def create(server: Server, options: Namespace) -> Exit:
    """stdout has the key and nothing else, so that a script can take it; what it is goes to stderr."""
    body = {"name": options.name, "scopes": options.scope or ["transcribe"], **dict(options.limit)}
    key = server.json("POST", "/admin/keys", body=body)
    if options.json:
        print_json(key)
        return Exit.DONE
    complain(f"Key {key['id']} ({key['name']}, {' '.join(key['scopes'])}). It is shown this once:")
    print(key["key"], flush=True)
    return Exit.DONE


def revoke(server: Server, options: Namespace) -> Exit:
    """One after the other; the first that is not there ends it."""
    for key_id in options.keys:
        server.send("DELETE", f"/admin/keys/{key_id}")
        if not options.json:
            print(f"{key_id}  revoked", flush=True)
    if options.json:
        print_json({"revoked": options.keys})
    return Exit.DONE


def _limit(value: str) -> tuple[str, int]:
    name, _, number = value.partition("=")
    if not name or not (number.isascii() and number.isdecimal()):
        raise argparse.ArgumentTypeError(f"{value!r} is not NAME=N")
    return name, int(number)
