"""convert of recordings that are damaged or cut off: what is left, at its own times, and a warning of what is not."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from shared.transcript import Caveat, Conversion
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import KIND, Kind, dominant_frequency, read_wav, write_tone, write_with_pause
from tests.unit.intake.voices import RATE, write_channels

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
SECONDS = 12
LADDER = np.concatenate(
    [0.3 * np.sin(2 * np.pi * (400 + 100 * step) * np.arange(RATE) / RATE) for step in range(SECONDS)]
)
"""A tone that rises by 100 Hz every second, so that each second is told by its pitch."""

Samples = np.ndarray[Any, np.dtype[np.int16]]

FORMATS = {
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("adts", "aac"),
    "ac3": ("ac3", "ac3"),
    "opus": ("ogg", "libopus"),
    "ogg": ("ogg", "vorbis"),
    "flac": ("flac", "flac"),
    "m4a": ("ipod", "aac"),
    "mka": ("matroska", "libopus"),
    "webm": ("webm", "libopus"),
    "ts": ("mpegts", "aac"),
    "flv": ("flv", "aac"),
    "avi": ("avi", "libmp3lame"),
    "pcm.avi": ("avi", "pcm_s16le"),
    "ac3.avi": ("avi", "ac3"),
}


def write_ladder(path: Path, suffix: str) -> bytearray:
    muxer, codec = FORMATS.get(suffix, ("wav", "pcm_s16le"))
    channels, layout = ([LADDER] * 2, "stereo") if codec == "vorbis" else ([LADDER], "mono")
    return bytearray(write_channels(path, channels, layout, codec=codec, muxer=muxer).read_bytes())


def converted(path: Path, content: bytes | bytearray) -> tuple[Samples, Conversion]:
    path.write_bytes(content)
    conversion = convert(path, path.parent / "out.wav", LIMITS, lambda share: None)
    return read_wav(path.parent / "out.wav"), conversion


def second(samples: Samples, number: int) -> float:
    """Hz in the middle of a second; 0 for silence."""
    middle = samples[number * 16_000 + 4_000 : number * 16_000 + 12_000]
    return round(dominant_frequency(middle), -2) if np.abs(middle).max() > 1_000 else 0.0


def lost_seconds(warning: Caveat) -> float:
    return float(next(word for word in warning.message.split() if word.replace(".", "", 1).isdecimal()))


@pytest.mark.parametrize("how", ["zeros", "noise"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_damage_in_the_middle(suffix: str, how: str, tmp_path: Path) -> None:
    """Silence stands where sound was lost, everything behind it keeps its time, and a warning has place and seconds."""
    content = write_ladder(tmp_path / "in", suffix)
    damage = slice(len(content) * 45 // 100, len(content) * 60 // 100)
    length = damage.stop - damage.start
    content[damage] = bytes(length) if how == "zeros" else np.random.default_rng(5).bytes(length)
    samples, conversion = converted(tmp_path / "in", content)
    (warning,) = conversion.warnings
    assert warning.code == "damaged_recording"
    assert warning.start is not None
    assert warning.end is not None
    assert warning.start < 0.6 * SECONDS
    assert 1.4 < lost_seconds(warning) <= warning.end - warning.start + 0.1
    tones = [400 + 100 * number for number in range(int(warning.start))]
    assert [second(samples, number) for number in range(int(warning.start))] == tones
    assert [second(samples, number) for number in (SECONDS - 2, SECONDS - 1)] == [400 + 100 * 10, 400 + 100 * 11]
    assert conversion.duration == pytest.approx(SECONDS, abs=0.25)


@pytest.mark.parametrize("suffix", ["opus", "ogg", "flac", "mka", "ts", "avi", "pcm.avi", "ac3.avi"])
def test_a_piece_that_is_missing_in_the_middle(suffix: str, tmp_path: Path) -> None:
    """Where the container has a clock or an index, what was cut out of it leaves a gap of its length."""
    content = write_ladder(tmp_path / "in", suffix)
    del content[len(content) * 45 // 100 : len(content) * 60 // 100]
    samples, conversion = converted(tmp_path / "in", content)
    assert [warning.code for warning in conversion.warnings] == ["damaged_recording"]
    assert second(samples, SECONDS - 1) == 400 + 100 * (SECONDS - 1)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "mka", "webm", "flv", "avi", "pcm.avi", "ac3.avi"])
def test_an_end_that_was_cut_off(suffix: str, tmp_path: Path) -> None:
    """A file that says how long it was is known to lack its end, and how much of it."""
    content = write_ladder(tmp_path / "in", suffix)
    samples, conversion = converted(tmp_path / "in", content[: len(content) * 6 // 10])
    (warning,) = conversion.warnings
    assert warning.code == "damaged_recording"
    assert "it may have been cut off" in warning.message
    assert lost_seconds(warning) == pytest.approx(SECONDS - conversion.duration, abs=0.1)
    assert conversion.duration == samples.size / 16_000
    assert warning.end == pytest.approx(conversion.duration, abs=0.001)


@pytest.mark.parametrize("codec", ["libmp3lame", "pcm_s16le", "ac3"])
def test_damage_in_a_film(codec: str, tmp_path: Path) -> None:
    """In an AVI with a picture what follows upon damage keeps its time, whatever it was that the bytes held."""
    kind = Kind("avi", "avi", codec, 48_000, video="mpeg4")
    content = bytearray(write_tone(tmp_path / "in", kind, seconds=4).read_bytes())
    start = len(content) * 3 // 10
    content[start : start + len(content) // 4] = bytes(len(content) // 4)
    _, conversion = converted(tmp_path / "in", content)
    (warning,) = conversion.warnings
    assert "could not be decoded" in warning.message
    assert conversion.duration == pytest.approx(4, abs=0.1)
    assert lost_seconds(warning) == pytest.approx(1, abs=0.5)


def test_an_upload_that_was_cut_off(tmp_path: Path) -> None:
    """An MP4 with its index in front says of how much sound it has been robbed."""
    content = write_ladder(tmp_path / "in", "m4a")
    with (
        av.open(str(tmp_path / "in")) as whole,
        av.open(str(tmp_path / "fast.m4a"), "w", format="ipod", options={"movflags": "faststart"}) as fast,
    ):
        stream = fast.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                fast.mux(packet)
    content = bytearray((tmp_path / "fast.m4a").read_bytes())
    _, conversion = converted(tmp_path / "in", content[: len(content) * 6 // 10])
    (warning,) = conversion.warnings
    assert lost_seconds(warning) == pytest.approx(SECONDS - conversion.duration, abs=0.1)


@pytest.mark.parametrize("suffix", ["opus", "ogg"])
def test_an_end_that_is_torn(suffix: str, tmp_path: Path) -> None:
    """A file that does not say its length, and ends in the middle of a page or packet, is known to lack something."""
    content = write_ladder(tmp_path / "in", suffix)
    _, conversion = converted(tmp_path / "in", content[: len(content) * 6 // 10 - 1])
    (warning,) = conversion.warnings
    assert warning.message == "The recording ends before its time: it may have been cut off."


def test_an_mp3_whose_end_was_never_written(tmp_path: Path) -> None:
    """Zeros up to the end, as of a download that broke off, are sound that is missing."""
    content = write_ladder(tmp_path / "in", "mp3")
    half = len(content) // 2
    _, conversion = converted(tmp_path / "in", content[:half] + bytes(len(content) - half))
    assert conversion.duration == pytest.approx(SECONDS / 2, abs=0.2)
    assert lost_seconds(conversion.warnings[0]) == pytest.approx(SECONDS / 2, abs=0.3)


@pytest.mark.parametrize("suffix", ["wav", "opus", "mp3", "aac", "ac3", "ts", "flac"])
def test_recordings_one_behind_the_other_are_whole(suffix: str, tmp_path: Path) -> None:
    """Files that were joined with `cat` are not damaged: tags and headers between them are no sound."""
    content = write_tone(tmp_path / "in", KIND[suffix], seconds=3, title="A title").read_bytes()
    picture = bytes(range(256)) * 200
    size = bytes((len(picture) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    tag = b"ID3\x04\x00\x00" + size + picture if suffix in ("mp3", "aac") else b""
    _, conversion = converted(tmp_path / "in", content + tag + content)
    assert conversion.duration == pytest.approx(3 if suffix == "wav" else 6, abs=0.2)
    assert conversion.warnings == ()


@pytest.mark.parametrize(
    ("muxer", "codec", "options"),
    [
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}),
        ("webm", "libopus", {"live": "1"}),
        ("mp3", "libmp3lame", {"write_xing": "0"}),
        ("wav", "pcm_s16le", {"rf64": "always"}),
        ("caf", "pcm_s16le", {}),
        ("avi", "libmp3lame", {}),
    ],
)
def test_a_recording_that_does_not_say_its_length_is_whole(
    muxer: str, codec: str, options: dict[str, str], tmp_path: Path
) -> None:
    """Fragments, live streams and files without an index are no reason to warn."""
    source = write_channels(tmp_path / "in", [LADDER], "mono", codec=codec, muxer=muxer, options=options)
    _, conversion = converted(tmp_path / "in", source.read_bytes())
    assert conversion.duration == pytest.approx(SECONDS, abs=0.1)
    assert conversion.warnings == ()


def test_tags_around_an_mp3_are_no_sound(tmp_path: Path) -> None:
    """Tags in front of an MP3 and behind it, and a first frame that is half, are passed over."""
    content = bytes(write_ladder(tmp_path / "in", "mp3"))
    head = b"ID3\x04\x00\x00\x00\x00\x46\x28" + bytes(9_000)
    tail = b"APETAGEX" + struct.pack("<III", 2_000, 32, 1) + bytes(12 + 2_000) + b"TAG" + bytes(125)
    for variant in (head + content + tail, content[5_000:]):
        _, conversion = converted(tmp_path / "in", variant)
        assert conversion.duration > SECONDS - 1
        assert conversion.warnings == ()


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_that_was_never_finished_is_whole(length: int, tmp_path: Path) -> None:
    """Lengths that recorders write at the start, and programs into pipes, promise nothing."""
    content = write_ladder(tmp_path / "in", "wav")
    at = content.index(b"data")
    content[at + 4 : at + 8] = struct.pack("<I", length)
    content[4:8] = struct.pack("<I", length)
    _, conversion = converted(tmp_path / "in", content)
    assert (conversion.duration, conversion.warnings) == (SECONDS, ())


def test_a_pause_that_was_not_recorded_is_no_damage(tmp_path: Path) -> None:
    """A gap between two timestamps, with nothing wrong in the file, is silence without a warning."""
    source = write_with_pause(tmp_path / "pause.mkv", seconds=2, pause=5)
    assert convert(source, tmp_path / "out.wav", LIMITS, lambda share: None).warnings == ()


def ogg_pages(content: bytes) -> list[bytearray]:
    starts = [at for at in range(len(content)) if content.startswith(b"OggS\0", at)]
    return [bytearray(content[a:b]) for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def sealed(page: bytearray) -> bytes:
    """The page with its checksum (RFC 3533, section 6)."""
    page[22:26] = bytes(4)
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1
    page[22:26] = struct.pack("<I", crc & 0xFFFFFFFF)
    return bytes(page)


@pytest.mark.parametrize("jump_s", [-(10**6), -100, 1_000, 3_000, 10**6, 10**12])
def test_a_clock_that_lies_makes_no_silence(jump_s: int, tmp_path: Path) -> None:
    """A page of Ogg that says it is hours away adds nothing: the recording is never longer than its end says."""
    pages = ogg_pages(bytes(write_ladder(tmp_path / "in", "opus")))
    for page in pages[len(pages) // 2 : -1]:
        (granule,) = struct.unpack("<q", page[6:14])
        page[6:14] = struct.pack("<q", granule + jump_s * 48_000)
    _, conversion = converted(tmp_path / "in", b"".join(sealed(page) for page in pages))
    assert conversion.duration < SECONDS + 2.5


@pytest.mark.parametrize("size", [0, 10**6, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_index_that_lies_makes_no_silence(size: int, tmp_path: Path) -> None:
    """Whatever the index of an AVI says of its chunks, the recording is never longer than its header says."""
    content = write_ladder(tmp_path / "in", "pcm.avi")
    index = content.rindex(b"idx1")
    for at in range(index + 8, len(content) - 15, 16):
        content[at + 12 : at + 16] = struct.pack("<I", size)
    content[len(content) * 45 // 100 : len(content) * 60 // 100] = bytes(len(content) * 15 // 100)
    _, conversion = converted(tmp_path / "in", content)
    assert conversion.duration < SECONDS + 2.5


def test_silence_for_damage_never_makes_a_recording_too_long(tmp_path: Path) -> None:
    """A gap that would go past the limit is closed up instead."""
    content = write_ladder(tmp_path / "in", "mp3")
    (tmp_path / "in").write_bytes(content[: len(content) // 2] + bytes(400_000) + content[len(content) // 2 :])
    limits = ConvertLimits(max_duration_s=20, timeout_s=60, memory_bytes=300 * 1024**2)
    assert convert(tmp_path / "in", tmp_path / "out.wav", limits, lambda share: None).duration < 13


def test_a_wma_that_was_cut_off(tmp_path: Path) -> None:
    """A last packet of ASF that cannot be decoded is not all there."""
    content = write_tone(tmp_path / "in", KIND["wma"], seconds=6).read_bytes()
    _, conversion = converted(tmp_path / "in", content[: len(content) * 6 // 10])
    assert ["cut off" in warning.message for warning in conversion.warnings] == [True]
