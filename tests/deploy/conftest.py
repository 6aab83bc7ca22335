"""All services of docker-compose.yml, each started by its own command, found well by its own health check."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MODELS
from tests.deploy.compose.postgres_image import initialize
from tests.deploy.composed import ROOT, Service, project, read, tools
from tests.deploy.machine import Machine
from tests.programs import program

SETTINGS = {
    "RATELIMIT_FILE": "deploy/caddy/no-ratelimit.caddy",  # stock Caddy has no such plugin
    "ENGINE": "sleeper",
    "ASR_THREADS": "1",
    "DIARIZE_THREADS": "1",
    "IO_CONCURRENCY": "1",
    "CPU_CONCURRENCY": "1",
    "MAX_BODY": "1100MB",
    "HEARTBEAT_S": "0.5",
}
SERVERS = ("postgres", "valkey", "seaweedfs")
METRICS_PORT = 9100
LOGGED_S = 120


@dataclass
class Deployment:
    """The services as processes of one machine; `described` is what compose makes of the files."""

    folder: Path
    described: dict[str, Any]
    machine: Machine
    services: dict[str, Service] = field(default_factory=dict)

    def service(self, name: str) -> Service:
        """The service, made but not started."""
        if name not in self.services:
            volumes = {volume: self.folder / "volumes" / volume for volume in self.described["volumes"]}
            for path in volumes.values():
                path.mkdir(parents=True, exist_ok=True)
            # one machine stands for many: here all workers have one address
            number = sorted(self.described["services"]).index(name)
            changes = {"METRICS_PORT": str(METRICS_PORT + number)} if name.startswith("worker") else {}
            self.services[name] = Service(
                name,
                self.described["services"][name],
                self.folder / "run" / name,
                self.machine,
                volumes | {"models": MODELS},
                changes,
            )
            if name == "postgres":
                self._as_the_image_does(self.services[name], volumes["postgres"])
        return self.services[name]

    def run(self, *command: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """A command on that machine."""
        if "/" not in command[0]:
            program(command[0])
        return subprocess.run(
            (*self.machine.prefix(ROOT), *command), capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def logged(self, service: str, request_id: str) -> dict[str, Any]:
        """A service's last line about this request. Caddy writes it when the client has its answer already."""
        log, deadline = self.service(service).log, time.monotonic() + LOGGED_S
        # a line that is being written has no end yet
        while not (lines := [line for line in log.read_text().split("\n")[:-1] if request_id in line]):
            assert time.monotonic() < deadline, f"{service} has logged nothing of {request_id}"
            time.sleep(0.1)
        line: dict[str, Any] = json.loads(lines[-1])
        return line

    @property
    def api_key(self) -> str:
        return str(self.described["services"]["api"]["environment"]["API_KEY"])

    def stop(self) -> list[str]:
        """Stop what runs, the last first, as compose does; returns the names of what outlived its grace period."""
        late = []
        for service in reversed(list(self.services.values())):
            if service.is_running:
                service.ask_to_stop()
                if not service.wait_stopped():
                    late.append(service.name)
        return late

    def _as_the_image_does(self, service: Service, volume: Path) -> None:
        """Make the cluster, which the entrypoint of PostgreSQL's image does before the command."""
        initialize(volume / "18", service.environment)
        with (volume / "18" / "postgresql.conf").open("a") as file:
            file.write("unix_socket_directories = ''\n")
        service.changes = {"PGDATA": str(volume / "18")}


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Servers and gateway behind Caddy, healthy and migrated; workers are started by whoever needs them."""
    folder = tmp_path_factory.mktemp("deploy")
    described = read(
        project(folder / "project", SETTINGS), *(f"--profile={name}" for name in ("gpu", "live", "monitoring"))
    )
    (folder / "run").mkdir()
    tools(folder / "run" / "bin")
    with Machine(folder, described["services"]) as machine:
        deployed = Deployment(folder, described, machine)
        try:
            for name in SERVERS:
                deployed.service(name).start()
            _make_database(deployed)
            for name in SERVERS:
                deployed.service(name).wait_healthy()
            assert deployed.service("migrate").run() == 0, deployed.service("migrate").tail()
            for name in ("api", "caddy"):
                deployed.service(name).start()
            for name in ("api", "caddy"):
                deployed.service(name).wait_healthy()
            yield deployed
        finally:
            late = deployed.stop()
            shutil.rmtree(folder / "volumes", ignore_errors=True)
        assert not late, f"outlived their grace periods: {late}"


def _make_database(deployed: Deployment) -> None:
    """The database POSTGRES_DB, which the image makes."""
    postgres = deployed.service("postgres")
    described = postgres.described["environment"]
    createdb = deployed.folder / "run" / "bin" / "createdb"
    process = subprocess.run(
        (
            *deployed.machine.prefix(ROOT),
            "sh",
            "-c",
            f"for i in $(seq 1500); do {createdb} -h 127.0.0.1 -U {described['POSTGRES_USER']} "
            f"{described['POSTGRES_DB']} && exit 0; sleep 0.2; done; exit 1",
        ),
        env=os.environ | {"PGPASSWORD": described["POSTGRES_PASSWORD"]},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert process.returncode == 0, postgres.tail()
