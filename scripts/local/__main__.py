"""`python -m scripts.local run`: all of Parley on this machine, until Ctrl-C.

`python -m scripts.local env-example` prints .env.example. `Stack` is what tests and scripts/demo.py start.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.local.apps import APPS, LIVE
from scripts.local.env_example import env_example
from scripts.local.home import HomeInUse, PortTaken
from scripts.local.models import ensure_live_model, ensure_live_speakers, ensure_models, has_live_worker
from scripts.local.stack import Stack
from scripts.local.start import (
    DEFAULT_PORT,
    home_from_environment,
    port_from_environment,
    preflight,
    reporter,
    stop_on_signals,
)
from scripts.local.supervisor import StartFailed
from shared.errors import ModelUnavailable


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
    say = reporter(console)
    try:
        home, port = home_from_environment(), port_from_environment(DEFAULT_PORT)
        preflight(home, port)
        model = ensure_models(os.environ, say)
        ensure_live_model(os.environ)
        ensure_live_speakers(os.environ, say)
        leave = stop_on_signals()
        apps = (*APPS, LIVE) if has_live_worker(os.environ) else APPS
        stack = Stack(home, port=port, apps=apps, environ=os.environ | {"WHISPER_MODEL": model}, report=say)
        with console.status("Starting PostgreSQL, Valkey, the gateway and the workers"):
            stack.start()
    except (HomeInUse, PortTaken, StartFailed, ModelUnavailable, ValueError) as error:
        Console(stderr=True, highlight=False).print(Text(f"Parley did not start: {error}"), soft_wrap=True)
        return 1
    except KeyboardInterrupt:  # during a download; later it is an event
        return 130
    try:
        describe(stack, console)
        leave.wait()
        console.print("Stopping: workers, gateway, servers ...")
    finally:
        stack.stop()
    console.print("Stopped.")
    return 0


def describe(stack: Stack, console: Console) -> None:
    """The table of addresses, the key, and a request to copy. With PARLEY_SHOW_SECRETS=0, as in the image all-in-one,
    whose output is a log that others read: where the key and the password are."""
    shows_secrets = os.environ.get("PARLEY_SHOW_SECRETS") != "0"
    password, key = stack.flower_password, stack.api_key
    if not shows_secrets:
        password = f"flower_password in {stack.home.path}/secrets.json"
        key = "as in API_KEY" if os.environ.get("API_KEY") else f"api_key in {stack.home.path}/secrets.json"
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("API", stack.url)
    table.add_row("Documentation", f"{stack.url}/docs")
    table.add_row("Flower", stack.flower_url)
    table.add_row("Flower login", f"parley / {password}")
    table.add_row("API key", key)
    table.add_row("Data and logs", str(stack.home.path))
    console.print(table, soft_wrap=True)
    console.print(
        f"\ncurl -H 'Authorization: Bearer {stack.api_key if shows_secrets else 'KEY'}' \\\n"
        f"     -F file=@meeting.mp3 -F diarization=true {stack.url}/transcribe\n",
        soft_wrap=True,
        markup=False,
    )
    console.print("Ctrl-C stops all of it; the data stays.")


if __name__ == "__main__":
    sys.exit(main())
