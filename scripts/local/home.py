"""The data folder of a local stack: who may use it now, its secrets and the ports it remembers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO

INNER_PORTS = range(12_000, 22_000)
"""SeaweedFS also listens on each port + 10000; both ranges stay below the ephemeral ports, which start at 32768."""

PORT_SHARE = "PARLEY_PORT_SHARE"
"""Environment variable of whoever starts several stacks at the same moment: with 1/3 their stack takes its ports from
the second of three shares of INNER_PORTS. A port is found free long before its server listens, and two stacks may find
the same."""

LOOPBACK = "127.0.0.1"


class HomeInUse(Exception):
    """Another stack runs on this folder."""


class PortTaken(Exception):
    """Somebody else listens on a port that was asked for by number."""


def _random() -> str:
    return secrets.token_hex(24)  # 192 bits; letters and digits need no quoting anywhere


@dataclass(frozen=True)
class Secrets:
    """Made at the first start, kept for the life of the folder."""

    postgres_password: str = field(default_factory=_random)
    valkey_password: str = field(default_factory=_random)
    s3_access_key: str = field(default_factory=_random)
    s3_secret_key: str = field(default_factory=_random)
    flower_password: str = field(default_factory=_random)
    api_key: str = field(default_factory=lambda: "pk_" + _random())


class Home:
    """A folder of mode 700 that belongs to one running stack at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.data = self.path / "data"
        self.logs = self.path / "logs"
        self.scratch = self.path / "scratch"
        self.pids = self.path / "pids"
        self.metrics = self.path / "metrics"
        self._lock: IO[str] | None = None

    def acquire(self) -> None:
        """Make the folder and take it. Raises HomeInUse while another process has it, also one that only just began."""
        for folder in (self.path, self.data, self.logs, self.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise HomeInUse(
                f"a stack is already running on {self.path} (process {holder}); "
                "stop it first, or choose another folder with PARLEY_HOME"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def secrets(self) -> Secrets:
        """The stored secrets; those that are missing are made and stored."""
        file = self.path / "secrets.json"
        names = {item.name for item in fields(Secrets)}
        stored = json.loads(file.read_text()) if file.exists() else {}
        result = Secrets(**{name: value for name, value in stored.items() if name in names})
        if asdict(result) != stored:
            write_private(file, json.dumps(asdict(result), indent=2) + "\n")
        return result

    def metrics_token(self) -> Path:
        """The file with the token by which other users of the machine may read metrics."""
        file = self.path / "metrics-token"
        if not file.exists():
            write_private(file, _random() + "\n")
        return file

    def ports(self, names: Iterable[str]) -> dict[str, int]:
        """A free port for each name: the one it had the last time where that is free, else another."""
        file = self.path / "ports.json"
        remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        number, _, count = os.environ.get(PORT_SHARE, "0/1").partition("/")
        share = INNER_PORTS[int(number) :: int(count)]
        ports: dict[str, int] = {}
        for name in names:
            port = remembered.get(name)
            while port is None or port in ports.values() or not (is_free(port) and is_free(port + 10_000)):
                port = secrets.choice(share)
            ports[name] = port
        write_private(file, json.dumps(remembered | ports, indent=2) + "\n")
        return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        return True
    return False


def require_free(port: int) -> None:
    """Raises PortTaken."""
    if not is_free(port):
        raise PortTaken(f"port {port} is already in use; free it, or choose another: PORT=8001 make run")


def write_private(file: Path, text: str) -> None:
    """Replace `file` in one step by one that only its owner can read."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    draft.replace(file)
