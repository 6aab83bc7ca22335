"""`python -m scripts.local run`: all of Parley on this machine, until Ctrl-C.

`python -m scripts.local env-example` prints .env.example. `Stack` is what tests and scripts/demo.py start.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.local_env import env_example
from scripts.local_home import HomeInUse, PortTaken
from scripts.local_stack import Stack
from scripts.supervisor import StartFailed

__all__ = ["HomeInUse", "PortTaken", "Stack", "StartFailed"]

DEFAULT_HOME = ".parley"
DEFAULT_PORT = 8000


def main() -> int:
    match sys.argv[1:]:
        case ["run"]:
            return run()
        case ["env-example"]:
            sys.stdout.write(env_example())
            return 0
    sys.stderr.write(f"{__doc__}\n")
    return 2


def run() -> int:
    """Start, show where everything is, wait for a signal, stop. The exit status is 0 unless the start failed."""
    console = Console(highlight=False)
    leave = stop_on_signals()
    try:
        home = Path(os.environ.get("PARLEY_HOME") or DEFAULT_HOME)
        stack = Stack(home, port=port_from_environment(), report=reporter(console))
        with console.status("Starting PostgreSQL, Valkey, SeaweedFS, the gateway and the workers"):
            stack.start()
    except (HomeInUse, PortTaken, StartFailed, ValueError) as error:
        Console(stderr=True, highlight=False).print(Text(f"Parley did not start: {error}"), soft_wrap=True)
        return 1
    try:
        describe(stack, console)
        leave.wait()
        console.print("Stopping: workers, gateway, servers ...")
    finally:
        stack.stop()
    console.print("Stopped.")
    return 0


def describe(stack: Stack, console: Console) -> None:
    """The table of addresses, the key, and a request to copy."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("API", stack.url)
    table.add_row("Documentation", f"{stack.url}/docs")
    table.add_row("Flower", f"{stack.flower_url}  (parley / {stack.flower_password})")
    table.add_row("API key", stack.api_key)
    table.add_row("Data and logs", str(stack.home.path))
    console.print(table, soft_wrap=True)
    console.print(
        f"\ncurl -H 'Authorization: Bearer {stack.api_key}' \\\n"
        f"     -F file=@meeting.mp3 -F diarization=true {stack.url}/transcribe\n",
        soft_wrap=True,
        markup=False,
    )
    console.print("Ctrl-C stops all of it; the data stays.")


def reporter(console: Console) -> Callable[[str], None]:
    """A function that prints a line as it is: paths and logs may hold what looks like markup."""
    return lambda text: console.print(Text(text), soft_wrap=True)


def stop_on_signals() -> threading.Event:
    """An event that is set by Ctrl-C, SIGTERM or a closed terminal, instead of an exception at any line."""
    leave = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: leave.set())
    return leave


def port_from_environment() -> int:
    """`PORT` of the gateway. Raises ValueError."""
    given = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise ValueError(f"PORT is {given!r}; it is a number from 1 to 65535")
    return int(given)


if __name__ == "__main__":
    sys.exit(main())
