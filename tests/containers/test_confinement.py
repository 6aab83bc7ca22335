"""What the kernel says about the containers' processes, and what docker-compose.yml and deploy.md say of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tests.containers.deployment import ONE_SHOT, Deployment, service_of
from tests.deploy.documented import ways_out

CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "SETGID": 6, "SETUID": 7}
"""Bits of include/uapi/linux/capability.h."""

USERS = {"postgres": 999, "valkey": 999, "seaweedfs": 0}
"""Of images that are not ours; ours run as 10001."""

FILTERED = "2"
"""Seccomp's mode of a process with a filter, in /proc/PID/status."""


@dataclass(frozen=True)
class Process:
    """A process of a container, by /proc."""

    service: str
    pid: str
    status: dict[str, str]
    root_options: set[str]


@pytest.fixture
def processes(deployment: Deployment) -> list[Process]:
    """All processes of all containers that run."""
    rows = []
    for container in deployment.containers():
        if container["State"]["Running"]:
            pids = deployment.engine.docker("top", container["Id"], "-eo", "pid").stdout.split()[1:]
            rows += [_process(deployment, service_of(container), pid) for pid in pids]
    return [process for process in rows if process is not None]


def _process(deployment: Deployment, service: str, pid: str) -> Process | None:
    process = deployment.engine.run(("cat", f"/proc/{pid}/status", f"/proc/{pid}/mountinfo"))
    if process.returncode != 0:  # it has ended meanwhile, as those of health checks do
        return None
    lines = process.stdout.splitlines()
    root = next(line.split() for line in lines if line.split()[4:5] == ["/"])
    status = {name: value.strip() for name, _, value in (line.partition(":") for line in lines if ":\t" in line)}
    return Process(service, pid, status, set(root[5].split(",")))


def test_processes_have_what_compose_gives_them(deployment: Deployment, processes: list[Process]) -> None:
    """Every process of every container has a root that it cannot write to, no new privileges, a seccomp filter, no
    capability beyond those that its service names, and its service's user."""
    services = json.loads(deployment.type("docker compose config --format json"))["services"]
    assert {process.service for process in processes} == set(services) - set(ONE_SHOT)
    for process in processes:
        status, named = process.status, services[process.service].get("cap_add") or ()
        allowed = sum(1 << CAPABILITIES[name] for name in named)
        assert "ro" in process.root_options, process
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == FILTERED, process
        assert int(status["CapBnd"], 16) == allowed, process
        assert int(status["CapEff"], 16) & ~allowed == 0, process
        uid = USERS.get(process.service, 10001)
        assert {int(each) for each in status["Uid"].split()} == {uid}, process
        assert uid == 0 or int(status["CapEff"], 16) == 0, process


def test_memory_is_limited(deployment: Deployment) -> None:
    """The kernel has the limit of every container that compose's file gives it."""
    services = json.loads(deployment.type("docker compose config --format json"))["services"]
    for container in deployment.containers():
        limit = int(services[service_of(container)]["deploy"]["resources"]["limits"]["memory"])
        assert container["HostConfig"]["Memory"] == limit
        if container["State"]["Running"]:
            pid = container["State"]["Pid"]
            script = (
                f"path=$(sed -n 's/^[0-9]*:memory://p; s/^0:://p' /proc/{pid}/cgroup | head -1); "
                "cd /sys/fs/cgroup; cat memory$path/memory.limit_in_bytes .$path/memory.max 2>/dev/null || true"
            )
            assert deployment.type(script).split()[0] == str(limit), service_of(container)


def test_a_way_out_is_where_the_documents_say_yes(deployment: Deployment) -> None:
    """A container has a default route exactly where the table in deploy.md says yes, those of the profiles included."""
    documented = ways_out()
    running = {service_of(each): each for each in deployment.containers() if each["State"]["Running"]}
    ways = {name: _leads_out(_routes_of(deployment, each["State"]["Pid"])) for name, each in running.items()}
    # the others' images are not to be had, or their containers have ended: another program in the same networks
    for name in documented.keys() - ways.keys():
        ways[name] = _leads_out(_routes_of_another(deployment, name))
    assert ways == documented


def _routes_of(deployment: Deployment, pid: int) -> str:
    return deployment.type(f"cat /proc/{pid}/net/route /proc/{pid}/net/ipv6_route 2>/dev/null || true")


def _routes_of_another(deployment: Deployment, service: str) -> str:
    override = deployment.engine.folder.path / "routes.yml"
    override.write_text(
        json.dumps(
            {
                "services": {
                    service: {
                        "image": "python:3.11.15-slim-bookworm",
                        "user": "0:0",
                        "entrypoint": ["cat"],
                        "command": ["/proc/net/route"],
                    }
                }
            }
        )
    )
    every = "--profile monitoring --profile logging"
    files = f"-f docker-compose.yml -f stand-ins.yml -f {override}"
    return deployment.type(f"docker compose {files} {every} run --rm --no-deps --quiet-pull {service}")


def _leads_out(routes: str) -> bool:
    """Whether a default route is in /proc/net/route or, by another device than lo, in /proc/net/ipv6_route."""
    rows = [line.split() for line in routes.splitlines()]
    fourth = any(len(row) == 11 and row[1] == row[7] == "00000000" for row in rows)
    sixth = any(len(row) == 10 and set(row[0]) == {"0"} and row[1] == "00" and row[9] != "lo" for row in rows)
    return fourth or sixth
