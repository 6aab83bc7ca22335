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
        found = []
        while data := recording.readframes(size):
            found.append(rtc.AudioFrame(data, rate, channels, len(data) // 2 // channels))
    return found


async def heard(**options: Any) -> dict[str, Any]:
    """The event that an agent gets. Each STT closes its connections."""
    async with openai.STT(**options) as stt:
        event = await stt.recognize(frames())
    (speech,) = event.alternatives
    return {"type": event.type, "text": speech.text, "language": speech.language}


async def refused(**options: Any) -> dict[str, Any]:
    try:
        await heard(**options)
    except APIStatusError as error:
        return {"status": error.status_code, "message": str(error), "retryable": error.retryable}
    return {}


async def main() -> None:
    told = {
        "text": await heard(),
        "the language that was heard": await heard(model="whisper-1", detect_language=True),
        "gpt-transcribe with keywords and languages": await heard(
            model="gpt-transcribe", language=["en", "fr"], keywords=["Americans"], prompt="Kennedy", temperature=0
        ),
        "typed errors": {"key": await refused(api_key="wrong"), "field": await refused(language="tlh")},
        "retries": await heard(base_url=os.environ["RESTARTING_URL"]),
    }
    print(json.dumps(told))


asyncio.run(main())
