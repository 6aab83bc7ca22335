"""A Docker engine in namespaces of its own: nothing of the machine's iptables, networks or /var is touched."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.engine.folder import WorkFolder
from tests.engine.namespaces import Namespaces
from tests.engine.roots import engine_root

START_TIMEOUT_S = 60
PLUGINS = Path("/usr/libexec/docker/cli-plugins")
DAEMON = {
    "storage-driver": "overlay2",
    # what was built stays, or each run would build it again
    "builder": {"gc": {"enabled": False}},
    # Docker Engine 27 does by itself what 26 does when it is told: IPv6 for networks that ask for it
    "experimental": True,
    "ip6tables": True,
    "default-address-pools": [
        {"base": "172.24.0.0/14", "size": 24},
    ],
}


class Engine(Namespaces):
    """dockerd over `folder`: its images and build cache stay there, in `data`. Commands run where it runs, so that
    `docker`, `docker compose`, `curl http://localhost` and `python3` are what a person on its machine has."""

    def __init__(self, folder: WorkFolder, data: str = "docker") -> None:
        self.folder = folder
        self.socket = folder.path / "run" / "docker.sock"
        self._config = folder.path / "docker-config"
        daemon = (
            "dockerd",
            f"--config-file={folder.path}/daemon.json",
            f"--host=unix://{self.socket}",
            f"--data-root={folder.path}/{data}",
            "--exec-root=/run/docker-parley",
            "--pidfile=/run/dockerd.pid",
        )
        super().__init__(engine_root(folder), folder.path, folder.path / "engine.log", daemon)

    def start(self) -> None:
        """Return when it answers."""
        self.socket.parent.mkdir(exist_ok=True)
        self.socket.unlink(missing_ok=True)
        (self.folder.path / "daemon.json").write_text(json.dumps(DAEMON))
        plugins = self._config / "cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(sys.executable).parent / "docker-compose", plugins / "docker-compose")
        self.log.write_bytes(b"")
        super().start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.docker("version", check=False).returncode != 0:
            assert self.is_running and time.monotonic() < deadline, f"dockerd did not start:\n{self.tail()}"
            time.sleep(0.2)

    @property
    def environment(self) -> dict[str, str]:
        docker = {"DOCKER_HOST": f"unix://{self.socket}", "DOCKER_CONFIG": str(self._config)}
        return super().environment | docker | {"BUILDKIT_PROGRESS": "plain", "COMPOSE_PROGRESS": "plain"}

    def docker(self, *arguments: str, check: bool = True, timeout_s: float = 120) -> Any:
        """`docker ...`; its output. With `check` a failure is an AssertionError that has what it said."""
        process = self.run(("docker", *arguments), timeout_s=timeout_s)
        assert not check or process.returncode == 0, (
            f"docker {' '.join(arguments)}\n{process.stdout[-3000:]}{process.stderr[-3000:]}"
        )
        return process

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """What the engine knows of containers, images, networks or volumes."""
        details: list[dict[str, Any]] = json.loads(self.docker("inspect", *names).stdout) if names else []
        return details

    def clear(self) -> None:
        """Remove every container, network and volume; images and build cache stay."""
        if running := self.docker("ps", "-aq").stdout.split():
            self.docker("rm", "-fv", *running)
        self.docker("network", "prune", "-f")
        self.docker("volume", "prune", "-af")


@contextmanager
def running(folder: WorkFolder | None = None, data: str = "docker") -> Iterator[Engine]:
    """An engine with no containers, and nobody else's: who comes second waits. It ends with the block."""
    folder = folder or WorkFolder.of_environment()
    with folder.lock("engine"):
        engine = Engine(folder, data)
        try:
            engine.start()
            engine.clear()
            yield engine
        finally:
            engine.stop()
