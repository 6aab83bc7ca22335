"""What `make run` and the demo share around a start: the folder and port of the environment, what is checked first,
what is printed, and the signals that end it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from scripts.local.home import Home, require_free

DEFAULT_HOME = ".parley"
DEFAULT_PORT = 8000


def reporter(console: Console) -> Callable[[str], None]:
    """A function that prints a line as it is: paths and logs may hold what looks like markup."""
    return lambda text: console.print(Text(text), soft_wrap=True)


def stop_on_signals() -> threading.Event:
    """An event that is set by Ctrl-C, SIGTERM or a closed terminal, instead of an exception at any line."""
    leave = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: leave.set())
    return leave


def home_from_environment(default: str = DEFAULT_HOME) -> Path:
    """`PARLEY_HOME`, the folder of data, logs and secrets."""
    return Path(os.environ.get("PARLEY_HOME") or default)


def port_from_environment(default: int | None) -> int | None:
    """`PORT` of the gateway. Raises ValueError."""
    value = os.environ.get("PORT")
    if not value:
        return default
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise ValueError(f"PORT is {value!r}; it is a number from 1 to 65535")
    return int(value)


def preflight(home: Path, port: int | None) -> None:
    """Raises HomeInUse or PortTaken before anything long, such as a download, begins."""
    folder = Home(home)
    folder.acquire()
    try:
        if port is not None:
            require_free(port)
    finally:
        folder.release()
