"""POST /transcribe/stream: audio as the body of a request, events as the lines of its answer, both at the same time."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.types import Message, Receive, Scope, Send

from api.auth import PresentedKey
from api.bodies.schemas import BYTES
from api.errors import responses
from api.live import admission, messages, request
from api.live.allowed import while_allowed
from api.live.bounds import Bounds
from api.live.conversation import Conversation, Restarting
from api.live.line import Input, LineClosed, Signal
from api.live.request import Stream
from shared.callers.keys import Caller
from shared.config import settings
from shared.errors import (
    DatabaseUnavailable,
    Forbidden,
    InvalidRequest,
    MissingAudio,
    ModelNotAllowed,
    NotFound,
    ParleyError,
    QuotaExceeded,
    ServiceBusy,
    TooManySessions,
    Unauthorized,
    UnexpectedError,
)
from shared.live.sessions import CONTAINER, Hold
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter(tags=["transcribe"])

TYPES = ("", BYTES, "audio/pcm", "audio/l16", "application/x-www-form-urlencoded")
"""Content types that may be bare samples; the last is what curl says of a body unasked."""

CONTAINER_TYPES = ("audio/webm", "audio/ogg", "audio/mp4", "audio/opus", "video/webm", "video/mp4", "application/ogg")
"""Those that say that it is a container."""

UNREAD_S = 30.0
"""How long a client may leave what it is told unread, once its buffers are full."""

HEADERS = ((b"content-type", b"application/x-ndjson"), (b"x-accel-buffering", b"no"))


PARAMETERS: dict[str, tuple[str, str]] = {
    "encoding": ("string", "pcm16, or container: WebM, Ogg or fragmented MP4; unasked what Content-Type says"),
    "rate": ("integer", "Samples per second, 8000 to 48000; 16000 if it is left out"),
    "session": ("string", "A session to go on with"),
    "offset": ("integer", "With session: number of the first byte that the body has"),
    "after": ("integer", "With session: id of the last event that is known"),
    "model": ("string", "A Whisper model; auto is the server's default"),
    "language": ("string", "Code, tag such as pt-BR, or name; auto detects"),
    "hotwords": ("string", "Names and terms likely to be spoken"),
    "diarization": ("boolean", "Say in the task's transcript who spoke when"),
    "tags": ("string", "Labels to find the task by, separated by commas"),
}
"""What the document of the API shows of the query; all options of POST /transcribe can be there."""


class LinesStream(Stream):
    """As /ws/stream, but for going on: there are no frames, so the body says which byte of the audio is its first."""

    offset: Annotated[int, Field(ge=0)] | None = None


class LinesLine:
    """A body in, lines of JSON out. `skip`: bytes at its beginning that are stored already."""

    is_resumable = True

    def __init__(self, receive: Receive, send: Send, held: Hold, skip: int) -> None:
        self._send, self._held, self._skip = send, held, skip
        self._receive = receive
        self._messages = messages.Messages()
        self._last: Signal | None = None

    async def hear(self) -> Input:
        if self._last:
            self._last = None
            return Signal.END
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise LineClosed
        data: bytes = message.get("body", b"")
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        if not message.get("more_body"):
            self._last = Signal.END
        return data[skipped:] or Signal.ALIVE

    async def stored(self, seq: int, size: int) -> None:
        await self.say(messages.ack(seq, size))

    async def tell(self, event: dict[str, Any]) -> None:
        await self.say(self._messages.message(event))

    async def over(self, reason: str, seconds: float, *, is_whole: bool) -> None:
        await self.say(messages.ended(self._held, reason, seconds, is_whole=is_whole))

    async def say(self, message: dict[str, Any]) -> None:
        """Raises LineClosed for a client that does not read."""
        line = json.dumps(message, ensure_ascii=False, separators=(",", ":")) + "\n"
        await self._write(line.encode(), goes_on=True)

    async def close(self) -> None:
        """End the answer. Raises LineClosed."""
        await self._write(b"", goes_on=False)

    async def _write(self, data: bytes, *, goes_on: bool) -> None:
        try:
            async with asyncio.timeout(UNREAD_S):  # sockets have pings for it
                await self._send({"type": "http.response.body", "body": data, "more_body": goes_on})
        except TimeoutError as error:
            raise LineClosed from error


class LinesAnswer(Response):
    """The answer of a session that has begun."""

    def __init__(self, http: Request, key: str | None, who: Caller, wish: request.Wish, held: Hold, skip: int) -> None:
        super().__init__()
        self._http, self._key = http, key
        self._who, self._wish, self._held, self._skip = who, wish, held, skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # the server says `100 Continue` only to who reads before answering
        first: asyncio.Task[Message] | None = asyncio.ensure_future(_message(receive))
        await asyncio.sleep(0)

        async def receive_first() -> Message:
            nonlocal first
            if first is None:
                return await receive()
            message = await first
            first = None
            return message

        line, began = LinesLine(receive_first, send, self._held, self._skip), time.monotonic()
        last: dict[str, Any] = {}
        task_id = str(self._held.job_id)
        headers = [*HEADERS, (b"x-task-id", task_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await line.say(messages.hello(self._held, self._wish.stream.after))
            bounds = Bounds(self._who, self._held, settings())
            await bounds.look()
            async with while_allowed(self._http, self._who, self._key):
                conversation = Conversation(line, self._held, settings(), bounds)
                await conversation.run(self._held.seq, self._wish.stream.after)
        except LineClosed:
            pass
        except Restarting:
            last = {"type": "restarting"}
        except ParleyError as error:
            last = messages.problem(error, scope["state"]["request_id"])
        except Exception:  # a fault of ours: half an answer is out, so its last line says so
            log.exception("unexpected_error", path=scope["path"])
            unexpected = UnexpectedError("Something went wrong; the log has the details under this request id.")
            last = messages.problem(unexpected, scope["state"]["request_id"])
        finally:
            if first:
                first.cancel()
        code, seconds = last.get("code"), round(time.monotonic() - began, 1)
        log.info("live_closed", job_id=task_id, error=code, seconds=seconds)
        with suppress(LineClosed):
            if last:
                await line.say(last)
            await line.close()


@router.post(
    "/transcribe/stream",
    response_model=None,
    summary="Text while somebody speaks",
    openapi_extra={
        "parameters": [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": kind}}
            for name, (kind, text) in PARAMETERS.items()
        ],
        "requestBody": {"required": True, "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}},
    },
    responses={
        200: {"content": {"application/x-ndjson": {}}, "description": "Messages of a live session, one a line"},
        **responses(
            Unauthorized,
            Forbidden,
            InvalidRequest,
            ModelNotAllowed,
            NotFound,
            MissingAudio,
            QuotaExceeded,
            TooManySessions,
            ServiceBusy,
            DatabaseUnavailable,
        ),
    },
)
async def transcribe_stream(http: Request, key: PresentedKey) -> Response:
    """The body is PCM or a container, as long as it likes to be; the answer begins at once: docs/live.md.

    arecord -f S16_LE -r 16000 | curl -NT - -X POST -H "Authorization: Bearer $API_KEY" "$URL/transcribe/stream"
    """
    who, config = await admission.caller(http, key), settings()
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*TYPES, *CONTAINER_TYPES):
        raise InvalidRequest(
            f"Send bare samples, as {BYTES}, or one of {', '.join(CONTAINER_TYPES)}.", parameter="Content-Type"
        )
    encoding = {"encoding": CONTAINER} if kind in CONTAINER_TYPES else {}
    wish = request.wish(http, config, LinesStream, **encoding)
    if wish.stream.seq is not None:
        raise InvalidRequest("seq: a body has no frames; say with offset where it begins.", parameter="seq")
    assert isinstance(wish.stream, LinesStream)
    offset = wish.stream.offset
    held = await admission.hold(who, wish, config, http.state.request_id, offset=offset or 0)
    structlog.contextvars.bind_contextvars(job_id=str(held.job_id))
    log.info("live_opened", caller_id=str(who.id), protocol="lines", seq=held.seq)
    return LinesAnswer(http, key, who, wish, held, 0 if offset is None else held.bytes - offset)


async def _message(receive: Receive) -> Message:
    return await receive()
