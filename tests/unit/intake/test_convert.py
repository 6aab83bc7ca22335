"""convert: every container becomes the same kind of WAV, damaged or not, and the decoder never outlives the call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from shared.errors import DecodeFailed, Interrupted, MediaTooLong, NoAudio, ParleyError, UnexpectedError
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import (
    KIND,
    KINDS,
    Kind,
    decoders,
    dominant_frequency,
    read_wav,
    write_long_silence,
    write_picture_only,
    write_tone,
    write_with_pause,
)

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)

CLEAN = {"no_audio", "unsupported_media", "decode_failed"}

TELEPHONE = Kind("flac", "flac", "flac", 8_000)

HEADER_LAST = {"m4a", "alac.m4a", "mp4", "mov", "3gp", "wtv"}
"""Kinds whose index is written at the end, so that nothing can be found in half a file."""


def ignore(share: float) -> None:
    """A progress callback for tests that do not look at progress."""


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten hours of silence in a file of some megabytes; decoding it takes seconds."""
    return write_long_silence(tmp_path_factory.mktemp("long") / "silence.flac", TELEPHONE, hours=10)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.suffix)
def test_container(kind: Kind, tmp_path: Path) -> None:
    """Any accepted container becomes a 16 kHz mono WAV of the same length and pitch behind a header of 44 bytes."""
    source = write_tone(tmp_path / f"tone.{kind.suffix}", kind, frequency=700, seconds=3)
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore)
    samples = read_wav(tmp_path / "out.wav")
    assert conversion.duration == pytest.approx(3, abs=0.06)
    assert conversion.duration == samples.size / 16_000
    assert (conversion.skipped_packets, conversion.warnings) == (0, ())
    assert dominant_frequency(samples) == pytest.approx(700, abs=2)
    assert (tmp_path / "out.wav").stat().st_size == 44 + 2 * samples.size


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.suffix)
def test_truncated(kind: Kind, tmp_path: Path) -> None:
    """Of a file cut in half the first half is kept; where the index went with the other half it is no_audio."""
    source = write_tone(tmp_path / f"tone.{kind.suffix}", kind, frequency=700, seconds=4)
    os.truncate(source, source.stat().st_size // 2)
    if kind.suffix in HEADER_LAST:
        with pytest.raises(NoAudio):
            convert(source, tmp_path / "out.wav", LIMITS, ignore)
        assert not (tmp_path / "out.wav").exists()
    else:
        conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore)
        assert 0.9 < conversion.duration < 2.5
        assert dominant_frequency(read_wav(tmp_path / "out.wav")) == pytest.approx(700, abs=4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.suffix)
def test_corrupted_in_the_middle(kind: Kind, tmp_path: Path) -> None:
    """What lies before damage in the middle of a file is kept, and the pitch there is right."""
    source = write_tone(tmp_path / f"tone.{kind.suffix}", kind, frequency=700, seconds=4)
    data = bytearray(source.read_bytes())
    damage = slice(len(data) // 2, len(data) * 6 // 10)
    data[damage] = np.random.default_rng(2).bytes(damage.stop - damage.start)
    source.write_bytes(data)
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore)
    assert 0.9 < conversion.duration < 4.2
    assert dominant_frequency(read_wav(tmp_path / "out.wav")[:14_000]) == pytest.approx(700, abs=4)


@pytest.mark.parametrize("suffix", ["m4a", "amr", "mp2"])
def test_skipped_packets_are_counted(suffix: str, tmp_path: Path) -> None:
    """Packets that cannot be decoded are counted, so that the reader can be warned."""
    source = write_tone(tmp_path / f"tone.{suffix}", KIND[suffix], seconds=4)
    data = bytearray(source.read_bytes())
    damage = slice(len(data) // 3, len(data) // 2)
    data[damage] = np.random.default_rng(2).bytes(damage.stop - damage.start)
    source.write_bytes(data)
    assert convert(source, tmp_path / "out.wav", LIMITS, ignore).skipped_packets > 0


@pytest.mark.parametrize(
    ("suffix", "rate"),
    [
        ("mp3", 22_050),
        ("mp2", 48_000),
        ("aac", 22_050),
        ("ac3", 32_000),
        ("ogg", 22_050),
        ("opus", 48_000),
        ("ts", 44_100),
    ],
)
def test_format_changes_in_the_middle(suffix: str, rate: int, tmp_path: Path) -> None:
    """A file whose sample rate and channels change halfway is decoded to its end at the right pitch."""
    layout = "mono" if KIND[suffix].layout == "stereo" and suffix != "ogg" else "stereo"
    first = write_tone(tmp_path / "first", KIND[suffix], frequency=440, seconds=3)
    second = write_tone(tmp_path / "second", replace(KIND[suffix], rate=rate, layout=layout), frequency=880, seconds=3)
    source = tmp_path / f"both.{suffix}"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore)
    samples = read_wav(tmp_path / "out.wav")
    assert conversion.duration == pytest.approx(6, abs=0.15)
    assert dominant_frequency(samples[:40_000]) == pytest.approx(440, abs=4)
    assert dominant_frequency(samples[-40_000:]) == pytest.approx(880, abs=4)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "flv", "mpg", "ts"])
def test_sound_that_starts_after_the_picture(suffix: str, tmp_path: Path) -> None:
    """Sound that starts two seconds into a video is two seconds into the WAV."""
    source = write_tone(tmp_path / f"late.{suffix}", KIND[suffix], seconds=2, start=2)
    convert(source, tmp_path / "out.wav", LIMITS, ignore)
    loud = np.abs(read_wav(tmp_path / "out.wav")) > 4_000
    assert np.argmax(loud) / 16_000 == pytest.approx(2, abs=0.05)


def test_pause_that_was_not_recorded(tmp_path: Path) -> None:
    """A gap between two timestamps becomes silence of that length, so later times stay right."""
    source = write_with_pause(tmp_path / "pause.mkv", seconds=2, pause=5)
    conversion = convert(source, tmp_path / "out.wav", LIMITS, ignore)
    samples = read_wav(tmp_path / "out.wav")
    assert conversion.duration == pytest.approx(9, abs=0.01)
    assert not samples[16_000 * 3 : 16_000 * 6].any()
    assert dominant_frequency(samples[16_000 * 7 :]) == pytest.approx(440, abs=2)


def test_clock_set_anew(tmp_path: Path) -> None:
    """A jump of the clock by a day is not a pause of a day."""
    source = write_with_pause(tmp_path / "jump.mkv", seconds=2, pause=86_400)
    assert convert(source, tmp_path / "out.wav", LIMITS, ignore).duration == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 16, 64])
def test_channels(channels: int, tmp_path: Path) -> None:
    """The voice of one channel among many is heard in the mix."""
    source = tmp_path / "meeting.wav"
    mix = np.zeros((32_000, channels), np.int16)
    mix[:, -1] = np.round(16_000 * np.sin(np.arange(32_000) * 2 * np.pi * 500 / 16_000))
    with wave.open(str(source), "wb") as file:
        file.setparams((channels, 2, 16_000, 0, "NONE", ""))
        file.writeframes(mix.tobytes())
    convert(source, tmp_path / "out.wav", LIMITS, ignore)
    assert dominant_frequency(read_wav(tmp_path / "out.wav")) == pytest.approx(500, abs=2)


def test_tags_in_another_encoding(tmp_path: Path) -> None:
    """A title that is not UTF-8 does not stop the decoder."""
    source = write_tone(tmp_path / "tone.mp3", KIND["mp3"], title="Besprechung")
    data = source.read_bytes()
    assert b"Besprechung" in data
    source.write_bytes(data.replace(b"Besprechung", b"Bespr\xe4chung"))
    assert convert(source, tmp_path / "out.wav", LIMITS, ignore).duration == pytest.approx(3, abs=0.06)


def test_video_without_sound(tmp_path: Path) -> None:
    """A video without a sound track is no_audio."""
    with pytest.raises(NoAudio):
        convert(write_picture_only(tmp_path / "silent.mp4"), tmp_path / "out.wav", LIMITS, ignore)


def test_progress(tmp_path: Path, long_recording: Path) -> None:
    """Progress never goes back, moves while decoding and ends at 1."""
    shares: list[float] = []
    limits = replace(LIMITS, max_duration_s=11 * 3600, timeout_s=120)
    conversion = convert(long_recording, tmp_path / "out.wav", limits, shares.append)
    (tmp_path / "out.wav").unlink()
    assert conversion.duration == pytest.approx(36_000, abs=1)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(set(shares)) > 4


def test_too_long(tmp_path: Path, long_recording: Path) -> None:
    """A recording over the limit is refused as soon as the limit is reached, and no file is left."""
    with pytest.raises(MediaTooLong):
        convert(long_recording, tmp_path / "out.wav", LIMITS, ignore)
    assert list(tmp_path.iterdir()) == []


def test_interrupted(tmp_path: Path, long_recording: Path) -> None:
    """When progress raises, the decoder is dead and its files are gone before the exception arrives."""

    def stop(share: float) -> None:
        if share > 0:
            decoders()[0].suspend()  # not even a hanging decoder may survive
            raise Interrupted("cancelled")

    with pytest.raises(Interrupted):
        convert(long_recording, tmp_path / "out.wav", replace(LIMITS, max_duration_s=36_001), stop)
    assert decoders() == []
    assert list(tmp_path.iterdir()) == []


def test_wall_limit(tmp_path: Path, long_recording: Path) -> None:
    """A decoder that hangs is killed at its wall limit and the file is decode_failed."""

    def hang(share: float) -> None:
        for child in decoders():
            child.suspend()

    with pytest.raises(DecodeFailed, match="longer than 2 seconds"):
        convert(long_recording, tmp_path / "out.wav", replace(LIMITS, max_duration_s=36_001, timeout_s=2), hang)
    assert decoders() == []


def test_killed_decoder(tmp_path: Path, long_recording: Path) -> None:
    """A decoder killed from outside is decode_failed, with nothing internal in the message."""

    def kill(share: float) -> None:
        for child in decoders():
            child.kill()

    with pytest.raises(DecodeFailed) as failure:
        convert(long_recording, tmp_path / "out.wav", LIMITS, kill)
    assert str(failure.value) == "The decoder stopped before it was done with this file."
    assert list(tmp_path.iterdir()) == []


def test_memory_limit(tmp_path: Path) -> None:
    """A decoder that needs more memory than it may have is decode_failed."""
    source = write_tone(tmp_path / "tone.ogg", KIND["ogg"])
    with pytest.raises(DecodeFailed):
        convert(source, tmp_path / "out.wav", replace(LIMITS, memory_bytes=64 * 1024**2), ignore)


def test_full_disk(tmp_path: Path) -> None:
    """A full disk is not blamed on the file and may be tried again."""
    source = write_tone(tmp_path / "tone.wav", KIND["wav"])
    (tmp_path / "out.wav").symlink_to("/dev/full")
    with pytest.raises(UnexpectedError) as failure:
        convert(source, tmp_path / "out.wav", LIMITS, ignore)
    assert failure.value.retryable


def test_killed_parent(tmp_path: Path, long_recording: Path) -> None:
    """When the worker is killed with SIGKILL its decoder dies too, and so does what forked it."""
    program = (
        "import sys, psutil, pathlib; from tasks.stages.convert import *\n"
        "def say(share):\n"
        "    if share > 0: print(psutil.Process().children(recursive=True)[1].pid, flush=True)\n"
        "convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), ConvertLimits(36_001, 60, 1 << 30), say)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(long_recording), str(tmp_path / "out.wav")],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as worker:
        assert worker.stdout is not None
        decoder = psutil.Process(int(worker.stdout.readline()))
        server = decoder.parent()
        assert server is not None and server.ppid() == worker.pid
        for process in (decoder, server):
            process.suspend()  # else it might end by itself because nobody reads its progress
        worker.send_signal(signal.SIGKILL)
        assert psutil.wait_procs([decoder, server], timeout=120)[1] == []


def test_refusals_are_clean(tmp_path: Path) -> None:
    """Whatever bytes are damaged, the answer is a recording or a clean code without a path."""
    rng = np.random.default_rng(11)
    for kind in (KIND["mp3"], KIND["m4a"], KIND["ts"], KIND["mkv"], KIND["ogg"], KIND["wma"]):
        data = bytearray(write_tone(tmp_path / "tone", kind, seconds=2).read_bytes())
        for position in rng.integers(0, len(data), len(data) // 200):
            data[position] = rng.integers(256)
        (tmp_path / "tone").write_bytes(data)
        try:
            assert convert(tmp_path / "tone", tmp_path / "out.wav", LIMITS, ignore).duration > 0
        except ParleyError as refusal:
            assert refusal.code in CLEAN
            assert "/" not in refusal.message
