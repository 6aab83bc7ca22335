"""docker-compose.yml as compose itself reads it, and its services as processes of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.local.servers import Postgres, Valkey
from scripts.local.unprivileged import unprivileged
from tests.deploy.machine import Machine
from tests.deploy.monitoring.prometheus import program
from tests.programs import program as require

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
READY_TIMEOUT_S = 600
CHECK_TIMEOUT_S = 60

NAMED = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"')
"""Before a name and a command: the command runs on a host of that name, as every container does."""

VALKEY_CLI = """#!{python}
# `valkey-cli ping`, which the wheel of the server lacks: signs in with REDISCLI_AUTH, as the real one does
import os, sys, redis
print("PONG" if redis.Redis(password=os.environ["REDISCLI_AUTH"]).execute_command(*sys.argv[1:]) else "")
"""

WGET = """#!/bin/sh
# `wget -q -O FILE URL`, which BusyBox has in the images and a minimal Debian lacks
exec curl -fs -o "$3" "$4"
"""


def project(folder: Path, settings: Mapping[str, str]) -> Path:
    """A folder like a checkout, with an .env of its own: new secrets by init_env.py, and these settings."""
    folder.mkdir()
    for name in ("docker-compose.yml", "compose", "Caddyfile", "deploy", "Dockerfile", "Dockerfile.worker"):
        (folder / name).symlink_to(ROOT / name)
    subprocess.run((sys.executable, ROOT / "scripts/init_env.py", "--file", folder / ".env"), check=True)
    with (folder / ".env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
    return folder


def compose(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the real docker-compose in `folder`, with nothing of this process's environment."""
    return subprocess.run(
        (BIN / "docker-compose", *arguments),
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read(folder: Path, *arguments: str) -> dict[str, Any]:
    """Everything of the project, after interpolation and merging."""
    process = compose(folder, *arguments, "config", "--format", "json")
    assert process.returncode == 0, process.stderr
    loaded: dict[str, Any] = json.loads(process.stdout.replace("$$", "$"))  # it escapes what it would interpolate again
    return loaded


@dataclass
class Service:
    """A service of compose as a process: its command and environment, paths of volumes moved below `folder`."""

    name: str
    described: dict[str, Any]
    folder: Path
    machine: Machine
    volumes: Mapping[str, Path]
    changes: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.paths: dict[str, Path] = {}
        for volume in self.described.get("volumes", ()):
            source = volume["source"]
            self.paths[volume["target"]] = Path(source) if volume["type"] == "bind" else self.volumes[source]
        for entry in self.described.get("tmpfs", ()):
            target = entry.partition(":")[0]
            if target != "/tmp":
                self.paths[target] = self.folder / target.strip("/").replace("/", "-")
                self.paths[target].mkdir()

    @property
    def argv(self) -> tuple[str, ...]:
        parts = [*(self.described.get("entrypoint") or ()), *(self.described.get("command") or ())]
        return tuple(self._moved(part) for part in parts)

    @property
    def environment(self) -> dict[str, str]:
        variables: dict[str, str] = {
            name: self._moved(value or "") for name, value in (self.described.get("environment") or {}).items()
        }
        path = f"{self.folder.parent / 'bin'}:{BIN}:{os.environ['PATH']}"
        return variables | {"PATH": path, "HOME": str(self.folder), "PYTHONUNBUFFERED": "1"} | self.changes

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        prefix: tuple[str, ...] = ()
        if self.name == "postgres":  # on its machine an ordinary user is root
            prefix = unprivileged(self.folder).prefix or ("unshare", "--user", "--map-user=65534")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (*self.machine.prefix(ROOT), *NAMED, self.name, *prefix, *self.argv),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, timeout_s: float = 300) -> int:
        """For one-shot services."""
        self.start()
        assert self.process is not None
        return self.process.wait(timeout_s)

    def check(self) -> subprocess.CompletedProcess[bytes]:
        """Its health check, once; 124 is its status where it has to be ended."""
        kind, *test = (self._moved(part) for part in self.described["healthcheck"]["test"])
        argv = ("sh", "-c", test[0]) if kind == "CMD-SHELL" else tuple(test)
        try:
            return subprocess.run(
                (*self.machine.prefix(ROOT), *NAMED, self.name, *argv),
                env=self.environment,
                capture_output=True,
                timeout=CHECK_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            return subprocess.CompletedProcess(argv, 124, b"", str(error).encode())

    def wait_healthy(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + READY_TIMEOUT_S
        while (process := self.check()).returncode != 0:
            assert self.process.poll() is None, f"{self.name} ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name}: {process.stderr.decode()}\n{self.tail()}"
            time.sleep(0.3)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ask_to_stop(self) -> None:
        """As compose does: the stop signal, to the main process."""
        assert self.process is not None
        self.process.send_signal(getattr(signal, self.described.get("stop_signal", "SIGTERM")))

    def wait_stopped(self) -> bool:
        """Whether it ended within its grace period; it is killed otherwise, as compose does."""
        assert self.process is not None
        try:
            self.process.wait(seconds(self.described.get("stop_grace_period", "10s")))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)
            return False
        return True

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _moved(self, text: str) -> str:
        for target in sorted(self.paths, key=len, reverse=True):
            text = re.sub(rf"(?<![\w./-]){re.escape(target)}(?![\w-])", str(self.paths[target]), text)
        return text


def tools(folder: Path) -> None:
    """The programs of foreign images that lie in no folder of PATH here."""
    folder.mkdir()
    postgres = Path(Postgres(folder, 5432, "").command().argv[0])
    for name in ("postgres", "pg_isready", "createdb"):
        (folder / name).symlink_to(postgres.with_name(name))
    (folder / "valkey-server").symlink_to(Valkey(folder, 6379, "").command().argv[0])
    (folder / "prometheus").symlink_to(program("prometheus"))
    (folder / "node_exporter").symlink_to(program("prometheus-node-exporter"))
    scripts = {"valkey-cli": VALKEY_CLI.format(python=sys.executable)}
    if shutil.which("wget") is None:
        require("curl")
        scripts["wget"] = WGET
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def seconds(duration: str) -> float:
    """Compose's durations, as its config command writes them: 1m30s."""
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", duration)
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit] for number, unit in parts)
