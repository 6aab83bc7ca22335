"""Connections that say nothing, or too slowly, or are too many: others are served all the same."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import pytest

from scripts.local.apps import API
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import storage_of
from tests.service.gateway import PATIENCE_S, Gateway, eventually

HEAD_S, UNREAD_S = 10, 30
SLACK_S = 15
"""For a machine with much else to do."""

MOST = 40
SILENT = 200
UNWANTED = b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
BOUND = replace(API, arguments=(*API.arguments, "--max-connections", str(MOST)))


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Stack(tmp_path_factory.mktemp("gateway"), apps=(API,), environ=servers.env, migrate=False) as stack:
        yield Gateway(stack, storage_of(environment))


@pytest.fixture(scope="module")
def bound(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that may have few connections."""
    with Stack(tmp_path_factory.mktemp("bound"), apps=(BOUND,), environ=servers.env, migrate=False) as stack:
        yield Gateway(stack, storage_of(environment))


@pytest.fixture(scope="module", autouse=True)
def unread_s(gateway: Gateway) -> Iterator[Future[float]]:
    """Seconds for which a body that nobody wants is read when it comes slowly; other tests run meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(until_cut_off, gateway)


def until_cut_off(gateway: Gateway) -> float:
    """A chunk of one byte each second, behind a 401."""
    with connect(gateway) as slow:
        slow.sendall(UNWANTED)
        assert status(slow) == 401
        began = time.monotonic()
        slow.settimeout(1)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 2 * UNREAD_S + SLACK_S:
                slow.sendall(b"1\r\nx\r\n")
                with contextlib.suppress(TimeoutError):
                    if slow.recv(10) == b"":
                        break
        return time.monotonic() - began


def connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection((LOOPBACK, gateway.stack.port_of("api")), PATIENCE_S)


def status(connection: socket.socket) -> int:
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return received


def lives(gateway: Gateway) -> bool:
    with connect(gateway) as connection:
        connection.sendall(LIVE)
        return status(connection) == 200


def test_silence_ends_a_connection(gateway: Gateway) -> None:
    """One that never asks is closed after 10 s, one that asks a byte at a time is 408 then, also behind a request that
    was answered; meanwhile others are answered."""
    with contextlib.ExitStack() as opened:
        silent, slow, later = (opened.enter_context(connect(gateway)) for _ in range(3))
        later.sendall(LIVE)
        assert status(later) == 200
        began = time.monotonic()
        later.sendall(LIVE[:10])
        slow.sendall(LIVE[:5])
        for place in range(5, 9):
            time.sleep(HEAD_S / 10)
            slow.sendall(LIVE[place : place + 1])
            assert lives(gateway)
        assert rest(silent) == b""
        for connection in (slow, later):
            assert rest(connection).startswith(b"HTTP/1.1 408 ")
        assert HEAD_S - 2 < time.monotonic() - began < HEAD_S + SLACK_S


def test_a_request_may_take_longer_than_its_head(gateway: Gateway) -> None:
    """A body that comes in after 12 s is read, and a connection that is kept is good for another request after 12 s."""
    caller = gateway.caller("admin")
    with connect(gateway) as posting, connect(gateway) as persistent, caller.http:
        body = b'{"name": "late"}'
        persistent.sendall(LIVE)
        assert status(persistent) == 200
        posting.sendall(
            f"POST /admin/keys HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {caller.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        time.sleep(HEAD_S + 2)
        posting.sendall(body)
        assert status(posting) == 201
        persistent.sendall(LIVE)
        assert status(persistent) == 200


def test_a_body_that_nobody_wants_is_not_read_for_ever(gateway: Gateway, unread_s: Future[float]) -> None:
    """Behind a 401, endless chunks are read up to 64 MiB and slow ones for 30 s; what follows a short one gets its
    answer."""
    chunk = b"%x\r\n%b\r\n" % (2**20, bytes(2**20))
    with connect(gateway) as fast, pytest.raises(ConnectionError):
        fast.sendall(UNWANTED)
        assert status(fast) == 401
        for _ in range(500):
            fast.sendall(chunk)
    with connect(gateway) as short:
        short.sendall(UNWANTED)
        assert status(short) == 401
        short.sendall(chunk + b"0\r\n\r\n" + LIVE)
        assert status(short) == 200
    assert UNREAD_S - 2 < unread_s.result() < UNREAD_S + SLACK_S


def test_many_silent_ones_keep_nobody_out(bound: Gateway) -> None:
    """With the doors full whoever has been silent longest goes, and whoever asks is answered at once."""
    with contextlib.ExitStack() as opened:
        silent = [opened.enter_context(connect(bound)) for _ in range(SILENT)]
        silent[-1].sendall(LIVE)  # before it has been silent for too long
        assert status(silent[-1]) == 200
        assert all(lives(bound) for _ in range(20))
        rests = [rest(one) for one in silent[: SILENT - MOST]]
        assert rests == [b""] * (SILENT - MOST)


def test_without_descriptors_it_says_so_once_a_minute(gateway: Gateway) -> None:
    """A gateway that can accept nobody writes a line, not megabytes, takes little time, and comes back when it can."""
    pid = gateway.stack.pid("api")
    assert pid is not None
    before, size = resource.prlimit(pid, resource.RLIMIT_NOFILE), gateway.stack.log("api").stat().st_size
    ticks = cpu_ticks(pid)
    with contextlib.ExitStack() as opened:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (30, before[1]))
        try:
            for _ in range(100):
                opened.enter_context(connect(gateway))
            time.sleep(6)
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    log = gateway.stack.log("api").read_text()[size:]
    failed = [json.loads(line) for line in log.splitlines() if "accept_failed" in line]
    assert len(failed) == 1 and "Too many open files" in failed[0]["reason"]
    assert len(log) < 100_000
    assert cpu_ticks(pid) - ticks < 300, "3 s of 6"
    eventually(lambda: lives(gateway), "it accepts again")


def cpu_ticks(pid: int) -> int:
    """Of 10 ms each."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
