"""The command line's own WebSocket against another implementation."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from itertools import repeat
from socket import create_server
from types import FrameType

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve
from websockets.utils import accept_key

from cli.failures import Failure, Refused, Unreachable
from cli.live.session import MOST_KEPT, LiveSession
from cli.live.sound import sound
from cli.live.websocket import Closed, WebSocket
from scripts.weights.fixtures import fixture


@contextmanager
def server(talk: Callable[[ServerConnection], None], refuse: bool = False) -> Iterator[str]:
    def first(connection: ServerConnection, request: Request) -> Response | None:
        if not refuse:
            return None
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, '{"code": "too_many_sessions", "message": "two"}')
        response.headers["X-Request-Id"] = "r1"
        return response

    with serve(talk, "127.0.0.1", 0, process_request=first, max_size=None) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.socket.getsockname()[1]}/base"
        listening.shutdown()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_messages_of_any_size_arrive(size: int) -> None:
    """Binary ones as they are, and text back, also in fragments; the path and the query are those asked for."""

    def talk(connection: ServerConnection) -> None:
        assert connection.request and connection.request.path == "/base/ws/stream?rate=8000"
        message = connection.recv()
        assert isinstance(message, bytes)
        connection.ping()
        connection.send(str(message.count(7)))
        connection.send(iter(["in ", "fragments ", "é"]))
        connection.close(4409, "taken")

    with server(talk) as url:
        socket = WebSocket(url, "/ws/stream", {"rate": "8000"}, "key")
        socket.send(b"\7" * size)
        messages = socket.messages()
        assert [next(messages), next(messages)] == [str(size), "in fragments é"]
        with pytest.raises(Closed) as closed:
            next(messages)
        assert closed.value.code == 4409
        socket.close()


def test_what_a_server_said_before_it_went_is_heard() -> None:
    """Behind a ping as well, whose answer nobody takes any more."""
    frames = b"\x89\x00" + b"\x81\x04last" + b"\x88\x02" + (4409).to_bytes(2, "big")

    with create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += peer.recv(4096)
                (nonce,) = re.findall(rb"Sec-WebSocket-Key: (\S+)", head)
                proof = accept_key(nonce.decode()).encode()
                peer.sendall(b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: " + proof + b"\r\n\r\n" + frames)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        socket = WebSocket(f"http://127.0.0.1:{listener.getsockname()[1]}", "/ws/stream", {}, None)
        thread.join()
    with pytest.raises(ConnectionError):  # behind the first one, which is answered by a reset
        for _ in range(6000):
            socket.send(b"sound")
            time.sleep(0.01)
    messages = socket.messages()
    assert next(messages) == "last"
    with pytest.raises(Closed) as closed:
        next(messages)
    assert closed.value.code == 4409
    socket.close()


def test_a_refused_handshake_has_the_servers_words() -> None:
    """And the id under which its logs have it."""
    with server(lambda _: None, refuse=True) as url, pytest.raises(Refused) as refused:
        WebSocket(url, "/ws/stream", {}, None)
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (429, "too_many_sessions", "r1")


def test_a_session_that_is_closed_while_much_is_unacknowledged_ends() -> None:
    """Also where the thread that heard of it takes its time to end."""

    def talk(connection: ServerConnection) -> None:
        connection.send('{"type": "hello", "task_id": "1"}')
        for _ in range(MOST_KEPT - 1):  # behind them no more is sent
            connection.recv()
        connection.close(4409, "taken")

    def linger(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code is LiveSession._read.__code__:
            time.sleep(0.3)

    threading.setprofile(linger)
    try:
        with server(talk) as url, pytest.raises(Failure, match="4409"):
            LiveSession(url, None, {}, lambda _: None).run(repeat(b"\0\0"))
    finally:
        threading.setprofile(None)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "nonsense"])
def test_what_is_no_address_is_said(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Unreachable):
        WebSocket(url, "/ws/stream", {}, None)


def test_a_recording_is_read_in_pieces() -> None:
    """All of it, at its own rate, as one channel of 16-bit samples."""
    source = sound(str(fixture("jfk.wav")), 16_000, speed=1000)
    pieces = list(source.pieces)
    assert sum(map(len, pieces)) / (2 * source.rate) == pytest.approx(11, abs=0.1)
    assert max(map(len, pieces)) == source.rate // 2
