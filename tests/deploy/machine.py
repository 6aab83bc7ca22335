"""A machine of its own for the services of compose: a network namespace where the names of services are hosts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

HOLDER = """
import fcntl, socket, struct, subprocess, sys
with socket.socket() as any_socket:  # SIOCSIFFLAGS: loopback up and running
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/hosts"], check=True)
print("ready", flush=True)
sys.stdin.read()
"""
"""Runs as long as its stdin is open, so that no namespace outlives the test."""


class Machine:
    """Use as a context manager; `prefix` before a command runs it there, in `cwd`."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._hosts = folder / "hosts"
        own = os.uname().nodename
        self._hosts.write_text(f"127.0.0.1 localhost {own} {' '.join(names)}\n::1 localhost\n")
        self._user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(
            ("unshare", "--net", "--mount", *self._user, sys.executable, "-c", HOLDER, str(self._hosts)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "no network namespace can be made here"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._holder is not None
        self._holder.communicate(timeout=10)

    def prefix(self, cwd: Path) -> tuple[str, ...]:
        assert self._holder is not None
        user = ("--user", "--preserve-credentials") if self._user else ()
        return ("nsenter", f"--target={self._holder.pid}", *user, "--net", "--mount", f"--wd={cwd}")
