"""The command line's own WebSocket against another implementation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from cli.failures import Refused, Unreachable
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


def test_a_refused_handshake_has_the_servers_words() -> None:
    """And the id under which its logs have it."""
    with server(lambda _: None, refuse=True) as url, pytest.raises(Refused) as refused:
        WebSocket(url, "/ws/stream", {}, None)
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (429, "too_many_sessions", "r1")


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
