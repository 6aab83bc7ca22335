"""Following a real recording through the whole stack, and waiting for it."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import httpx

from scripts.bench.recordings import sample_call

TIMEOUT_S = 300


def six_times(recording: Path) -> bytes:
    """A WAV file that goes on long enough to be watched: the recording, six times over."""
    with wave.open(str(recording)) as source:
        parameters, frames = source.getparams(), source.readframes(source.getnframes())
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as target:
        target.setparams(parameters)
        target.writeframes(frames * 6)
    return buffer.getvalue()


def test_a_recording_can_be_read_while_it_is_recognised(http: httpx.Client) -> None:
    """The segments on the stream are the words of the result, and the first of them come before the work is done."""
    files = {"file": ("calls.wav", six_times(sample_call()))}
    submission = http.post("/transcribe", files=files, data={"model": "base", "language": "en"})
    task_id = submission.json()["task_id"]
    lines = {"Accept": "application/x-ndjson"}
    with http.stream("GET", f"/tasks/{task_id}/events", headers=lines, timeout=TIMEOUT_S) as answer:
        events: list[dict[str, Any]] = [json.loads(line) for line in answer.iter_lines()]
    assert events[-1]["status"] == "done"
    segments = [event for event in events if event["event"] == "segment"]
    result = http.get(f"/result/{task_id}").json()
    assert " ".join(event["text"] for event in segments).split() == result["full_text"].split()
    assert [event["start"] for event in segments] == sorted(event["start"] for event in segments)
    progress = [event["progress"] for event in events if event["event"] == "status"]
    assert progress == sorted(progress)
    running = [event for event in events if event.get("status") == "processing"]
    first, last = events.index(segments[0]), events.index(segments[-1])
    assert first < events.index(running[-1])
    assert any(first < events.index(event) < last for event in running)


def test_one_request_is_enough(http: httpx.Client) -> None:
    """With `wait` the transcript is the answer to the upload."""
    files = {"file": (sample_call().name, sample_call().read_bytes())}
    answer = http.post("/transcribe", files=files, data={"model": "base", "wait": "200"}, timeout=TIMEOUT_S)
    assert (answer.status_code, answer.json()["status"]) == (200, "done")
