"""A stereo call over HTTP: one speaker per channel."""

from __future__ import annotations

import wave
from pathlib import Path

import httpx
import numpy as np
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import word_error_rate
from scripts.weights import fixture
from shared.transcript import SAMPLE_RATE
from tests.e2e.test_main_job import transcribe
from tests.model.test_transcribe import JFK


def write_call(path: Path) -> Path:
    """A speech on the left; a reading on the right that begins while it goes on."""
    left, right = (
        decode_audio(str(fixture(name)), sampling_rate=SAMPLE_RATE) for name in ("jfk.wav", "librivox-0870.wav")
    )
    right = np.concatenate([np.zeros(6 * SAMPLE_RATE, np.float32), right])
    left = np.pad(left, (0, len(right) - len(left)))
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((np.stack([left, right], axis=1) * 32767).astype("<i2").tobytes())
    return path


def test_each_side_of_a_call_is_a_speaker(http: httpx.Client, tmp_path: Path) -> None:
    """Both voices are understood and told apart, and asked for once more the answer is there at once."""
    call = write_call(tmp_path / "call.wav")
    job = transcribe(http, call, model="base", language="en", channels="split")
    result = job.result
    assert [speaker["id"] for speaker in result["speakers"]] == ["spk_1", "spk_2"]
    texts = {
        speaker: " ".join(segment["text"] for segment in result["segments"] if segment["speaker"] == speaker)
        for speaker in ("spk_1", "spk_2")
    }
    assert word_error_rate(JFK, texts["spk_1"]) <= 0.1
    assert word_error_rate(fixture("librivox-0870.txt").read_text(), texts["spk_2"]) <= 0.15
    assert result["quality"]["overlap_seconds"] > 2
    assert result["quality"]["words"] == sum(len(text.split()) for text in texts.values())
    assert (result["warnings"], result["cached"]) == ([], False)
    assert result["paragraphs"][0]["speaker"] == "spk_1"
    text = http.get(f"/result/{job.task_id}", params={"format": "text"}).text
    assert text.startswith("spk_1: And so my fellow Americans")
    assert "\n\nspk_2: " in text
    with call.open("rb") as content:
        again = http.post(
            "/transcribe",
            files={"file": ("call.wav", content)},
            data={"model": "base", "language": "en", "channels": "split"},
        )
    assert again.json()["status"] == "done"


def test_channels_and_diarization_exclude_each_other(http: httpx.Client, tmp_path: Path) -> None:
    """Asking for both is refused before anything is uploaded, with the reason."""
    fields = {"channels": "split", "diarization": "true"}
    refused = http.post("/transcribe", files={"file": ("call.wav", b"RIFF")}, data=fields)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert "channels=split excludes diarization" in refused.json()["message"]
