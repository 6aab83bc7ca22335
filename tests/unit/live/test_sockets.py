"""A gateway's WebSocket: who is taken for gone."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.sync.client import connect

from api.serving.sockets import Socket

PING_S, PONG_S = 0.5, 1.5
BUSY_S = 4.0
"""Long enough for a peer to be taken for gone."""

PIECE, PIECES = bytes(500_000), 24
"""More than the kernel keeps for a socket: an answer to a ping stands behind it."""

MOST_BYTES = 16 * 1024**2
"""Of one message, by uvicorn's own default."""


@contextmanager
def served(app: Callable[[Scope, Receive, Send], object]) -> Iterator[int]:
    """The port of an application that is served as the gateway's are, but for how soon a peer is gone."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        lifespan="off",
        ws=Socket,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PONG_S,
        log_config=None,
    )
    server, started = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([started],), daemon=True)
    thread.start()
    try:
        yield started.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)


async def listen_late(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads when it has time, and says how many bytes there were."""
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(BUSY_S)
    size = 0
    while size < PIECES * len(PIECE) and (message := await receive())["type"] == "websocket.receive":
        size += len(message["bytes"])
    await send({"type": "websocket.send", "text": str(size)})
    await receive()


def test_whoever_is_not_read_is_there() -> None:
    """Its answer to a ping stands behind what it has sent; nothing of that is lost."""
    with served(listen_late) as port, connect(f"ws://127.0.0.1:{port}/", proxy=None, compression=None) as client:
        for _ in range(PIECES):
            client.send(PIECE)
        assert client.recv(60) == str(PIECES * len(PIECE))


def test_whoever_says_nothing_is_gone() -> None:
    """A peer that neither sends nor answers is cut off."""
    with (
        served(listen_late) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as peer,
    ):
        peer.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while peer.recv(4096):
            pass


async def listen_on(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads to the end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.mark.parametrize("seconds", [0.0, 4.0])
def test_whoever_sends_too_much_is_told_so(seconds: float) -> None:
    """By the code of the close, also where the rest of the message takes its time behind it."""
    with (
        served(listen_on) as port,
        connect(f"ws://127.0.0.1:{port}/", proxy=None, compression=None, max_size=None) as client,
    ):
        header = b"\x82\xff" + (2 * MOST_BYTES).to_bytes(8, "big") + bytes(4)
        pieces = [header, *[PIECE] * (2 * MOST_BYTES // len(PIECE))]
        with suppress(OSError):  # once it has been told, it may be cut off
            for piece in pieces:
                client.socket.sendall(piece)
                time.sleep(seconds / len(pieces))
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(30)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG
