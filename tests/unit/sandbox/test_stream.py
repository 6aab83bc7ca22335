"""A container that is decoded while it arrives: what comes of it, what does not, and what its child is left with."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
import psutil
import pytest

from shared.errors import DecodeFailed, NoAudio, ParleyError, UnsupportedMedia
from tasks.sandbox.forked import ForkServer
from tasks.sandbox.stream import wire
from tasks.sandbox.stream.decoder import MEMORY_BYTES, StreamDecoder, stream_decoder
from tests.unit.intake.media import KIND, dominant_frequency, fork_servers, tone, write_tone
from tests.unit.live.recorder import RATE, RECORDERS, container, pieces
from tests.unit.sandbox.stream_lies import DRIPPING, LIES, SILENT

SECONDS = 4
CPU_S = 60
LONG = 2_000_000
LIAR = Path(__file__).with_name("stream_lies.py")
WEBM, OGG, MP4 = b"\x1aE\xdf\xa3", b"OggS", b"\0\0\0\x18ftypiso5"

Pcm = np.ndarray[tuple[int], np.dtype[np.int16]]


@contextmanager
def decoder(folder: Path, cpu_s: int = CPU_S) -> Iterator[StreamDecoder]:
    with stream_decoder(folder, cpu_s) as started:
        yield started


def children() -> list[psutil.Process]:
    """The decoders of this process's sessions."""
    return [child for server in fork_servers("tasks/sandbox/stream/") for child in server.children()]


def joined(blocks: Iterable[memoryview]) -> Pcm:
    return np.frombuffer(b"".join(blocks), np.int16)


def decoded(parts: Iterable[bytes], folder: Path, cpu_s: int = CPU_S) -> Pcm:
    with decoder(folder, cpu_s) as started:
        blocks = [joined(started.feed(part)) for part in parts]
        return np.concatenate([*blocks, joined(started.end())])


@pytest.mark.parametrize("kind", RECORDERS)
def test_a_container_is_heard_while_it_arrives(kind: str, tmp_path: Path) -> None:
    """Cut anywhere it has the same samples; and nearly all of them that could be there are there."""
    data = container(tone(440, SECONDS, RATE), kind)
    whole = decoded([data], tmp_path)
    assert abs(len(whole) / 16_000 - SECONDS) < 0.1 and abs(dominant_frequency(whole) - 440) < 2
    blocks = []
    with decoder(tmp_path) as started:
        for number, piece in enumerate(cut := pieces(data, 4 * SECONDS), 1):
            blocks.append(joined(started.feed(piece)))
            arrived_s = number / len(cut) * SECONDS
            assert sum(map(len, blocks)) / 16_000 > arrived_s - 1
        blocks.append(joined(started.end()))
    assert np.array_equal(np.concatenate(blocks), whole)
    assert not children()


@pytest.mark.parametrize("kind", RECORDERS)
def test_tiny_pieces_are_the_same_sound(kind: str, tmp_path: Path) -> None:
    """Bytes one at a time through the header, and a few at a time through the rest."""
    data = container(tone(440, 0.5, RATE), kind)
    parts = [*(data[at : at + 1] for at in range(900)), *(data[at : at + 7] for at in range(900, len(data), 7))]
    assert np.array_equal(decoded(parts, tmp_path), decoded([data], tmp_path))


def test_two_channels_are_one(tmp_path: Path) -> None:
    """As loud as one."""
    sound = tone(440, 1, RATE)
    one, two = (decoded([container(sound, "webm", channels=channels)], tmp_path) for channels in (1, 2))
    assert len(one) == len(two) and abs(np.abs(two).mean() / np.abs(one).mean() - 1) < 0.1


@pytest.mark.parametrize(("by", "seconds"), [(10, SECONDS + 10), (59, SECONDS + 59), (61, SECONDS), (10**6, SECONDS)])
def test_times_that_jump(by: float, seconds: float, tmp_path: Path) -> None:
    """Up to a minute is silence; more is a clock that was set."""
    samples = decoded([container(tone(440, SECONDS, RATE), "webm", jumps=[(2, by)])], tmp_path)
    assert abs(len(samples) / 16_000 - seconds) < 0.2


@pytest.mark.parametrize("kind", RECORDERS)
def test_a_second_header_is_another_beginning(kind: str, tmp_path: Path) -> None:
    """A page that was loaded again: of its sound no more than one piece is lost."""
    data = container(tone(440, SECONDS, RATE), kind)
    assert 2 * SECONDS - 0.6 < len(decoded([data, data], tmp_path)) / 16_000 < 2 * SECONDS + 0.1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"garbage, and more of it", UnsupportedMedia),
        (b"RIFF\0\0\0\0WAVEfmt ", UnsupportedMedia),
        (WEBM + b"x" * LONG, NoAudio),
        (WEBM + b"\xff" * LONG, NoAudio),
        (OGG + bytes(LONG), NoAudio),
        (MP4 + b"\xff" * LONG, NoAudio),
        (MP4 + bytes(LONG), NoAudio),
    ],
    ids=["text", "wav", "webm-x", "webm-1", "ogg", "mp4-1", "mp4-0"],
)
def test_what_is_no_container_is_refused(data: bytes, error: type[ParleyError], tmp_path: Path) -> None:
    """By a code of convert's, and before all of it was read."""
    with pytest.raises(error), decoder(tmp_path) as started:
        for piece in pieces(data, 100):
            list(started.feed(piece))


@pytest.mark.parametrize("kind", RECORDERS)
def test_half_a_header_waits_for_the_other(kind: str, tmp_path: Path) -> None:
    """And is no sound when there is none."""
    data = container(tone(440, 1, RATE), kind)
    with decoder(tmp_path) as started:
        assert not len(joined(started.feed(data[:30])))
        assert len(joined(chain(started.feed(data[30:]), started.end()))) > 14_000
    with pytest.raises(NoAudio):
        decoded([data[:30]], tmp_path)


@pytest.mark.parametrize("kind", RECORDERS)
def test_damage_ends_or_goes_on(kind: str, tmp_path: Path) -> None:
    """Some bytes are others: there is no more sound than there was, or an error with a code."""
    data, random = container(tone(440, SECONDS, RATE), kind), np.random.default_rng(7)
    for _ in range(3):
        bad = np.frombuffer(data, np.uint8).copy()
        places = random.integers(0, len(bad), 40)
        bad[places] = random.integers(0, 256, len(places))
        try:
            samples = decoded(pieces(bad.tobytes(), 8), tmp_path)
        except (NoAudio, UnsupportedMedia, DecodeFailed):
            continue
        assert len(samples) / 16_000 < SECONDS + 61


def test_another_codec_is_refused(tmp_path: Path) -> None:
    """In a container that is taken."""
    data = write_tone(tmp_path / "tone.mkv", KIND["mkv"]).read_bytes()
    with pytest.raises((UnsupportedMedia, NoAudio)):
        decoded(pieces(data, 20), tmp_path)


def test_processor_time_is_bounded(tmp_path: Path) -> None:
    """A session that costs more than is allowed ends by an error."""
    data = container(tone(440, SECONDS, RATE), "webm")
    with pytest.raises(DecodeFailed, match="stopped") as stopped:
        decoded([data] * 1000, tmp_path, cpu_s=1)
    assert f"{os.CLD_KILLED}/" in str(stopped.value.__cause__)


def test_the_child_is_locked_in_before_it_has_a_byte(tmp_path: Path) -> None:
    """Its bounds and its descriptors, while it waits for the first: a pipe in, one out, its log."""
    with decoder(tmp_path) as started:
        assert not list(started.feed(b"O"))
        (child,) = children()
        status = Path(f"/proc/{child.pid}/status").read_text()
        rows = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
        limits = {line[:26].strip(): line[26:].split()[0] for line in rows}
        files = {link.name: str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()}
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status
    assert (limits["Max open files"], limits["Max processes"]) == ("0", "0")
    assert (limits["Max cpu time"], limits["Max address space"]) == (str(CPU_S), str(MEMORY_BYTES))
    log = files.pop("2")
    assert log.startswith(f"{tmp_path}/#")
    assert files.pop("0") == os.devnull and len(files) == 2 and len(set(files.values())) == 2
    assert all(target.startswith("pipe:") for target in files.values())


def test_a_child_that_dies_is_an_error(tmp_path: Path) -> None:
    """Whatever killed it; and the next session has another."""
    data = container(tone(440, 1, RATE), "webm")
    with pytest.raises(DecodeFailed, match="stopped"), decoder(tmp_path) as started:
        list(started.feed(data[:2000]))
        for child in children():
            child.send_signal(signal.SIGSEGV)
        list(started.feed(data[2000:]))
    assert len(decoded([data], tmp_path)) > 14_000


@pytest.mark.parametrize("number", LIES)
def test_a_child_that_lies_is_an_error(number: int, tmp_path: Path) -> None:
    """Sizes, counts and kinds that cannot be; and an end before the end."""
    with pytest.raises(DecodeFailed), stream_decoder(tmp_path, number, server=ForkServer(LIAR)) as started:
        list(started.feed(b"sound"))


@pytest.mark.parametrize("number", [SILENT, DRIPPING])
def test_a_child_that_says_nothing_is_not_waited_for(number: int, tmp_path: Path) -> None:
    """While it has bytes to read; a byte now and then is nothing."""
    with (
        pytest.raises(DecodeFailed, match="nothing"),
        stream_decoder(tmp_path, number, server=ForkServer(LIAR), patience_s=2) as started,
    ):
        list(started.feed(b"sound"))


def test_no_message_is_longer_than_is_read(tmp_path: Path) -> None:
    """Nor any sample lost between two."""
    with decoder(tmp_path) as started:
        blocks = list(started.feed(container(tone(440, 20, RATE), "ogg")))
    assert max(map(len, blocks)) <= wire.MAX_BODY_BYTES and len(blocks) > 10
