"""convert of streams and Core Audio files that were cut off: told where their own bytes show it, and not otherwise."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.unit.intake.media import KIND, write_tone
from tests.unit.intake.test_damage import LADDER, SECONDS, converted, lost_seconds, second
from tests.unit.intake.voices import write_channels

CUT_OFF = ["The recording ends before its time: it may have been cut off."]

STREAMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "ADTS": ("adts", "aac", {}),
    "LOAS": ("latm", "aac", {}),
    "MPEG-TS, AAC": ("mpegts", "aac", {}),
    "MPEG-TS, MP2": ("mpegts", "mp2", {}),
    "MPEG-TS, AC-3": ("mpegts", "ac3", {}),
    "M2TS": ("mpegts", "aac", {"mpegts_m2ts_mode": "1"}),
}


def stream(tmp_path: Path, name: str) -> bytes:
    muxer, codec, options = STREAMS[name]
    return write_channels(tmp_path / "in", [LADDER], "mono", codec=codec, muxer=muxer, options=options).read_bytes()


def warnings(path: Path, content: bytes) -> list[str]:
    return [warning.message for warning in converted(path / "cut", content)[1].warnings]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_breaks_off(name: str, tmp_path: Path) -> None:
    """A stream that ends in the middle of a packet lacks something; one that is whole does not."""
    content = stream(tmp_path, name)
    for end in (len(content) * 3 // 10, len(content) * 6 // 10 + 1, len(content) - 2):
        assert warnings(tmp_path, content[:end]) == CUT_OFF
    assert warnings(tmp_path, content) == []


def is_start_of_sound(packet: bytes) -> bool:
    """Whether a packet of MPEG sound or AC-3 begins in this one of the transport."""
    return b"\0\0\1\xc0" in packet or b"\0\0\1\xbd" in packet


@pytest.mark.parametrize("name", ["MPEG-TS, AAC", "MPEG-TS, AC-3", "M2TS"])
def test_a_transport_stream_that_breaks_off_between_two_of_its_packets(name: str, tmp_path: Path) -> None:
    """The sound's own packets are longer than those of the transport, and say how long they are."""
    content = stream(tmp_path, name)
    size = 192 if name == "M2TS" else 188
    sound = [at for at in range(0, len(content), size) if is_start_of_sound(content[at : at + size])]
    middle = sound[len(sound) // 2]
    assert warnings(tmp_path, content[: middle + size]) == CUT_OFF
    assert warnings(tmp_path, content[:middle]) == []  # nothing tells


def test_a_film_that_breaks_off(tmp_path: Path) -> None:
    """Also in a transport stream with a picture, whose packets do not say how long they are."""
    content = write_tone(tmp_path / "in", KIND["ts"], seconds=4).read_bytes()
    assert warnings(tmp_path, content) == []
    assert warnings(tmp_path, content[: len(content) * 6 // 10 - 50]) == CUT_OFF


def test_what_stands_behind_a_stream_is_no_torn_packet(tmp_path: Path) -> None:
    """Tags behind ADTS, zeros up to the end of a block, and a last packet that is there are no reason to warn."""
    content = stream(tmp_path, "ADTS")
    frames = [at for at in range(len(content) - 7) if content[at : at + 4] == content[:4]]
    for variant in (content + b"TAG" + bytes(125), content + bytes(512), content[: frames[len(frames) // 2]]):
        assert warnings(tmp_path, variant) == []


def chunks(content: bytes) -> dict[bytes, bytes]:
    """The chunks of a CAF by their names."""
    blocks, at = {}, 8
    while at < len(content):
        size = int.from_bytes(content[at + 4 : at + 12], "big")
        blocks[content[at : at + 4]] = content[at : at + 12 + size]
        at += 12 + size
    return blocks


def core_audio(tmp_path: Path, codec: str) -> bytes:
    """A CAF with its table of packets in front of the sound, as macOS writes it."""
    content = write_channels(tmp_path / "in", [LADDER], "mono", codec=codec, muxer="caf").read_bytes()
    parts = chunks(content)
    data = parts.pop(b"data")
    return content[:8] + b"".join(parts.values()) + data


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw", "alac"])
def test_core_audio_that_was_cut_off(codec: str, tmp_path: Path) -> None:
    """A CAF says how long its sound is."""
    content = core_audio(tmp_path, codec)
    assert warnings(tmp_path, content) == []
    for share in (0.2, 0.6, 0.9):
        _, conversion = converted(tmp_path / "cut", content[: int(len(content) * share)])
        (warning,) = conversion.warnings
        assert lost_seconds(warning) == pytest.approx(SECONDS - conversion.duration, abs=0.15)


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_mulaw", "pcm_f32be"])
def test_core_audio_that_was_never_finished_is_whole(codec: str, tmp_path: Path) -> None:
    """A length of -1 stands for all that follows."""
    content = bytearray(core_audio(tmp_path, codec))
    at = content.index(b"data")
    content[at + 4 : at + 12] = struct.pack(">q", -1)
    assert warnings(tmp_path, bytes(content)) == []


def test_damage_in_core_audio(tmp_path: Path) -> None:
    """Packets of a CAF that cannot be decoded become silence, and what follows keeps its time."""
    content = bytearray(core_audio(tmp_path, "alac"))
    start, end = len(content) * 45 // 100, len(content) * 60 // 100
    content[start:end] = bytes(end - start)
    samples, conversion = converted(tmp_path / "damaged", content)
    (warning,) = conversion.warnings
    assert "could not be decoded" in warning.message
    assert 1.4 < lost_seconds(warning) < 2.4
    assert [second(samples, number) for number in (4, 10, 11)] == [800, 1400, 1500]
