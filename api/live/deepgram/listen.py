"""/v1/listen: a live session as Deepgram's SDKs expect it. docs/live.md says what becomes of each option."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from typing import Any

import structlog
from fastapi import APIRouter, Response, WebSocket
from fastapi.responses import JSONResponse

from api import errors
from api.live import admission, door
from api.live.allowed import while_allowed
from api.live.bounds import Bounds
from api.live.conversation import Conversation, ended_by_socket
from api.live.deepgram import request
from api.live.deepgram.request import Listen
from api.live.line import Input, Signal, Socket
from api.live.sound import EXPAND, FRAME_BYTES
from shared.config import settings
from shared.errors import ParleyError
from shared.live.sessions import Hold
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter()

CHANNEL = [0, 1]
"""The first channel of one."""

UNPRINTABLE = re.compile(r"[^ -~]")
"""In a header."""

MARKS = re.compile(r"^\W+|\W+$")


class DeepgramLine:
    """Binary frames and control messages in, Results out."""

    is_resumable = False

    def __init__(self, websocket: WebSocket, held: Hold, listen: Listen, model: str) -> None:
        self._socket, self._held, self._listen = Socket(websocket), held, listen
        self._model = {"name": model, "version": "latest", "arch": "whisper"}
        self._sha256 = hashlib.sha256()
        self._frames, self._stored_s = 0, 0.0
        self._finalized: list[int] = []  # frames that cut, and are not told of yet
        self._is_finalized = False  # by a Results of the first of them
        self._spoken_s: float | None = None  # where the last word of an utterance ended that has no UtteranceEnd yet

    async def hear(self) -> Input:
        message = await self._socket.receive()
        if isinstance(message, bytes):
            if not message:  # older SDKs end with an empty message
                return Signal.END
            self._sha256.update(message)
            self._frames += 1
            return EXPAND[self._listen.coding](message)
        return await self._control(message)

    async def _control(self, message: str) -> Input:
        try:
            kind = json.loads(message)["type"]
        except (ValueError, TypeError, KeyError, RecursionError):
            kind = None
        match kind:
            case "CloseStream":
                return Signal.END
            case "Finalize":
                self._frames += 1
                self._finalized.append(self._frames)
                return b""
            case "Configure":
                await self._socket.send(
                    {
                        "type": "ConfigureFailure",
                        "request_id": str(self._held.job_id),
                        "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED",
                        "description": "Options are given with the address; a session that runs keeps them.",
                    }
                )
            case "KeepAlive":
                pass
            case _:
                description = "A message of text is KeepAlive, Finalize or CloseStream; audio comes in binary messages."
                await self._socket.send(
                    {"type": "Error", "variant": "SchemaError", "description": description, "message": message[:1000]}
                )
        return Signal.ALIVE

    async def stored(self, seq: int, size: int) -> None:
        self._stored_s = self._held.spoken_s(size)
        await self._end_utterance()

    async def tell(self, event: dict[str, Any]) -> None:
        data = event["data"]
        match event["kind"]:
            case "speech_started":
                await self._end_utterance(data["at"])
                self._spoken_s = None
                if self._listen.vad_events:
                    await self._socket.send({"type": "SpeechStarted", "channel": CHANNEL, "timestamp": data["at"]})
            case "partial" if self._listen.interim:
                text = f"{data['committed']}{data['tail']}".strip()
                await self._socket.send(self._results(data["start"], self._stored_s, text, data["language"]))
            case "final":
                await self._final(data)
            case "cut":
                await self._cut(data["frame"])

    async def _final(self, data: dict[str, Any]) -> None:
        is_cut = bool(data.get("is_cut"))
        self._is_finalized = self._is_finalized or (is_cut and bool(self._finalized))
        words = words_of(data["words"], data.get("speaker"))
        results = self._results(data["start"], data["end"], data["text"].strip(), data["language"], words)
        await self._socket.send(
            results | {"is_final": True, "speech_final": not is_cut, "from_finalize": is_cut and bool(self._finalized)}
        )
        if data["words"]:
            self._spoken_s = data["words"][-1]["end"]
        await self._end_utterance()

    async def _cut(self, frame: int) -> None:
        """Each Finalize has an answer, also where nothing was being said."""
        if not self._finalized or frame < self._finalized[0]:
            return
        self._finalized = [each for each in self._finalized if each > frame]
        if not self._is_finalized:
            results = self._results(self._stored_s, self._stored_s, "", None)
            await self._socket.send(results | {"is_final": True, "from_finalize": True})
        self._is_finalized = False

    async def _end_utterance(self, now_s: float | None = None) -> None:
        """UtteranceEnd, once nothing was said for long enough behind a word."""
        wait_s, spoken_s = self._listen.utterance_end_s, self._spoken_s
        if wait_s is None or spoken_s is None:
            return
        if (self._stored_s if now_s is None else now_s) - spoken_s >= wait_s:
            self._spoken_s = None
            await self._socket.send({"type": "UtteranceEnd", "channel": CHANNEL, "last_word_end": spoken_s})

    async def over(self, reason: str, seconds: float, *, is_whole: bool) -> None:
        await self._socket.send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": str(self._held.job_id),
                "sha256": self._sha256.hexdigest(),
                "created": self._held.created_at.isoformat(),
                "duration": round(seconds, 3),
                "channels": 1,
                "model_info": self._model,
                "task_id": str(self._held.job_id),
                "reason": reason,
                "is_whole": is_whole,
                "notices": self._listen.notices,
            }
        )

    def _results(
        self, start: float, end: float, text: str, language: str | None, words: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """As of something that may change. Words are known of finals alone."""
        words = words or []
        confidence = sum(word["confidence"] for word in words) / len(words) if words else 0.0
        best: dict[str, Any] = {"transcript": text, "confidence": round(confidence, 4), "words": words}
        if self._listen.is_multilingual and language:
            best["languages"] = [language]
        return {
            "type": "Results",
            "channel_index": CHANNEL,
            "start": round(start, 3),
            "duration": round(max(0.0, end - start), 3),
            "is_final": False,
            "speech_final": False,
            "from_finalize": False,
            "channel": {"alternatives": [best]},
            "metadata": {
                "request_id": str(self._held.job_id),
                "model_info": self._model,
                "model_uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, self._model["name"])),
            },
        }


def words_of(words: list[dict[str, Any]], speaker: str | None) -> list[dict[str, Any]]:
    """The words of a final in Deepgram's shape. Speakers are numbers from 0 on; where none is known there is none."""
    number = {} if speaker is None else {"speaker": int(speaker.removeprefix("spk_")) - 1}
    return [
        {
            "word": MARKS.sub("", word["text"]).lower() or word["text"],
            "start": word["start"],
            "end": word["end"],
            "confidence": round(word["probability"], 4),
            "punctuated_word": word["text"],
        }
        | number
        for word in words
    ]


def refusal(error: ParleyError, request_id: str) -> Response:
    """The answer to a handshake, in Deepgram's shape. What is 422 with us is 400 there."""
    original = errors.response(error, request_id)
    body = {"err_code": error.code.upper(), "err_msg": error.message, "request_id": request_id}
    answer = JSONResponse(body, 400 if error.status == 422 else error.status)
    if "retry-after" in original.headers:
        answer.headers["Retry-After"] = original.headers["retry-after"]
    answer.headers["dg-request-id"] = request_id
    answer.headers["dg-error"] = UNPRINTABLE.sub("?", error.message)
    return answer


def problem(error: ParleyError, request_id: str) -> dict[str, Any]:
    """The last message before the socket is closed."""
    return {"type": "Error", "variant": error.code, "description": error.message, "request_id": request_id}


@router.websocket("/v1/listen")
async def listen(websocket: WebSocket) -> None:
    """A session of its own; it ends with its socket."""
    await door.hold_open(websocket, _serve, door.Manner(refusal, problem))


async def _serve(websocket: WebSocket, request_id: str) -> None:
    config = settings()
    key = request.presented_key(websocket)
    who = await admission.caller(websocket, key)
    options = request.read(websocket.query_params, config)
    held = await admission.hold(who, options.wish, config, request_id)
    structlog.contextvars.bind_contextvars(job_id=str(held.job_id))
    headers = [(b"dg-request-id", str(held.job_id).encode())]
    headers += [(b"x-parley-notice", UNPRINTABLE.sub("?", text).encode()) for text in options.notices]
    log.info("live_opened", caller_id=str(who.id), protocol="deepgram")
    bounds = Bounds(who, held, config, FRAME_BYTES[options.coding])
    line = DeepgramLine(websocket, held, options, config.live_model or options.wish.spec.options.model)
    async with ended_by_socket(held):
        await bounds.look()
        await websocket.accept(request.answered_protocol(websocket), headers)
        async with while_allowed(websocket, who, key):
            await Conversation(line, held, config, bounds).run(0, 0)
