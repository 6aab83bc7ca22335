"""A long recording from end to end, where 18 seconds are long: real models, one task, several shards."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import word_error_rate
from scripts.local.stack import Stack
from scripts.weights import fixture
from shared.transcript import SAMPLE_RATE
from tests.e2e.conftest import THREADS
from tests.e2e.test_main_job import transcribe
from tests.model.test_transcribe import JFK

SHORT = {"SHARD_TARGET_S": "12"}
SHARDS = 3


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a stack of its own, which cuts recordings into shards of 12 s."""
    environ = dict(os.environ) | THREADS | SHORT
    with (
        Stack(tmp_path_factory.mktemp("shards"), environ=environ) as stack,
        httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=60) as client,
    ):
        yield client


def write_speeches(path: Path, channels: int) -> Path:
    """The same speech three times, with pauses; on a second channel nobody speaks."""
    speech = decode_audio(str(fixture("jfk.wav")), sampling_rate=SAMPLE_RATE)
    samples = np.tile(np.pad(speech, (0, 3 * SAMPLE_RATE // 2)), SHARDS)
    silence = [np.zeros_like(samples)] * (channels - 1)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.stack([samples, *silence], axis=1) * 32767).astype("<i2").tobytes())
    return path


def test_a_long_recording_is_recognised_in_shards(http: httpx.Client, tmp_path: Path) -> None:
    """Every speech is told once, in one language that was detected once, and the report counts all of them."""
    job = transcribe(http, write_speeches(tmp_path / "long.wav", 1), model="base", timestamp_granularity="word")
    stages = http.get(f"/tasks/{job.task_id}").json()["stages"]
    assert [(row["shard"], row["state"]) for row in stages if row["name"] == "transcribe"] == [
        (number, "done") for number in range(SHARDS)
    ]
    result = job.result
    assert word_error_rate(" ".join([JFK] * SHARDS), result["text"]) <= 0.1
    assert (result["language"], result["duration"], result["warnings"]) == ("en", 37.5, [])
    assert 0.8 <= result["language_probability"] < 1
    starts = [word["start"] for segment in result["segments"] for word in segment["words"]]
    assert starts == sorted(starts)
    assert len(starts) == result["quality"]["words"] == SHARDS * len(JFK.split())


def test_a_long_call_keeps_its_channels_in_shards(http: httpx.Client, tmp_path: Path) -> None:
    """The side that speaks is one speaker over all shards."""
    call = write_speeches(tmp_path / "call.wav", 2)
    result = transcribe(http, call, model="base", language="en", channels="split").result
    assert [speaker["id"] for speaker in result["speakers"]] == ["spk_1"]
    assert word_error_rate(" ".join([JFK] * SHARDS), result["text"]) <= 0.1
    assert result["warnings"] == []
