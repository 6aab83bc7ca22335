"""What a session needs of its client, whatever protocol that speaks: api/live/conversation.py does the rest."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Protocol

from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect


class LineClosed(Exception):
    """The client has closed the line, or is not there any more."""


class Signal(Enum):
    """What a client says beside audio."""

    END = "no more audio comes"
    ALIVE = "it is there, and has nothing to say"


Input = bytes | Signal
"""A frame of the session's audio, or a signal. An empty frame cuts: what was being said ends here."""


class Line(Protocol):
    """A client. `hear` is one task's, the others may come from another."""

    is_resumable: bool
    """Whether a client can come back for a session whose line was cut. Where none can, the session ends with it."""

    async def hear(self) -> Input:
        """What it says next. Raises LineClosed, and InvalidRequest for what ends the line."""

    async def stored(self, seq: int, size: int) -> None:
        """All its frames up to `seq` are committed; `size` bytes of the session's audio. Raises LineClosed."""

    async def tell(self, event: dict[str, Any]) -> None:
        """An event as `sessions.Look` has it. Raises LineClosed."""

    async def over(self, reason: str, seconds: float, *, is_whole: bool) -> None:
        """The session of so many seconds has ended and nothing more comes. Raises LineClosed."""


class Socket:
    """A WebSocket whose client leaves by LineClosed."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str:
        """The next message. Raises LineClosed."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise LineClosed
        data = message.get("bytes")
        return str(message.get("text")) if data is None else data

    async def send(self, message: dict[str, Any]) -> None:
        """As JSON, in ASCII: half a surrogate pair that a client has sent is no UTF-8. Raises LineClosed."""
        try:
            await self._websocket.send_text(json.dumps(message, separators=(",", ":")))
        except (OSError, RuntimeError, WebSocketDisconnect) as error:  # by each of them Starlette says so
            raise LineClosed from error
