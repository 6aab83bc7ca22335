"""A machine of its own for the services of compose: a network namespace where the names of services are hosts.

It has a /tmp of its own, where SeaweedFS puts sockets that are named by its ports alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.programs import namespaces, program

ROOT = Path(__file__).parents[2]

ADDRESS = "192.0.2.1"
"""Where another container would find the services: what listens on loopback alone does not answer here."""

HOLDER = """
import fcntl, os, socket, struct, subprocess, sys
with socket.socket() as any_socket:  # SIOCSIFFLAGS: loopback up and running
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))
    # SIOCSIFADDR: an address beside loopback's, as the network between containers has
    fcntl.ioctl(any_socket, 0x8916, struct.pack("16sHH4s8x", b"lo:1", 2, 0, socket.inet_aton("{address}")))
hosts, tmp, *kept = sys.argv[1:]
def bind(source, target):
    subprocess.run(["mount", "--rbind", source, target], check=True)
bind(hosts, "/etc/hosts")
for name in kept:
    os.mkdir(os.path.join(tmp, name))
    bind(os.path.join("/tmp", name), os.path.join(tmp, name))
bind(tmp, "/tmp")
print("ready", flush=True)
sys.stdin.read()
""".replace("{address}", ADDRESS)
"""Runs as long as its stdin is open, so that no namespace outlives the test."""


def names_in_tmp(*needed: Path) -> list[str]:
    """Names in /tmp that the services need there too, because the test, the checkout or Python lie below."""
    tmp = Path("/tmp")
    below = [path.resolve().relative_to(tmp) for path in needed if path.resolve().is_relative_to(tmp)]
    return sorted({path.parts[0] for path in below})


class Machine:
    """Use as a context manager; `prefix` before a command runs it there, in `cwd`. Whoever is an ordinary user outside
    is root there."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._hosts = folder / "hosts"
        own = os.uname().nodename
        self._hosts.write_text(f"127.0.0.1 localhost {own} {' '.join(names)}\n::1 localhost\n")
        self._tmp = folder / "tmp"
        self._tmp.mkdir()
        self._tmp.chmod(0o1777)
        self._kept = names_in_tmp(folder, ROOT, Path(sys.prefix), Path(sys.base_prefix))
        self._nsenter = program("nsenter")
        self._unshare = namespaces("--net", "--mount")
        program("mount")
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._holder = subprocess.Popen(
            (*self._unshare, sys.executable, "-c", HOLDER, str(self._hosts), str(self._tmp), *self._kept),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "no network namespace can be made here"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._holder is not None
        self._holder.communicate(timeout=60)

    def prefix(self, cwd: Path) -> tuple[str, ...]:
        assert self._holder is not None
        user = ("--user", "--preserve-credentials") if os.geteuid() else ()
        return (self._nsenter, f"--target={self._holder.pid}", *user, "--net", "--mount", f"--wd={cwd}")
