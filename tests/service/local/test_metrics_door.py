"""Metrics on a machine that others share, and whose word is taken for where a request comes from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.local.apps import API, worker
from scripts.local.stack import Stack
from shared.telemetry.peers import is_of_this_machine, may_read_metrics, user_of
from tests.service.gateway import PATIENCE_S, eventually

NOBODY = 65534
ASK = """
import json, sys, urllib.error, urllib.request
def status(url, headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
            return answer.status, b"# HELP" in answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b"# HELP" in error.read()
print(json.dumps([status(url, json.loads(sys.argv[1])) for url in sys.argv[2:]]))
"""


@pytest.fixture(scope="module")
def stack(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway and a worker with metrics, as `make run` starts them."""
    apps = (API, worker("io", "io,cpu", concurrency=1, threads=1))
    environ = {**os.environ, **servers.env, "ENGINE": "sleeper"}
    environ.pop("METRICS_TOKEN_FILE", None)
    with Stack(tmp_path_factory.mktemp("metrics"), apps=apps, environ=environ, migrate=False) as running:
        eventually(lambda: all(_is_there(url) for url in running.metrics_urls.values()), "both listen")
        yield running


def _is_there(url: str) -> bool:
    try:
        return httpx.get(url, timeout=PATIENCE_S).status_code > 0
    except httpx.HTTPError:
        return False


def as_nobody(urls: list[str], headers: dict[str, str]) -> list[tuple[int, bool]]:
    """Status, and whether there were metrics in it, for another user of this machine."""
    process = subprocess.run(
        (
            "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable,
            "-c",
            ASK,
            json.dumps(headers),
            *urls,
        ),
        user=NOBODY,
        group=NOBODY,
        extra_groups=(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd="/",
    )
    return [(status, has_metrics) for status, has_metrics in json.loads(process.stdout)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user: run it as root")
def test_other_users_need_the_token(stack: Stack) -> None:
    """Gateway and workers answer the user nobody 401 without it, with a wrong one, and with an API key; 200 with it."""
    urls = list(stack.metrics_urls.values())
    assert len(urls) == 2
    token = stack.home.metrics_token().read_text().strip()
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {stack.api_key}"},
        {"X-API-Key": stack.api_key},
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    ):
        assert as_nobody(urls, headers) == [(401, False)] * 2, headers
    assert as_nobody(urls, {"Authorization": f"Bearer {token}"}) == [(200, True)] * 2
    assert stack.home.metrics_token().stat().st_mode & 0o077 == 0


def test_the_stacks_own_user_needs_none(stack: Stack) -> None:
    """A Prometheus that runs as the same user reads them as they are, also over the IPv4 of an IPv6 socket."""
    for url in stack.metrics_urls.values():
        answer = httpx.get(url, timeout=PATIENCE_S)
        assert (answer.status_code, "# HELP" in answer.text) == (200, True)


def test_where_a_request_comes_from_is_nobodys_word(stack: Stack) -> None:
    """X-Forwarded-For of a client on the same machine changes nothing in the log; nobody is trusted by default."""
    request_id = f"from-{uuid.uuid4()}"
    headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": request_id}
    httpx.get(f"{stack.url}/nowhere", headers=headers, timeout=PATIENCE_S)
    assert _client(stack, request_id) == "127.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "client"), [("127.0.0.1", "203.0.113.9"), ("127.0.0.0/8", "203.0.113.9"), ("192.0.2.1/32", "127.0.0.1")]
)
def test_a_proxy_that_is_named_is_believed(
    servers: Stack, tmp_path_factory: pytest.TempPathFactory, trusted: str, client: str
) -> None:
    """TRUSTED_PROXIES of a local stack, which is --forwarded-allow-ips of the gateway, names addresses and networks.
    Metrics go by who has really connected all the same."""
    environ = {**os.environ, **servers.env, "TRUSTED_PROXIES": trusted}
    with Stack(tmp_path_factory.mktemp("trusting"), apps=(API,), environ=environ, migrate=False) as stack:
        request_id = f"from-{uuid.uuid4()}"
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Request-Id": request_id}
        httpx.get(f"{stack.url}/nowhere", headers=headers, timeout=PATIENCE_S)
        assert _client(stack, request_id) == client
        assert httpx.get(stack.metrics_urls["api"], headers=headers, timeout=PATIENCE_S).status_code == 200
        if os.geteuid() == 0:
            assert as_nobody([stack.metrics_urls["api"]], {"X-Forwarded-For": "203.0.113.9"}) == [(401, False)]


def _client(stack: Stack, request_id: str) -> str:
    """Whom the log names."""
    eventually(lambda: request_id in stack.log("api").read_text(), "the line")
    line = next(line for line in stack.log("api").read_text().splitlines() if request_id in line)
    return str(json.loads(line)["client"])


def test_other_machines_are_for_the_network_to_keep_out(tmp_path: Path) -> None:
    """Without a token, they may; with one, they need it. Connections that nobody here has made are nobody's."""
    file = tmp_path / "token"
    file.write_text("a-token-of-metrics\n")
    there, here = ("192.0.2.7", 40000), ("192.0.2.1", 8000)
    assert may_read_metrics(None, None, there, here)
    assert not may_read_metrics(file, None, there, here)
    assert not may_read_metrics(file, "Bearer a-token", there, here)
    assert not may_read_metrics(tmp_path / "missing", "Bearer ", there, here)
    assert may_read_metrics(file, "Bearer a-token-of-metrics", there, here)
    for peer in (("127.0.0.1", 1), ("::1", 1), ("::ffff:127.0.0.1", 1), ("192.0.2.1", 1), ("127.9.9.9", 1)):
        assert is_of_this_machine(peer, here)
        assert user_of(peer, here) is None
        assert not may_read_metrics(None, None, peer, here)
