"""/ws/stream: our own face of live sessions. docs/live.md describes it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import structlog
from fastapi import APIRouter, WebSocket

from api.auth import KEY, session_token
from api.live import admission, door, messages, request
from api.live.allowed import while_allowed
from api.live.bounds import Bounds
from api.live.conversation import Conversation
from api.live.line import Input, LineClosed, Signal, Socket
from shared.config import settings
from shared.errors import InvalidRequest, Unauthorized
from shared.live.sessions import Hold
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter()

KEY_S = 10.0
"""How long a client that has sent no key may take for its first message."""


class StreamLine:
    """Binary frames in, JSON out."""

    is_resumable = True

    def __init__(self, websocket: WebSocket, held: Hold) -> None:
        self._socket, self._held, self._messages = Socket(websocket), held, messages.Messages()

    async def hear(self) -> Input:
        message = await self._socket.receive()
        if isinstance(message, bytes):
            return message
        try:
            kind = json.loads(message)["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            kind = None
        if kind != "end":
            raise InvalidRequest('A message of text is {"type": "end"}; audio comes in binary messages.')
        return Signal.END

    async def stored(self, seq: int, size: int) -> None:
        await self._socket.send(messages.ack(seq, size))

    async def tell(self, event: dict[str, Any]) -> None:
        await self._socket.send(self._messages.message(event))

    async def over(self, reason: str, seconds: float, *, is_whole: bool) -> None:
        await self._socket.send(messages.ended(self._held, reason, seconds, is_whole=is_whole))


@router.websocket("/ws/stream")
async def stream(websocket: WebSocket) -> None:
    """A session, or the rest of one. Before the key is known nothing else is read."""
    await door.hold_open(websocket, _serve, door.Manner())


async def _serve(websocket: WebSocket, request_id: str) -> None:
    config = settings()
    key = request.presented_key(websocket)
    is_answered_first = key is None or key == session_token(websocket)
    if is_answered_first:  # a browser tells its page nothing of why a handshake was refused
        await websocket.accept(request.answered_protocol(websocket))
    who = await admission.caller(websocket, key or await _first_key(websocket))
    wish = request.wish(websocket, config)
    held = await admission.hold(who, wish, config, request_id)
    structlog.contextvars.bind_contextvars(job_id=str(held.job_id))
    bounds = Bounds(who, held, config)
    await bounds.look()
    if not is_answered_first:
        await websocket.accept(request.answered_protocol(websocket))
    log.info("live_opened", caller_id=str(who.id), holder=held.holder, seq=held.seq)
    await websocket.send_json(messages.hello(held, wish.stream.after))
    seq = held.seq if wish.stream.seq is None else wish.stream.seq
    async with while_allowed(websocket, who, key):
        await Conversation(StreamLine(websocket, held), held, config, bounds).run(seq, wish.stream.after)


async def _first_key(websocket: WebSocket) -> str:
    """From `{"type": "start", "key": KEY}`. Raises Unauthorized."""
    try:
        async with asyncio.timeout(KEY_S):
            message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise LineClosed
        key = json.loads(message.get("text") or "")["key"]
        if not KEY.fullmatch(key):
            raise ValueError
        return str(key)
    except (TimeoutError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unauthorized('Send the API key: {"type": "start", "key": KEY}.') from error
