"""The speech recognition of LiveKit's agents, by its plugin for OpenAI, against Parley. Prints its events, as JSON.

OPENAI_BASE_URL, OPENAI_API_KEY; RESTARTING_URL refuses the first request of all. Argument: a recording (WAV).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import wave
from typing import Any

from livekit import rtc
from livekit.agents import APIStatusError
from livekit.plugins import openai


def frames() -> list[rtc.AudioFrame]:
    """The recording in frames of 20 ms, as a room delivers it."""
    with wave.open(sys.argv[1]) as recording:
        rate, channels = recording.getframerate(), recording.getnchannels()
        size = rate // 50
        pieces = []
        while data := recording.readframes(size):
            pieces.append(rtc.AudioFrame(data, rate, channels, len(data) // 2 // channels))
    return pieces


async def transcription(**options: Any) -> dict[str, Any]:
    """The event that an agent gets. Each STT closes its connections."""
    async with openai.STT(**options) as stt:
        event = await stt.recognize(frames())
    (speech,) = event.alternatives
    return {"type": event.type, "text": speech.text, "language": speech.language}


async def refused(**options: Any) -> dict[str, Any]:
    try:
        await transcription(**options)
    except APIStatusError as error:
        return {"status": error.status_code, "message": str(error), "retryable": error.retryable}
    return {}


async def main() -> None:
    report = {
        "text": await transcription(),
        "the language that was heard": await transcription(model="whisper-1", detect_language=True),
        "gpt-transcribe with keywords and languages": await transcription(
            model="gpt-transcribe", language=["en", "fr"], keywords=["Americans"], prompt="Kennedy", temperature=0
        ),
        "typed errors": {"key": await refused(api_key="wrong"), "field": await refused(language="tlh")},
        "retries": await transcription(base_url=os.environ["RESTARTING_URL"]),
    }
    print(json.dumps(report))


asyncio.run(main())
