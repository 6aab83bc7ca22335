"""`parley`: its commands, and what their ends mean to the shell."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

from cli import VERSION
from cli.arguments import DEFAULT_URL, Commands
from cli.client import Server
from cli.commands import batches, doctor, edit, keys, listen, tasks, transcribe, usage, webhooks
from cli.failures import Exit, Failure, Refused
from cli.screen import complain
from cli.wyoming import bridge

EPILOG = """\
PARLEY_URL names the server, PARLEY_API_KEY is the API key.
Exit codes: 0 all done, 1 something failed, 2 wrong usage, 3 server unreachable or key refused, 130 interrupted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = parser().parse_args(arguments)
    options.url = (options.url or os.environ.get("PARLEY_URL") or DEFAULT_URL).rstrip("/")
    options.api_key = (options.api_key or os.environ.get("PARLEY_API_KEY") or "").strip() or None
    command: Callable[[Server, Namespace], Exit] = options.run
    try:
        with Server(options.url, options.api_key) as server:
            return command(server, options)
    except Failure as failure:
        known_as = f" (request {failure.request_id})" if isinstance(failure, Refused) and failure.request_id else ""
        complain(f"parley: {failure.code}: {failure.message}{known_as}")
        return failure.exit
    except BrokenPipeError:  # `parley history | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        complain(f"parley: {error}")
        return Exit.FAILED
    except KeyboardInterrupt:
        complain("Interrupted. What runs on the server goes on.")
        return Exit.INTERRUPTED


def parser() -> ArgumentParser:
    """All commands with their arguments."""
    top = ArgumentParser(
        "parley",
        description="Turn recordings into transcripts that say who spoke when.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"parley {VERSION}")
    commands = Commands(top.add_subparsers(metavar="COMMAND", required=True))
    for module in (transcribe, listen, tasks, edit, batches, usage, webhooks, keys, bridge, doctor):
        module.add(commands)
    return top
