"""The copy for listening: what was said is in it, in its place, and so are its peaks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from shared.errors import DecodeFailed
from shared.transcript import SAMPLE_RATE
from tasks.stages.convert import ConvertLimits
from tasks.stages.listening_copy import Encoded, listening_copy
from tests.unit.intake.media import dominant_frequency, tone

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
PEAKS_PER_SECOND = 20
Samples = np.ndarray[Any, np.dtype[np.int16]]


def ignore(share: float) -> None:
    """A progress callback for tests that do not look at progress."""


def wav(path: Path, channels: list[Samples]) -> Path:
    """As convert leaves it: 44 bytes that nobody here reads, then interleaved samples."""
    path.write_bytes(bytes(44) + np.stack(channels, axis=1).astype("<i2").tobytes())
    return path


def decoded(opus: bytes) -> tuple[Samples, int]:
    """The samples of a mono file, at 48 kHz as libopus gives them, and its rate."""
    with av.open(io.BytesIO(opus)) as container:
        assert [(stream.type, stream.codec_context.name) for stream in container.streams] == [("audio", "opus")]
        assert container.streams.audio[0].layout.name == "mono"
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]), SAMPLE_RATE


def parts(target: Path, copy: Encoded, channels: int) -> tuple[bytes, list[Samples]]:
    content = target.read_bytes()
    peaks = np.frombuffer(content[copy.audio_bytes :], np.uint8)
    assert len(peaks) == channels * copy.lane_bytes
    return content[: copy.audio_bytes], list(peaks.reshape(channels, -1))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_channel_is_heard_and_drawn(count: int, tmp_path: Path) -> None:
    """Channels that sound one after another are all in the mono copy in their place, and each has a lane of peaks."""
    seconds = 12 // count
    channels = [np.zeros(seconds * count * SAMPLE_RATE, np.int16) for _ in range(count)]
    for number, channel in enumerate(channels):
        begin = number * seconds * SAMPLE_RATE
        channel[begin : begin + seconds * SAMPLE_RATE] = tone(300 + 100 * number, seconds, SAMPLE_RATE)
    target = tmp_path / "copy.webm"
    copy = listening_copy(wav(tmp_path / "in.wav", channels), target, count, LIMITS, ignore)
    opus, lanes = parts(target, copy, count)
    samples, rate = decoded(opus)
    assert len(samples) / rate == pytest.approx(seconds * count, abs=0.05)
    for number, lane in enumerate(lanes):
        begin = number * seconds
        middle = samples[round((begin + 0.2) * rate) : round((begin + seconds - 0.2) * rate)]
        assert dominant_frequency(middle) == pytest.approx(300 + 100 * number, abs=3)
        assert len(lane) == seconds * count * PEAKS_PER_SECOND
        part = lane[begin * PEAKS_PER_SECOND : (begin + seconds) * PEAKS_PER_SECOND]
        loudest = int(np.abs(channels[number].astype(int)).max()) / 32768 * 255
        assert part.min() == pytest.approx(loudest, abs=4)
        assert int(lane.sum()) == int(part.sum())


def test_an_hour_of_copy_is_small(tmp_path: Path) -> None:
    """A minute of noise takes less than 300 kB with its peaks: an hour is below 18 MB."""
    noise = np.random.default_rng(1).integers(-8000, 8000, 60 * SAMPLE_RATE).astype(np.int16)
    target = tmp_path / "copy.webm"
    copy = listening_copy(wav(tmp_path / "in.wav", [noise]), target, 1, LIMITS, ignore)
    assert copy.audio_bytes + copy.lane_bytes == target.stat().st_size < 300_000


def test_too_little_memory_is_an_error(tmp_path: Path) -> None:
    """An encoder that cannot work says so, and the caller goes on."""
    limits = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=1 << 20)
    with pytest.raises(DecodeFailed):
        listening_copy(wav(tmp_path / "in.wav", [tone(300, 30, SAMPLE_RATE)]), tmp_path / "out", 1, limits, ignore)
