"""A voice command by way of Home Assistant's client, `parley wyoming` and the whole stack, with a real model."""

from __future__ import annotations

import wave
from pathlib import Path

from wyoming.asr import Transcribe, Transcript
from wyoming.client import AsyncTcpClient

from scripts.bench.scoring import word_error_rate
from scripts.local.stack import Stack
from scripts.weights import fixture
from tests.service.wyoming.clients import bridge, describe, hear, say

SPOKEN = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"


def test_words_come_back(stack: Stack, tmp_path: Path) -> None:
    """Home Assistant learns what there is, sends 16 kHz in small chunks, and hears the words and their language."""
    with wave.open(str(fixture("jfk.wav"))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (16_000, 2, 1)
        samples = file.readframes(file.getnframes())

    async def conversation(client: AsyncTcpClient) -> Transcript | None:
        await say(client, samples, Transcribe(language="en"))
        return await hear(client)

    with bridge(tmp_path, stack.url, stack.api_key, "--model", "tiny.en") as running:
        models = running.talk(describe).asr[0].models
        assert models[0].name == "tiny.en" and "en" in models[0].languages
        transcript = running.talk(conversation)
        assert transcript is not None, running.log()
        assert word_error_rate(SPOKEN, transcript.text) <= 0.10
        assert transcript.language == "en"
        assert "11.0 s in en, answered after" in running.log()
