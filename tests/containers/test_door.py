"""Caddy's published port: the limits of the real plugin, and the addresses of clients."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.containers.deployment import Deployment
from tests.engine.engine import Engine
from tests.engine.standins import caddy_with_plugin

ADDRESS_WINDOW_S = 12
LOGGED_S = 30

MACHINE, CLIENT = "fd00:77::1", "fd00:77::2"
CABLE = f"""
ip netns add client
ip link add cable type veth peer name end netns client
ip addr add {MACHINE}/64 dev cable nodad && ip link set cable up
ip -n client addr add {CLIENT}/64 dev end nodad && ip -n client link set end up
"""
"""A client on a network of its own, by a cable from the engine's machine."""


def test_every_limit_of_caddy_works(deployment: Deployment) -> None:
    """check_ratelimit.py of the checkout proves all four limits of the plugin against the published port."""
    if caddy_with_plugin() is None:
        pytest.skip("not run: PARLEY_TEST_BIN names no folder with a Caddy that has the rate limit plugin")
    output = deployment.type("python3 scripts/check_ratelimit.py http://localhost")
    time.sleep(ADDRESS_WINDOW_S)  # whoever comes next has this address too
    assert [line.partition(":")[0] for line in output.splitlines()] == ["submit", "upload", "poll", "address"]
    assert output.count("refused after") == 4


@pytest.fixture(scope="module")
def cable(engine: Engine) -> None:
    """The client's cable, once for the machine."""
    process = engine.run(CABLE)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("enabled", [True, False])
def test_clients_by_ipv6(deployment: Deployment, cable: None, enabled: bool) -> None:
    """With EDGE_IPV6=true Caddy knows a client by its own IPv6 address; without, by another, as deploy.md says."""
    env = deployment.checkout / ".env"
    before = env.read_text()
    try:
        env.write_text(f"{before}EDGE_IPV6={str(enabled).lower()}\n")
        deployment.type("docker compose up -d && docker compose up -d")  # twice: the second finds a network
        deployment.wait_healthy()
        request = f"ipv6-{uuid.uuid4()}"
        output = deployment.type(
            f"ip netns exec client curl -sS -m 60 -H 'X-Request-Id: {request}' 'http://[{MACHINE}]/health/live'"
        )
        assert "ok" in output
        address = logged(deployment, request)
    finally:
        env.write_text(before)
    assert (address == CLIENT) == enabled, address


def logged(deployment: Deployment, request: str) -> str:
    """The client's address in Caddy's line of this request."""
    deadline = time.monotonic() + LOGGED_S
    while not (lines := [line for line in deployment.logs("caddy").splitlines() if request in line]):
        assert time.monotonic() < deadline, "Caddy has logged nothing"
        time.sleep(0.5)
    entry: dict[str, Any] = json.loads(lines[0].partition("| ")[2])
    return str(entry["request"]["remote_ip"])
