"""The main job on the real stack: a recording goes in over HTTP, who said what comes out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pysubs2
import pytest
import webvtt

from scripts.bench.recordings import sample_call
from scripts.bench.scoring import diarization_error_rate, read_rttm, read_stm, speaker_accuracy, word_error_rate
from scripts.local.stack import Stack
from scripts.weights import fixture
from shared.transcript import Word

TIMEOUT_S = 300


@dataclass(frozen=True)
class Done:
    """A finished task and what was seen of it on the way."""

    task_id: str
    progress: list[int]
    stages: set[str]
    result: dict[str, Any]


def transcribe(http: httpx.Client, recording: Path, **options: str) -> Done:
    with recording.open("rb") as content:
        submission = http.post("/transcribe", files={"file": (recording.name, content)}, data=options)
    assert submission.status_code == 202, submission.text
    task_id = submission.json()["task_id"]
    progress, stages = [], set()
    end = time.monotonic() + TIMEOUT_S
    while time.monotonic() < end:
        status = http.get(f"/status/{task_id}").json()
        progress.append(status["progress"])
        stages.add(status["stage"])
        if status["status"] not in ("queued", "processing"):
            assert status["status"] == "done", status
            return Done(task_id, progress, stages, http.get(f"/result/{task_id}").json())
        time.sleep(0.1)
    raise AssertionError(f"not done within {TIMEOUT_S} s: {status}")


@pytest.fixture(scope="module")
def call(http: httpx.Client) -> Done:
    """pyannote's sample call, with speakers and word times."""
    return transcribe(http, sample_call(), model="base", diarization="true", timestamp_granularity="word")


def words(result: dict[str, Any]) -> list[Word]:
    return [
        Word(word["start"], word["end"], word["word"], word["confidence"], word["speaker"])
        for segment in result["segments"]
        for word in segment["words"]
    ]


def test_the_sample_call_says_who_spoke_when(call: Done, http: httpx.Client, tmp_path: Path) -> None:
    """Two speakers, at least 90 % of the words with the right one, DER at most 10 %."""
    assert [speaker["id"] for speaker in call.result["speakers"]] == ["spk_1", "spk_2"]
    said_by = [turn for turn, _ in read_stm(sample_call().with_suffix(".stm"))]
    assert speaker_accuracy(said_by, words(call.result)) >= 0.9
    answer = http.get(f"/result/{call.task_id}", params={"format": "rttm"})
    turns = tmp_path / "call.rttm"
    turns.write_text(answer.text)
    assert diarization_error_rate(read_rttm(sample_call().with_suffix(".rttm")), read_rttm(turns)) <= 0.10


def test_progress_is_told_and_never_goes_back(call: Done) -> None:
    """A poller sees the stages by name and a percentage that only grows, up to 100."""
    assert call.progress == sorted(call.progress)
    assert call.progress[-1] == 100
    assert {"transcribe", "diarize"} & call.stages


def test_every_format_can_be_read_back(call: Done, http: httpx.Client) -> None:
    """SubRip and WebVTT by libraries, the rest by shape; each says the same words."""
    answers = {
        name: http.get(f"/result/{call.task_id}", params={"format": name}).raise_for_status()
        for name in ("json", "text", "srt", "vtt", "tsv", "rttm")
    }
    spoken = "".join(call.result["full_text"].split())
    cues = pysubs2.SSAFile.from_string(answers["srt"].text, format_="srt")
    assert "spk_1" in cues[0].text
    text = " ".join(cue.plaintext for cue in cues)
    for name in ("spk_1:", "spk_2:"):
        text = text.replace(name, "")
    assert "".join(text.split()) == spoken
    captions = webvtt.from_string(answers["vtt"].text)
    assert {caption.voice for caption in captions.captions} == {"spk_1", "spk_2"}
    assert answers["json"].json()["task_id"] == call.task_id
    assert answers["tsv"].text.splitlines()[0].split("\t")[:2] == ["start", "end"]
    assert "spk_2" in answers["text"].text


def test_a_clean_recording_is_transcribed_word_for_word(http: httpx.Client) -> None:
    """WER at most 10 % on the Kennedy clip with base, language found."""
    job = transcribe(http, fixture("jfk.wav"), model="base")
    spoken = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
    assert word_error_rate(spoken, job.result["full_text"]) <= 0.10
    assert (job.result["language"], job.result["speakers"]) == ("en", [])


def test_asking_again_costs_nothing_and_other_speakers_only_their_stages(call: Done, http: httpx.Client) -> None:
    """The same request is cached; another speaker count runs diarize, merge and store, nothing else."""
    again = transcribe(http, sample_call(), model="base", diarization="true")
    assert again.result["cached"] is True
    other = transcribe(http, sample_call(), model="base", diarization="true", num_speakers="2")
    stages = http.get(f"/tasks/{other.task_id}").json()["stages"]
    assert {row["name"] for row in stages if row["attempts"]} == {"diarize", "merge", "store"}


def test_flower_shows_the_tasks_behind_its_password(stack: Stack, call: Done) -> None:
    """Flower answers on loopback, refuses strangers, and knows the stages by name."""
    assert httpx.get(f"{stack.flower_url}/tasks", timeout=20).status_code == 401
    page = httpx.get(f"{stack.flower_url}/tasks", auth=("parley", stack.flower_password), timeout=20)
    assert page.status_code == 200
