"""What the commands have in common on the command line."""

from __future__ import annotations

import argparse
import uuid
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli.client import Server
from cli.failures import Exit

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[ArgumentParser]

DEFAULT_URL = "http://127.0.0.1:8000"

Run = Callable[[Server, Namespace], Exit]


class Commands:
    """Adds commands to a parser, each with the options that all have."""

    def __init__(self, subparsers: Subparsers) -> None:
        self._subparsers = subparsers

    def add(self, name: str, run: Run, does: str, *, prints_lines: bool = False) -> ArgumentParser:
        """A command. `prints_lines`: with --json it prints an object per line instead of one document."""
        subparser = self._subparsers.add_parser(name, help=does, description=does)
        subparser.add_argument("--url", help=f"address of the server (PARLEY_URL, default {DEFAULT_URL})")
        subparser.add_argument("--api-key", metavar="KEY", help="other users can see it in `ps`; prefer PARLEY_API_KEY")
        kind = "one JSON object per line" if prints_lines else "one JSON document"
        subparser.add_argument("--json", action="store_true", help=f"print {kind}")
        subparser.set_defaults(run=run)
        return subparser

    def group(self, name: str, does: str) -> Commands:
        """A command that has commands of its own."""
        subparser = self._subparsers.add_parser(name, help=does, description=does)
        return Commands(subparser.add_subparsers(metavar="ACTION", required=True))


def positive(value: str) -> int:
    """A number of at least 1."""
    if not (value.isascii() and value.isdecimal()) or int(value) < 1:
        raise argparse.ArgumentTypeError("a number of at least 1 is needed")
    return int(value)


def identifier(value: str) -> str:
    """The id of a task, a batch, a key, an endpoint or a delivery."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is not an id") from None
