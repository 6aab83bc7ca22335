"""A recording with everything wrong that a recorder can do: the transcript has what is said, and what is wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import word_error_rate
from scripts.weights import fixture
from tests.e2e.test_main_job import transcribe
from tests.model.test_transcribe import JFK

RATE = 48_000


def write_screen_recording(path: Path) -> Path:
    """A silent track, and a speech on a track whose right channel is upside down; the file is cut off."""
    speech = decode_audio(str(fixture("jfk.wav")), sampling_rate=RATE)
    samples = np.concatenate([speech, np.zeros(len(speech), np.float32)])
    tracks = [np.zeros((2, samples.size), np.float32), np.stack([samples, -samples])]
    with av.open(str(path), "w", format="matroska") as container:
        streams = [container.add_stream("libopus", rate=RATE, layout="stereo") for _ in tracks]
        for start in range(0, samples.size - 960, 960):
            for stream, track in zip(streams, tracks, strict=True):
                block = np.ascontiguousarray(track[:, start : start + 960].T.reshape(1, -1))
                frame = av.AudioFrame.from_ndarray(block, format="flt", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    return path


def test_what_is_wrong_with_a_recording_costs_no_word(http: httpx.Client, tmp_path: Path) -> None:
    """The speech is understood, and three warnings say what was done for it and what is missing."""
    recording = write_screen_recording(tmp_path / "screen.mkv")
    result = transcribe(http, recording, model="base", language="en").result
    assert word_error_rate(JFK, result["text"]) <= 0.1
    warnings = {warning["code"]: warning for warning in result["warnings"]}
    assert {"other_tracks", "channels_opposed", "damaged_recording"} <= set(warnings)
    assert "1 (silent)" in warnings["other_tracks"]["message"]
    assert warnings["other_tracks"]["start"] is None
    assert result["quality"]["damaged"] == [
        {name: warnings["damaged_recording"][name] for name in ("start", "end")},
    ]


def test_a_track_that_is_not_there(http: httpx.Client, tmp_path: Path) -> None:
    """The task ends with an error that has a code and says how many tracks there are."""
    recording = write_screen_recording(tmp_path / "screen.mkv")
    with recording.open("rb") as content:
        fields = {"model": "base", "track": "3", "wait": "60"}
        refused = http.post("/transcribe", files={"file": (recording.name, content)}, data=fields, timeout=90)
    assert (refused.status_code, refused.json()["code"]) == (422, "no_such_track")
    assert "2 audio tracks" in refused.json()["message"]
