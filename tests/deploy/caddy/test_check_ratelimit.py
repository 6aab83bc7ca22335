"""scripts/check_ratelimit.py before a server on loopback that refuses as Caddy with the plugin does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

import pytest

from scripts.check_ratelimit import main

LIMITS = {"submit": 20, "upload": 30, "poll": 40, "address": 200}
REFUSED = {"X-Limit-Zone": "{zone}", "Retry-After": "7"}


class Deployment(ThreadingHTTPServer):
    """Counts each request for its address, then for its key; `refusal` are the headers of a 429."""

    daemon_threads = True

    def __init__(self, limits: Mapping[str, int], refusal: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.limits, self.refusal = limits, refusal
        self.counts: Counter[str] = Counter()
        self.connections: set[int] = set()
        self.lock = Lock()

    def count(self, zones: list[str], port: int) -> str | None:
        """The zone that refuses, if any."""
        with self.lock:
            self.connections.add(port)
            for zone in zones:
                if self.counts[zone] >= self.limits[zone]:
                    return zone
                self.counts[zone] += 1
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Deployment

    def answer(self) -> None:
        key = "upload" if self.path.startswith("/uploads") else "submit" if self.command == "POST" else "poll"
        zones = ["address", key] if self.headers["Authorization"] else ["address"]
        zone = self.server.count(zones, self.client_address[1])
        self.send_response(429 if zone else 401)
        for name, value in self.server.refusal.items() if zone else ():
            self.send_header(name, value.format(zone=zone))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names are the base class's

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@contextmanager
def deployment(limits: Mapping[str, int], refusal: Mapping[str, str] = REFUSED) -> Iterator[Deployment]:
    with Deployment(limits, refusal) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def check(server: Deployment) -> int:
    return main([f"http://127.0.0.1:{server.server_port}", "--requests", "300", "--connections", "4"])


def test_each_limit_is_proved_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the four refuses after as many requests as it lets through, asked over several connections at once."""
    with deployment(LIMITS) as server:
        assert check(server) == 0
    refusals = re.findall(
        r"^(\w+): refused after (\d+) requests, Retry-After 7 s$", capsys.readouterr().out, re.MULTILINE
    )
    assert [zone for zone, _ in refusals] == ["submit", "upload", "poll", "address"]
    assert all(int(count) > LIMITS[zone] for zone, count in refusals[:3])
    assert len(server.connections) > 4


@pytest.mark.parametrize("missing", LIMITS)
def test_a_limit_that_is_missing_is_named(missing: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit that lets everything through fails the check, whatever the others do."""
    limits = (
        {zone: limit * 10 for zone, limit in LIMITS.items()} if missing == "address" else {**LIMITS, "address": 900}
    )
    with deployment({**limits, missing: 9999}) as server:
        assert check(server) == 1
    assert f"{missing}: 300 requests in" in capsys.readouterr().out


def test_another_limit_is_not_taken_for_the_one_in_question(capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal by the address's limit proves nothing of a key's."""
    with deployment({**LIMITS, "address": 10}) as server:
        assert check(server) == 1
    output = capsys.readouterr().out
    assert output.count("refused by the limit 'address' before its own") == 3
    assert "address: refused after" in output


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ({"X-Limit-Zone": "{zone}"}, "Retry-After is None"),
        ({"X-Limit-Zone": "{zone}", "Retry-After": "0"}, "Retry-After is '0'"),
        ({"Retry-After": "7", "RateLimit-Policy": '"requests";q=60;w=60'}, "no 429 by Caddy; 2"),
    ],
)
def test_a_wrong_refusal_fails(refusal: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A 429 that says no time, or that is the gateway's own, proves nothing."""
    with deployment(LIMITS, refusal) as server:
        assert check(server) == 1
    assert words in capsys.readouterr().out


def test_nobody_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that does not answer fails with its name."""
    with deployment(LIMITS) as server:
        url = f"http://127.0.0.1:{server.server_port}"
    assert main([url, "--requests", "5"]) == 1
    assert "ConnectionRefusedError" in capsys.readouterr().out
