"""convert with its channels kept apart: each is where it was, whatever the file does."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import MediaTooLong, UnsupportedMedia
from shared.options import JobOptions
from shared.stages import plan, profile
from shared.transcript import SAMPLE_RATE
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import KIND, dominant_frequency, tone, write_tone

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
Interleaved = np.ndarray[Any, np.dtype[np.int16]]


def ignore(share: float) -> None:
    """A progress callback for tests that do not look at progress."""


def write_tones(path: Path, frequencies: list[int], seconds: float = 2, rate: int = 44_100) -> Path:
    """A WAV with a tone of its own on each channel."""
    with wave.open(str(path), "wb") as file:
        file.setparams((len(frequencies), 2, rate, 0, "NONE", ""))
        file.writeframes(np.stack([tone(frequency, seconds, rate) for frequency in frequencies], axis=1).tobytes())
    return path


def read_channels(path: Path) -> Interleaved:
    """Samples of a WAV, shape (samples, channels), after a look at its header."""
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getsampwidth()) == (SAMPLE_RATE, 2)
        channels, samples = file.getnchannels(), file.readframes(file.getnframes())
    assert path.stat().st_size == 44 + len(samples)
    return np.frombuffer(samples, "<i2").reshape(-1, channels)


@pytest.mark.parametrize("count", [1, 2, 3, 6, 8])
def test_each_channel_is_kept(count: int, tmp_path: Path) -> None:
    """As many channels as the file has come out, in order and each with its own tone."""
    frequencies = [300 + 100 * number for number in range(count)]
    source = write_tones(tmp_path / "in.wav", frequencies)
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore, split=True)
    samples = read_channels(tmp_path / "out.wav")
    assert (conversion.channels, conversion.duration, samples.shape) == (count, 2.0, (2 * SAMPLE_RATE, count))
    assert [dominant_frequency(samples[:, n]) for n in range(count)] == pytest.approx(frequencies, abs=2)


def test_channels_are_mixed_unless_asked_for(tmp_path: Path) -> None:
    """Without split a stereo file is one channel."""
    source = write_tones(tmp_path / "in.wav", [300, 400])
    assert convert(source, tmp_path / "out.wav", LIMITS, ignore).channels == 1
    assert read_channels(tmp_path / "out.wav").shape == (2 * SAMPLE_RATE, 1)


@pytest.mark.parametrize("layouts", [("stereo", "mono"), ("mono", "stereo")])
def test_a_change_of_channels_in_the_middle_loses_nothing(layouts: tuple[str, str], tmp_path: Path) -> None:
    """The first part decides how many channels there are; a part with another number is mixed, on the first of them."""
    parts = [
        write_tone(tmp_path / layout, replace(KIND["mp3"], layout=layout), frequency=frequency, seconds=2)
        for layout, frequency in zip(layouts, (440, 880), strict=True)
    ]
    source = tmp_path / "both.mp3"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore, split=True)
    samples = read_channels(tmp_path / "out.wav")
    assert (conversion.channels, samples.shape[1]) == ((2, 2) if layouts[0] == "stereo" else (1, 1))
    assert conversion.duration == pytest.approx(4, abs=0.15)
    assert dominant_frequency(samples[:24_000, 0]) == pytest.approx(440, abs=4)
    assert dominant_frequency(samples[-24_000:, 0]) == pytest.approx(880, abs=4)
    if conversion.channels == 2:
        assert dominant_frequency(samples[:24_000, 1]) == pytest.approx(440, abs=4)
        assert not samples[-24_000:, 1].any()


def test_more_channels_than_can_be_kept_apart_are_refused(tmp_path: Path) -> None:
    """Nine channels are an error that says so; mixed they are fine."""
    source = write_tones(tmp_path / "in.wav", [300] * 9)
    with pytest.raises(UnsupportedMedia, match="More than 8 channels"):
        convert(source, tmp_path / "out.wav", LIMITS, ignore, split=True)
    assert convert(source, tmp_path / "out.wav", LIMITS, ignore).channels == 1


def test_the_longest_recording_is_as_long_in_channels(tmp_path: Path) -> None:
    """The limit counts seconds, not samples of all channels together."""
    source = write_tones(tmp_path / "in.wav", [300, 400, 500])
    assert convert(source, tmp_path / "out.wav", replace(LIMITS, max_duration_s=2), ignore, split=True).duration == 2
    with pytest.raises(MediaTooLong):
        convert(source, tmp_path / "out.wav", replace(LIMITS, max_duration_s=1.9), ignore, split=True)


def test_split_channels_are_never_answered_from_the_mix() -> None:
    """Every stage behind the recording itself has another hash, which is what answers are reused by."""
    mixed, split = (plan("ab" * 32, JobOptions(channels=channels).model_dump()) for channels in ("mix", "split"))
    assert mixed["download"] == split["download"]
    assert all(mixed[stage] != split[stage] for stage in ("convert", "transcribe", "merge", "store"))


def test_channels_and_diarization_exclude_each_other() -> None:
    """Each channel is a speaker already."""
    with pytest.raises(ValueError, match="channels=split excludes diarization"):
        JobOptions(channels="split", diarization=True)


def test_split_recordings_are_forecast_by_their_own_speed() -> None:
    """They take longer a second of audio, so that neither forecast spoils the other."""
    mixed, split = (
        profile("transcribe", JobOptions(channels=channels).model_dump(), "cpu") for channels in ("mix", "split")
    )
    assert (mixed, split) == ("auto/batched/cpu", "split/auto/batched/cpu")
