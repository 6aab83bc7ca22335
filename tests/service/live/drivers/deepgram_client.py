"""Deepgram's own SDK against Parley: what it was told, as JSON. DEEPGRAM_API_KEY, PARLEY_WS; arguments: 16 kHz PCM
of a reading, and of two people in turn."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results, ListenV1SpeechStarted, ListenV1UtteranceEnd
from websockets.exceptions import InvalidStatus

TYPES = (ListenV1Metadata, ListenV1Results, ListenV1SpeechStarted, ListenV1UtteranceEnd)
ADDRESS = os.environ["PARLEY_WS"]
SOUND, TURNS = (Path(path).read_bytes() for path in sys.argv[1:3])
PIECE_BYTES, PIECE_S = 3200, 0.1


def client(key: str) -> DeepgramClient:
    http = ADDRESS.replace("ws", "http", 1)
    return DeepgramClient(
        api_key=key,
        environment=DeepgramClientEnvironment(base=http, production=ADDRESS, agent=ADDRESS, agent_rest=http),
    )


def collect(socket: Any, messages: list[dict[str, Any]]) -> None:
    for message in socket:
        assert isinstance(message, TYPES), message
        messages.append(message.dict())


def session(sound: bytes, *, finalizes: bool, **options: Any) -> list[dict[str, Any]]:
    """Sent as it is spoken, a tenth of a second at a time."""
    messages: list[dict[str, Any]] = []
    query = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000, **options}
    with client(os.environ["DEEPGRAM_API_KEY"]).listen.v1.connect(**query) as socket:
        reader = threading.Thread(target=collect, args=(socket, messages))
        reader.start()
        socket.send_keep_alive()
        for place in range(0, len(sound), PIECE_BYTES):
            socket.send_media(sound[place : place + PIECE_BYTES])
            time.sleep(PIECE_S)
        if finalizes:
            socket.send_finalize()
            until = time.monotonic() + 120
            while not any(each.get("from_finalize") for each in messages) and time.monotonic() < until:
                time.sleep(0.05)
        socket.send_close_stream()
        reader.join(120)
    return messages


def refused(key: str, **options: Any) -> dict[str, Any]:
    query = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000, **options}
    try:
        with client(key).listen.v1.connect(**query):
            return {}
    except ApiError as error:
        return {"status": error.status_code}
    except InvalidStatus as error:  # newer websockets than the SDK knows raise their own
        return {"status": error.response.status_code}


KEY = os.environ["DEEPGRAM_API_KEY"]
PAUSES = {"interim_results": True, "utterance_end_ms": 1000, "vad_events": True}
print(
    json.dumps(
        {
            "interim and final results, words, SpeechStarted, UtteranceEnd, Metadata": session(
                SOUND + bytes(2 * 16_000 * 2), finalizes=False, **PAUSES
            ),
            "KeepAlive, Finalize, CloseStream": session(SOUND[: 2 * 16_000 * 3 // 2], finalizes=True),
            "diarize": session(TURNS, finalizes=False, diarize=True),
            "typed errors": {"key": refused("x" * 40), "option": refused(KEY, redact="pci")},
        },
        default=str,
    )
)
