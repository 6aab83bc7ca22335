"""LiveKit's plugin for OpenAI with `use_realtime`, against Parley: the events of an agent, as JSON.

OPENAI_BASE_URL, OPENAI_API_KEY; argument: a recording (WAV).
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from typing import Any

from livekit import rtc
from livekit.agents import stt as agents
from livekit.agents.utils import http_context
from livekit.plugins import openai

QUIET_S = 2.0
FRAME_S = 0.05


def frames() -> list[rtc.AudioFrame]:
    with wave.open(sys.argv[1]) as recording:
        rate, channels = recording.getframerate(), recording.getnchannels()
        data = recording.readframes(recording.getnframes()) + bytes(round(QUIET_S * rate) * 2 * channels)
    size = round(rate * FRAME_S) * 2 * channels
    pieces = (data[place : place + size] for place in range(0, len(data), size))
    return [rtc.AudioFrame(piece, rate, channels, len(piece) // 2 // channels) for piece in pieces]


async def stream_events(**options: Any) -> list[dict[str, Any]]:
    """All events until the first final transcript."""
    events: list[dict[str, Any]] = []
    async with openai.STT(use_realtime=True, **options) as stt:
        stream = stt.stream()

        async def speak() -> None:
            for frame in frames():
                stream.push_frame(frame)
                await asyncio.sleep(FRAME_S)

        speaking = asyncio.create_task(speak())
        async with asyncio.timeout(240):
            async for event in stream:
                events.append({"type": event.type, "text": event.alternatives[0].text if event.alternatives else ""})
                if event.type == agents.SpeechEventType.FINAL_TRANSCRIPT:
                    break
        speaking.cancel()
        await stream.aclose()
    return events


async def main() -> None:
    async with http_context.open():
        print(json.dumps({"live, by use_realtime": await stream_events(model="gpt-4o-transcribe", language="en")}))


asyncio.run(main())
