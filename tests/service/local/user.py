"""Somebody who types commands, and the recordings they have."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.local.apps import ROOT
from tests.faults.rig import Rig

PATIENCE_S = 120


class Terminal:
    """What a program in a window has written."""

    def __init__(self, handle: int, program: subprocess.Popen[bytes]) -> None:
        self._handle, self.program, self._shown = handle, program, b""

    def lines(self, until: str = "") -> list[str]:
        """All lines so far, each as often as it was drawn; first waits for `until` on one of them, or for the end."""
        deadline = time.monotonic() + PATIENCE_S
        while not (until and re.search(until, self._text())):
            assert select.select([self._handle], [], [], max(0.0, deadline - time.monotonic()))[0], self._text()
            try:
                more = os.read(self._handle, 65536)
            except OSError:  # how Linux says that nobody has the window open any more
                more = b""
            if not more:
                assert not until, self._text()
                break
            self._shown += more
        return [line for line in re.split(r"[\r\n]+", self._text()) if line]

    def _text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._shown.decode(errors="replace"))


@dataclass(frozen=True)
class User:
    """Somebody with a key of their own and a home folder, who types commands."""

    home: Path
    env: dict[str, str]

    def start(self, *arguments: object, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (sys.executable, "-m", "cli", *map(str, arguments)),
            cwd=self.home,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, **env: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command that ended."""
        program = self.start(*arguments, **env)
        try:
            out, err = program.communicate(timeout=PATIENCE_S)
        finally:
            program.kill()
        return program.returncode, out, err

    @contextmanager
    def at_terminal(self, columns: int, *arguments: object) -> Iterator[Terminal]:
        """A command in a terminal window of this width, which is closed in the end."""
        controller, tty = pty.openpty()
        fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        program = subprocess.Popen(
            (sys.executable, "-m", "cli", *map(str, arguments)),
            cwd=self.home,
            env={**self.env, "TERM": "xterm-256color"},
            stdin=tty,
            stdout=tty,
            stderr=tty,
            start_new_session=True,
        )
        os.close(tty)
        try:
            yield Terminal(controller, program)
        finally:
            program.kill()
            program.wait()
            os.close(controller)

    def history(self) -> list[dict[str, Any]]:
        """What the gateway says of this user's tasks."""
        items: list[dict[str, Any]] = self._ask("/history")["items"]
        return items

    def options(self, task_id: str) -> dict[str, Any]:
        """What a task of this user's asks for."""
        options: dict[str, Any] = self._ask(f"/tasks/{task_id}")["options"]
        return options

    def _ask(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.env['PARLEY_API_KEY']}"}
        answer = httpx.get(self.env["PARLEY_URL"] + path, headers=headers, timeout=PATIENCE_S, trust_env=False)
        return dict(answer.raise_for_status().json())


def new_user(rig: Rig, home: Path, *scopes: str) -> User:
    """Somebody with a new key of the gateway, and nobody's settings."""
    key = rig.caller.http.post("/admin/keys", json={"name": "somebody", "scopes": scopes or ["transcribe"]}).json()
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "XDG_STATE_HOME": str(home / ".state"),
        "PARLEY_URL": rig.stack.url,
        "PARLEY_API_KEY": key["key"],
    }
    return User(home, env)


def recording(path: Path, seconds: float = 0.25) -> Path:
    """A WAV unlike every other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(os.urandom(2 * round(seconds * 16_000)))
    return path


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
