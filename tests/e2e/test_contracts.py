"""Clients of the other APIs against the whole stack, each as such a client goes about it."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import httpx
import pysubs2
import pytest

from scripts.bench.scoring import word_error_rate
from scripts.weights import fixture
from tests.e2e.polling import until

SPOKEN = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def clip() -> Path:
    """Eleven seconds of Kennedy."""
    return fixture("jfk.wav")


def is_what_was_said(text: str) -> bool:
    return word_error_rate(SPOKEN, text) <= 0.10


def test_a_subtitle_tool_sends_samples_and_gets_subtitles(http: httpx.Client, clip: Path) -> None:
    """It asks for the language first, then for srt, with encode=false and nothing but samples."""
    with wave.open(str(clip)) as recording:
        assert (recording.getframerate(), recording.getnchannels()) == (16_000, 1)
        samples = recording.readframes(recording.getnframes())
    files = {"audio_file": samples}
    language = http.post("/detect-language", params={"encode": "false"}, files=files, timeout=300).json()
    assert (language["detected_language"], language["language_code"]) == ("english", "en")
    query = {"task": "transcribe", "language": language["language_code"], "output": "srt", "encode": "false"}
    srt = http.post("/asr", params=query, files=files, timeout=300).raise_for_status().text
    assert is_what_was_said(" ".join(cue.plaintext for cue in pysubs2.SSAFile.from_string(srt, format_="srt")))


def test_service_v1_is_waited_for_and_polled(http: httpx.Client, clip: Path) -> None:
    """One client waits for the text, another one polls its job until it is completed."""
    form: dict[str, Any] = {"data": {"model": "tiny.en", "language": "en"}, "timeout": 300}
    waited = http.post("/api/v1/transcribe", files={"file": clip.open("rb")}, **form).raise_for_status().json()
    assert is_what_was_said(waited["text"])
    form["data"]["prompt"] = "so that it has to be heard again"
    job_id = http.post("/api/v1/transcribe-async", files={"file": clip.open("rb")}, **form).json()["job_id"]

    def completed() -> Any:
        status = http.get(f"/api/v1/status/{job_id}").json()
        assert status["status"] in ("pending", "processing", "completed"), status
        return status["result"]

    assert is_what_was_said(until(completed, "the job")["text"])


def test_a_job_is_posted_polled_and_deleted(http: httpx.Client, clip: Path) -> None:
    """Its result says who spoke."""
    submission = http.post("/jobs", files={"file": clip.open("rb")}, data={"model": "tiny.en"})
    url = f"/jobs/{submission.json()['job_id']}"

    def completed() -> Any:
        job = http.get(url).json()
        assert job["status"] not in ("failed", "cancelled"), job
        return job["result"]

    result = until(completed, "the job")
    assert is_what_was_said(result["text"])
    assert {segment["speaker"] for segment in result["segments"]} == {"spk_1"}
    assert http.delete(url).is_success
    assert http.get(url).status_code == 404


def test_a_link_client_polls_until_complete_and_fetches_the_files(http: httpx.Client, clip: Path) -> None:
    """From COMPLETE it goes on to the transcript, and to the sound at the address that it was given."""
    submission = http.post("/transcribe", files={"file": clip.open("rb")}, data={"model": "tiny.en"})
    job_id = submission.json()["job_id"]
    job = until(lambda: (it := http.get(f"/transcribe/{job_id}").json())["status"] == "COMPLETE" and it, "the job")
    transcript = http.get(f"/transcript/{job_id}").json()
    assert is_what_was_said(transcript["text"])
    assert http.get(job["transcript_url"]).json() == transcript
    sound = http.get(job["audio_url"]).raise_for_status().content
    assert (sound[:4], len(sound) > 300_000) == (b"RIFF", True)


def test_a_clip_is_uploaded_transcribed_and_deleted(http: httpx.Client, clip: Path) -> None:
    """By its id, with speakers and, at no cost for the words, without."""
    clip_id = http.post("/api/audio", files={"file": clip.open("rb")}).raise_for_status().json()["clip_id"]
    segments = {}
    for diarize in ("true", "false"):
        query = {"clip_id": clip_id, "diarize": diarize}
        segments[diarize] = (
            http.post("/api/transcribe", params=query, timeout=300).raise_for_status().json()["segments"]
        )
    assert is_what_was_said(" ".join(segment["text"] for segment in segments["true"]))
    assert {segment["speaker"] for segment in segments["true"]} == {"SPEAKER_01"}
    assert {segment["speaker"] for segment in segments["false"]} == {None}
    assert http.get(f"/api/audio/{clip_id}").json()["size"] == clip.stat().st_size
    assert http.delete(f"/api/audio/{clip_id}").is_success
    assert http.get(f"/api/audio/{clip_id}").status_code == 404
