"""convert's mix of all channels: no voice is lost in it, and what needs no help comes out as FFmpeg mixes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from shared.transcript import Conversion, Shard
from tasks.stages.convert import ConvertLimits, about_sound, convert
from tests.unit.intake.media import read_wav
from tests.unit.intake.voices import RATE, likeness, voice, write_channels

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
SECONDS = 6.0
ANNA, BERT = voice(SECONDS), voice(SECONDS, pitch=190, seed=3)
SILENCE = np.zeros(ANNA.size)
HUM = 0.3 * np.sin(2 * np.pi * 50 * np.arange(ANNA.size) / RATE)
NOISE = np.random.default_rng(1).normal(0, 0.01, (2, ANNA.size))
MIDDLE = round(SECONDS / 2 * RATE)

TURNED = {
    "right": [ANNA, -ANNA],
    "left": [-ANNA, ANNA],
    "half as loud": [ANNA, -0.5 * ANNA],
    "from the middle": [ANNA, np.concatenate([ANNA[:MIDDLE], -ANNA[MIDDLE:]])],
    "up to the middle": [ANNA, np.concatenate([-ANNA[:MIDDLE], ANNA[MIDDLE:]])],
    "with a hum": [ANNA + HUM, HUM - ANNA],
    "faint": [0.004 * ANNA, -0.004 * ANNA],
}
"""Stereo whose two channels cancel each other, all the time or for a part of it."""

SURROUND = {
    "4.0": [ANNA, -ANNA, SILENCE, SILENCE],
    "quad": [SILENCE, SILENCE, ANNA, -ANNA],
    "5.1": [ANNA, -ANNA, SILENCE, SILENCE, SILENCE, SILENCE],
    "5.1(side)": [SILENCE, SILENCE, SILENCE, SILENCE, ANNA, -ANNA],
    "7.1": [SILENCE, SILENCE, SILENCE, SILENCE, ANNA, -ANNA, SILENCE, SILENCE],
    "": [SILENCE, ANNA, SILENCE, -ANNA],
}

ORDINARY = {
    "two voices": [ANNA, BERT],
    "in the middle": [ANNA, ANNA],
    "to the right": [0.2 * ANNA, 0.8 * ANNA],
    "on the left only": [ANNA, SILENCE],
    "two distant microphones": [ANNA, np.roll(ANNA, round(0.0007 * RATE))],
    "a hum on opposite phases": [ANNA + HUM, ANNA - HUM],
    "noise of two microphones": [ANNA + NOISE[0], ANNA + NOISE[1]],
}


def mix(source: Path, tmp_path: Path) -> tuple[np.ndarray[Any, np.dtype[np.int16]], Conversion]:
    conversion = convert(source, tmp_path / "out.wav", LIMITS, lambda share: None)
    return read_wav(tmp_path / "out.wav"), conversion


def by_ffmpeg(source: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The mix that FFmpeg makes."""
    with av.open(str(source)) as container:
        resampler = av.AudioResampler("s16", "mono", 16_000)
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([part.to_ndarray()[0] for part in (*parts, *resampler.resample(None))])


@pytest.mark.parametrize("how", TURNED)
def test_channels_that_cancel_are_heard(how: str, tmp_path: Path) -> None:
    """A voice is in the mix as loud as on its channel, wherever one of the two channels is upside down."""
    mono, conversion = mix(write_channels(tmp_path / "in.wav", TURNED[how], "stereo"), tmp_path)
    first = TURNED[how][0] - (HUM if how == "with a hum" else 0)
    assert likeness(mono, first, 0, 2.8) > 0.9
    assert likeness(mono, first, 3.2) > 0.9
    loudness = np.std(mono[48_000:].astype(float)) / 32_768 / np.std(first)
    assert 0.7 < loudness < 1.1
    (warning,) = conversion.warnings
    assert warning.code == "channels_opposed"
    assert (warning.start, warning.end) == pytest.approx(
        {"from the middle": (3, 6), "up to the middle": (0, 3)}.get(how, (0, 6)), abs=0.3
    )


def test_a_lossy_file_with_one_channel_upside_down(tmp_path: Path) -> None:
    """What MP3 adds to each channel does not hide that they cancel each other."""
    source = write_channels(tmp_path / "in.mp3", [ANNA, -ANNA], "stereo", codec="libmp3lame", muxer="mp3")
    mono, conversion = mix(source, tmp_path)
    assert np.std(mono.astype(float)) / 32_768 > 0.08
    assert [warning.code for warning in conversion.warnings] == ["channels_opposed"]


@pytest.mark.parametrize("layout", SURROUND)
def test_pairs_of_more_channels_that_cancel_are_heard(layout: str, tmp_path: Path) -> None:
    """A pair upside down is heard beside other channels, with names and without."""
    mono, conversion = mix(write_channels(tmp_path / "in.wav", SURROUND[layout], layout), tmp_path)
    assert likeness(mono, ANNA) > 0.9
    assert [warning.code for warning in conversion.warnings] == ["channels_opposed"]


def test_a_pair_that_cancels_while_another_channel_speaks(tmp_path: Path) -> None:
    """Both voices are in the mix where one of them is on a pair upside down, and the other in the centre."""
    mono, _ = mix(write_channels(tmp_path / "in.wav", [ANNA, -ANNA, BERT, SILENCE], "4.0"), tmp_path)
    assert likeness(mono, ANNA) > 0.4
    assert likeness(mono, BERT) > 0.4


def test_nothing_clicks_where_a_channel_turns(tmp_path: Path) -> None:
    """The steepest step of the mix is hardly steeper than the voice itself."""
    channels = [ANNA, np.where(np.arange(ANNA.size) // RATE % 2, -ANNA, ANNA)]
    mono, _ = mix(write_channels(tmp_path / "in.wav", channels, "stereo"), tmp_path)
    alone, _ = mix(write_channels(tmp_path / "one.wav", [ANNA], "mono"), tmp_path)
    assert np.abs(np.diff(mono.astype(int))).max() < 1.2 * np.abs(np.diff(alone.astype(int))).max()


@pytest.mark.parametrize("how", ORDINARY)
def test_ordinary_stereo_is_as_ffmpeg_mixes_it(how: str, tmp_path: Path) -> None:
    """Where nothing cancels, not one sample is another."""
    source = write_channels(tmp_path / "in.wav", ORDINARY[how], "stereo")
    mono, conversion = mix(source, tmp_path)
    assert np.array_equal(mono, by_ffmpeg(source))
    assert conversion.warnings == ()


@pytest.mark.parametrize(("layout", "bass", "count"), [("2.1", 2, 3), ("5.1", 3, 6), ("6.1", 3, 7), ("7.1", 3, 8)])
def test_a_voice_on_the_bass_channel_is_heard(layout: str, bass: int, count: int, tmp_path: Path) -> None:
    """A microphone that its recorder calls LFE is in the mix, from its first word, while another one speaks too."""
    channels = [SILENCE] * count
    channels[0], channels[bass] = (
        np.where(np.arange(ANNA.size) < MIDDLE, BERT, 0),
        np.where(np.arange(ANNA.size) < RATE, 0, ANNA),
    )
    mono, conversion = mix(write_channels(tmp_path / "in.wav", channels, layout), tmp_path)
    assert likeness(mono, BERT, 0, 1) > 0.9
    assert likeness(mono, ANNA, 1, 1.5) > 0.5
    assert likeness(mono, ANNA, 3.1) > 0.9
    assert conversion.warnings == ()


def test_a_voice_on_the_bass_channel_of_opus(tmp_path: Path) -> None:
    """Opus keeps only the lower part of such a voice, and that part is heard."""
    channels = [SILENCE, SILENCE, SILENCE, ANNA, SILENCE, SILENCE]
    mono, _ = mix(write_channels(tmp_path / "in.opus", channels, "5.1", codec="libopus", muxer="ogg"), tmp_path)
    assert np.std(mono.astype(float)) > 100


def test_bass_stays_out_of_the_mix(tmp_path: Path) -> None:
    """What a subwoofer is for is not mixed in, not even loud."""
    rumble = sum((0.2 * np.sin(2 * np.pi * f * np.arange(ANNA.size) / RATE) for f in (35, 60, 110)), SILENCE)
    source = write_channels(tmp_path / "in.wav", [ANNA, ANNA, SILENCE, rumble, SILENCE, SILENCE], "5.1")
    mono, _ = mix(source, tmp_path)
    assert np.array_equal(mono, by_ffmpeg(source))


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    """Infinities and NaN in a recording that is upside down cost no more than the moment that they are in."""
    source = write_channels(tmp_path / "in.wav", [ANNA, -ANNA], "stereo", codec="pcm_f32le")
    data = bytearray(source.read_bytes())
    data[len(data) // 2 // 8 * 8 : len(data) // 2 // 8 * 8 + 16] = np.array(
        [np.inf, np.nan, -np.inf, 3e38], "<f4"
    ).tobytes()
    source.write_bytes(data)
    mono, _ = mix(source, tmp_path)
    assert likeness(mono, ANNA, 0.2, 2.8) > 0.9
    assert likeness(mono, ANNA, 3.5, 5.9) > 0.9


def test_each_shard_hands_on_its_own_warnings() -> None:
    """A warning goes with the shard that it begins in; one about the whole recording with the first."""
    places = [(None, None), (1.0, 12.0), (10.0, 11.0)]
    meta = {"warnings": [{"code": "c", "message": "m", "start": start, "end": end} for start, end in places]}
    shards = [Shard(0, 10, 0, 10), Shard(10, 20, 10, 20)]
    starts = [[warning.start for warning in about_sound(meta, shard)] for shard in (*shards, None)]
    assert starts == [[None, 1.0], [10.0], [None, 1.0, 10.0]]
    assert about_sound({}, None) == ()
