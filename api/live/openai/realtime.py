"""/v1/realtime?intent=transcription: a live session as OpenAI's SDKs expect it. docs/live.md has what there is."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import uuid
from collections.abc import Iterable
from typing import Any

import structlog
from fastapi import APIRouter, Response, WebSocket
from fastapi.responses import JSONResponse
from uuid_utils.compat import uuid7

from api import errors
from api.auth import key_of
from api.live import admission, door
from api.live.allowed import while_allowed
from api.live.bounds import Bounds
from api.live.conversation import Conversation, ended_by_socket
from api.live.line import Input, Signal, Socket
from api.live.openai.items import Items
from api.live.openai.session import Configuration
from api.live.sound import EXPAND, FRAME_BYTES
from shared.config import Settings, settings
from shared.errors import InvalidRequest, ModelNotAllowed, ParleyError, Unauthorized
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter()

PROTOCOL = "realtime"
KEY_PROTOCOL = re.compile(r"openai-insecure-api-key\.([A-Za-z0-9_-]{1,128})")
QUERY = frozenset({"intent", "model"})
CODES: dict[type[ParleyError], str] = {Unauthorized: "invalid_api_key", ModelNotAllowed: "model_not_found"}
"""Where OpenAI's differ from ours."""

ABOUT_AUDIO = ("input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear")


class RealtimeLine:
    """Events in, events out, all of them JSON. The session begins with the first audio: what it is to be like may be
    said until then."""

    is_resumable = False

    def __init__(self, websocket: WebSocket, session: Configuration, prefix: str) -> None:
        self._socket, self._session, self._items = Socket(websocket), session, Items(prefix)
        self._items.has_detection = session.has_detection
        self._first: bytes | None = None
        self._frames = self._uncommitted = 0
        self._promised: list[tuple[int, list[dict[str, Any]]]] = []  # by frame, what is told once that is stored

    async def greet(self) -> None:
        """Raises LineClosed."""
        await self._send([{"type": "session.created", "session": self._session.snapshot()}])

    async def until_audio(self) -> None:
        """Until there is some. Raises LineClosed."""
        while self._first is None:
            message = await self._next_message()
            self._first = message if isinstance(message, bytes) else None
        self._session.is_fixed = True

    async def hear(self) -> Input:
        if (first := self._first) is not None:
            self._first = None
            return first
        return await self._next_message()

    async def stored(self, seq: int, size: int) -> None:
        """Of audio OpenAI's clients are told when they commit it."""
        while self._promised and self._promised[0][0] <= seq:
            await self._send(self._promised.pop(0)[1])

    async def tell(self, event: dict[str, Any]) -> None:
        if event["kind"] == "cut":  # it may be heard before we know that it is stored
            await self.stored(event["data"]["frame"], 0)
        await self._send(self._items.events(event))

    async def over(self, reason: str, seconds: float, *, is_whole: bool) -> None:
        if not is_whole:
            await self._send(self._items.failures())
        await self._fail({"code": "session_expired", "message": f"The session has ended: {reason}."})

    async def _next_message(self) -> Input:
        message = await self._socket.receive()
        event: Any = None
        try:
            event = json.loads(message)
            return await self._take(event["type"], event)
        except (ValueError, TypeError, KeyError, RecursionError):
            await self._fail({"code": "invalid_json", "message": "A message is an event: JSON with a type."})
        except ParleyError as error:  # most errors leave the session as it is
            sent_id = event.get("event_id")
            await self._fail(body(error) | {"event_id": sent_id if isinstance(sent_id, str) else None})
        return Signal.ALIVE

    async def _take(self, kind: object, event: dict[str, Any]) -> Input:
        match kind:
            case "input_audio_buffer.append":
                return self._audio(event.get("audio")) or Signal.ALIVE
            case "input_audio_buffer.commit":
                if not self._uncommitted:
                    raise InvalidRequest("The input audio buffer is empty.", code="input_audio_buffer_commit_empty")
                frame = self._cut()
                self._promised.append((frame, self._items.commit(frame)))
                return b""
            case "input_audio_buffer.clear":
                if not self._uncommitted:
                    await self._send([{"type": "input_audio_buffer.cleared"}])
                    return Signal.ALIVE
                frame = self._cut()
                self._promised.append((frame, self._items.clear(frame)))
                return b""
            case "session.update":
                self._session.update(event.get("session"))
                self._items.has_detection = self._session.has_detection
                self._items.has_logprobs = self._session.has_logprobs
                await self._send([{"type": "session.updated", "session": self._session.snapshot()}])
                return Signal.ALIVE
        raise InvalidRequest(
            f"type: {str(kind)[:100]} is not known; a transcription session takes session.update, "
            f"{', '.join(ABOUT_AUDIO)}.",
            parameter="type",
        )

    def _audio(self, text: object) -> bytes:
        try:
            if not isinstance(text, str):
                raise ValueError("audio is text")
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidRequest("audio: it is not base64.", parameter="audio") from error
        if data:
            self._frames += 1
            self._uncommitted += len(data)
        return EXPAND[self._session.coding](data)

    def _cut(self) -> int:
        self._frames += 1
        self._uncommitted = 0
        return self._frames

    async def _fail(self, error: dict[str, Any]) -> None:
        await self._send([{"type": "error", "error": {"type": "invalid_request_error", "param": None} | error}])

    async def _send(self, events: Iterable[dict[str, Any]]) -> None:
        for event in list(events):
            await self._socket.send(event | {"event_id": f"event_{uuid.uuid4().hex}"})


def body(error: ParleyError) -> dict[str, Any]:
    """OpenAI's object of an error."""
    status = error.status
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    code = error.detail.get("code") or CODES.get(type(error), error.code)
    return {"type": kind, "code": code, "message": error.message, "param": error.detail.get("parameter")}


def refusal(error: ParleyError, request_id: str) -> Response:
    """The answer to a handshake, in OpenAI's shape."""
    original = errors.response(error, request_id)
    status = 404 if isinstance(error, ModelNotAllowed) else 400 if error.status == 422 else error.status
    answer = JSONResponse({"error": body(error)}, status)
    if "retry-after" in original.headers:
        answer.headers["Retry-After"] = original.headers["retry-after"]
    return answer


def problem(error: ParleyError, request_id: str) -> dict[str, Any]:
    """The last event before the socket is closed."""
    return {"type": "error", "event_id": f"event_{request_id}", "error": body(error)}


@router.websocket("/v1/realtime")
async def realtime(websocket: WebSocket) -> None:
    """A transcription session; it ends with its socket."""
    await door.hold_open(websocket, _serve, door.Manner(refusal, problem))


async def _serve(websocket: WebSocket, request_id: str) -> None:
    config = settings()
    key = _key(websocket)
    who = await admission.caller(websocket, key)
    model, job_id = _model(websocket), uuid7()
    session = Configuration(job_id, model, config)
    offered = websocket.scope.get("subprotocols", ())
    line = RealtimeLine(websocket, session, f"item_{job_id.hex[-12:]}_")
    async with while_allowed(websocket, who, key):
        with admission.silence(who, config.max_live_sessions):
            await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
            await line.greet()
            await _audio(line, config)
        held = await admission.hold(who, session.wish(), config, request_id, job_id=job_id)
        structlog.contextvars.bind_contextvars(job_id=str(held.job_id))
        log.info("live_opened", caller_id=str(who.id), protocol="openai")
        bounds = Bounds(who, held, config, FRAME_BYTES[session.coding])
        async with ended_by_socket(held):
            await bounds.look()
            await Conversation(line, held, config, bounds).run(0, 0)


async def _audio(line: RealtimeLine, config: Settings) -> None:
    """Raises LineClosed, and InvalidRequest for a client that sends none."""
    try:
        async with asyncio.timeout(config.live_idle_s):
            await line.until_audio()
    except TimeoutError:
        raise InvalidRequest("No audio has come.", code="session_expired") from None


def _key(websocket: WebSocket) -> str | None:
    offered = (KEY_PROTOCOL.fullmatch(name) for name in websocket.scope.get("subprotocols", ()))
    return key_of(websocket) or next((match[1] for match in offered if match), None)


def _model(websocket: WebSocket) -> str:
    """The model of the query, if it has one. Raises InvalidRequest for what there is not."""
    query = websocket.query_params
    for name in query:
        if name not in QUERY:
            raise InvalidRequest(f"{name[:100]}: there is no such option.", parameter=name[:100])
    if query.get("intent") != "transcription":
        raise InvalidRequest("intent: transcription; there are no other sessions here.", parameter="intent")
    return query.get("model", "")
