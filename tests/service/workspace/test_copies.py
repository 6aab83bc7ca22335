"""A worker makes the copy for listening of whatever was sent, and of each channel a waveform."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest

from scripts.local.apps import API, worker
from shared.transcript import SAMPLE_RATE
from tests.faults.rig import start
from tests.unit.intake.media import dominant_frequency
from tests.unit.intake.test_channels_convert import write_tones

SECONDS = 3


def test_a_call_can_be_heard_and_seen(tmp_path: Path) -> None:
    """Of two channels that are kept apart the copy has both tones, and there are two waveforms of its whole length.
    Deleting the task removes it."""
    recording = write_tones(tmp_path / "call.wav", [400, 700], seconds=SECONDS).read_bytes()
    with start(tmp_path / "home", (API, worker("all", "io,cpu,asr,diarize", concurrency=1, threads=1))) as rig:
        task = rig.submit(recording, channels="split")
        assert rig.caller.wait(task) == "done"
        audio = rig.caller.http.get(f"/tasks/{task.id}/audio")
        assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/webm")
        with av.open(io.BytesIO(audio.content)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        assert len(samples) / SAMPLE_RATE == pytest.approx(SECONDS, abs=0.05)
        assert dominant_frequency(samples) in (pytest.approx(400, abs=3), pytest.approx(700, abs=3))
        spectrum = np.abs(np.fft.rfft(samples[: 2 * SAMPLE_RATE].astype(float)))
        assert spectrum[2 * 400] == pytest.approx(spectrum[2 * 700], rel=0.3)

        body = rig.caller.http.get(f"/tasks/{task.id}/peaks", params={"points": 30}).json()
        assert body["duration"] == pytest.approx(SECONDS, abs=0.01)
        assert [len(lane) for lane in body["peaks"]] == [30, 30]
        assert all(value > 0.1 for lane in body["peaks"] for value in lane)
        rig.caller.http.delete(f"/tasks/{task.id}").raise_for_status()
        assert list(rig.truth.storage.list("")) == []
