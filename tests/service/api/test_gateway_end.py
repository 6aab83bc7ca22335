"""How a gateway with a proxy in front ends: no request that reaches it goes unanswered."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import pytest

from scripts.local.apps import API
from scripts.local.home import LOOPBACK
from scripts.local.stack import Stack
from tests.service.gateway import BOUNDARY, MULTIPART, PATIENCE_S, eventually

LINGER_S = 6
BEHIND = ("api.server", "--host", "{host}", "--port", "{port}", "--linger")
BEHIND_PROXY = replace(API, arguments=(*BEHIND, str(LINGER_S)))
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONNECTIONS = 50


@pytest.fixture(scope="module")
def running(servers: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway of its own, as compose starts it but for the time, over the shared servers."""
    environ = {**os.environ, **servers.env}
    with Stack(tmp_path_factory.mktemp("ends"), apps=(BEHIND_PROXY,), environ=environ, migrate=False) as started:
        yield started


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The same, started again when a test has ended it."""
    if "api" not in running.names():
        running.start_process("api")
    return running


def connect(stack: Stack) -> socket.socket:
    return socket.create_connection((LOOPBACK, stack.port_of("api")), PATIENCE_S)


def head(connection: socket.socket) -> tuple[int, str | None]:
    """Status of the next answer on a connection, and its header `Connection`."""
    with HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status, response.headers["Connection"]


@contextmanager
def ending(stack: Stack) -> Iterator[None]:
    """The gateway has been told to end, and has done so behind the block."""
    stopping = threading.Thread(target=stack.stop_process, args=("api",))
    stopping.start()
    yield
    stopping.join(PATIENCE_S)
    assert not stopping.is_alive()


def refuses(stack: Stack) -> bool:
    try:
        connect(stack).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the kernel had it waiting for a port that closes right now
        return False
    return False


def test_connections_that_nobody_has_taken_yet_are_answered(stack: Stack) -> None:
    """Those that the kernel has made while the gateway was busy, with their requests and without."""
    gateway = stack.pid("api")
    assert gateway
    os.kill(gateway, signal.SIGSTOP)
    connections = [connect(stack) for _ in range(CONNECTIONS)]
    for connection in connections[::2]:
        connection.sendall(LIVE)
    with ending(stack):  # which lets it go on
        for connection in connections[::2]:
            assert head(connection)[0] == 200
        for connection in connections[1::2]:
            connection.sendall(LIVE)
        for connection in connections[1::2]:
            assert head(connection)[0] == 200


def test_an_idle_connection_has_one_more_answer(stack: Stack) -> None:
    """Which says that it is the last; a new connection is refused meanwhile."""
    idle = connect(stack)
    idle.sendall(LIVE)
    assert head(idle) == (200, None)
    with ending(stack):
        eventually(lambda: refuses(stack), "the port is closed")
        idle.sendall(LIVE)
        assert head(idle) == (200, "close")
        assert idle.recv(10) == b""


def test_a_body_on_its_way_arrives(stack: Stack) -> None:
    """Also one that takes longer than idle connections are kept."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    body = part + os.urandom(64) + f"\r\n--{BOUNDARY}--\r\n".encode()
    upload = connect(stack)
    upload.sendall(
        f"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {stack.api_key}\r\n"
        f"Content-Type: {MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    upload.sendall(body[:50])
    with ending(stack):
        eventually(lambda: refuses(stack), "the port is closed")
        time.sleep(LINGER_S + 1)
        upload.sendall(body[50:])
        assert head(upload) == (202, "close")


def test_nobody_is_waited_for_who_is_not_there(servers: Stack, stack: Stack, tmp_path: Path) -> None:
    """Without connections it ends, however long it would wait, before it is killed; with an idle one it does after
    LINGER_S."""
    patient, reports = replace(API, arguments=(*BEHIND, str(PATIENCE_S))), list[str]()
    environ = {**os.environ, **servers.env}
    with Stack(tmp_path, apps=(patient,), environ=environ, migrate=False, report=reports.append) as alone:
        alone.stop_process("api")
    assert reports == []
    idle = connect(stack)
    idle.sendall(LIVE)
    head(idle)
    began = time.monotonic()
    stack.stop_process("api")
    assert time.monotonic() - began >= LINGER_S
    assert idle.recv(10) == b""
