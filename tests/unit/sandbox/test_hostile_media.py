"""Files that attack the decoder: each is refused with a clean code, and nobody else's bytes are read.

Where a file is meant to make FFmpeg read something else, the test first shows that FFmpeg left to itself does.
"""

from __future__ import annotations

import gzip
import http.server
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import threading
import wave
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from shared.errors import MediaTooLong, NoAudio, ParleyError, UnsupportedMedia
from tasks.sandbox.lockdown import landlock_abi
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import (
    KIND,
    VIDEO_RATE,
    decoders,
    dominant_frequency,
    fork_servers,
    read_wav,
    write_long_silence,
    write_tone,
)

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)

SECRET_HZ = 1_000


@dataclass
class Canary:
    """A web server on loopback that serves media to whoever asks, and counts."""

    url: str
    hits: list[str] = field(default_factory=list)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another tenant's recording, beside the folder that the hostile file lies in."""
    (tmp_path / "other").mkdir()
    return write_tone(tmp_path / "other" / "secret.ts", KIND["ts"], frequency=SECRET_HZ)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the hostile file."""
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


@pytest.fixture
def canary(secret: Path) -> Iterator[Canary]:
    """A running canary whose every page is the secret."""
    hits: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            body = secret.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Canary(f"http://127.0.0.1:{server.server_port}/secret.ts", hits)
        server.shutdown()


def refusal(source: Path) -> ParleyError:
    """The error that convert answers with; it leaves no file and its message names no path."""
    before = set(source.parent.iterdir())
    with pytest.raises(ParleyError) as failure:
        convert(source, source.parent / "out.wav", LIMITS, lambda share: None)
    assert set(source.parent.iterdir()) == before
    assert str(source.parent) not in failure.value.message
    assert "Errno" not in failure.value.message
    return failure.value


def hls(url: object) -> str:
    """An HLS playlist of one piece."""
    return f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{url}\n#EXT-X-ENDLIST\n"


def ffmpeg_reads(source: Path, **options: str) -> int:
    """Samples that FFmpeg decodes from `source` when nobody holds it back."""
    with av.open(str(source), options=options) as container:
        return sum(frame.samples for packet in container.demux(audio=0) for frame in packet.decode())


@pytest.mark.parametrize("reference", ["{path}", "file://{path}", "../other/secret.ts"])
def test_hls_playlist(reference: str, secret: Path, folder: Path) -> None:
    """An m3u8 that names another file, absolute, as a URL or relative, is unsupported_media."""
    source = folder / "meeting.m3u8"
    source.write_text(hls(reference.format(path=secret)))
    assert ffmpeg_reads(source) > 0
    assert isinstance(refusal(source), UnsupportedMedia)


@pytest.mark.parametrize("name", ["meeting.m3u8", "meeting.mp3", "meeting"])
def test_playlist_under_any_name(name: str, secret: Path, folder: Path) -> None:
    """A playlist is told by its content, whatever its extension says."""
    (folder / name).write_text(hls(secret))
    assert isinstance(refusal(folder / name), UnsupportedMedia)


@pytest.mark.parametrize("name", ["meeting.ffconcat", "meeting.wav", "meeting.mp3", "meeting"])
def test_concat_script_under_any_name(name: str, secret: Path, folder: Path) -> None:
    """A concat script that names a sibling file is unsupported_media under any extension."""
    sibling = folder / "sibling.ts"
    sibling.write_bytes(secret.read_bytes())
    (folder / name).write_text("ffconcat version 1.0\nfile sibling.ts\n")
    assert ffmpeg_reads(folder / name) > 0
    assert isinstance(refusal(folder / name), UnsupportedMedia)


def test_playlist_with_a_url(canary: Canary, folder: Path) -> None:
    """A playlist that names an internal URL causes no request at all."""
    source = folder / "meeting.m3u8"
    source.write_text(hls(canary.url))
    assert ffmpeg_reads(source, protocol_whitelist="file,http,tcp") > 0
    assert canary.hits
    canary.hits.clear()
    assert isinstance(refusal(source), UnsupportedMedia)
    (folder / "meeting.mp3").write_text(f"ffconcat version 1.0\nfile {canary.url}\n")
    assert isinstance(refusal(folder / "meeting.mp3"), UnsupportedMedia)
    assert canary.hits == []


@pytest.mark.parametrize(
    "text",
    [
        "\n#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{path}\n",
        "[playlist]\nFile1={path}\nNumberOfEntries=1\n",
        '<?xml version="1.0"?><MPD><Period><BaseURL>{path}</BaseURL></Period></MPD>',
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "{path}\n",
        "file '{path}'\n",
        "concat:{path}|{path}\n",
        "subfile,,start,0,end,0,,:{path}\n",
    ],
    ids=["m3u8 after a blank line", "pls", "dash", "sdp", "plain m3u", "bare concat", "concat url", "subfile url"],
)
def test_other_references(text: str, secret: Path, folder: Path) -> None:
    """No other text that names media is followed, however it is spelt."""
    source = folder / "meeting.mp3"
    source.write_text(text.format(path=secret))
    assert isinstance(refusal(source), UnsupportedMedia | NoAudio)


def test_movie_with_sound_in_another_file(secret: Path, folder: Path) -> None:
    """A QuickTime movie whose data reference points at another file never brings that file's sound."""
    source, other = folder / "movie.mov", folder.parent / "other" / "data.mov"
    write_tone(other, KIND["mov"], frequency=SECRET_HZ)
    source.write_bytes(point_elsewhere(other.read_bytes(), other))
    assert ffmpeg_reads(source, enable_drefs="1", use_absolute_path="1") > 0
    assert isinstance(refusal(source), NoAudio)


def point_elsewhere(movie: bytes, target: Path) -> bytes:
    """`movie` with its data references turned into QuickTime aliases of `target` and its own samples blanked."""
    name = str(target).encode()
    record = struct.pack(">hH", 2, len(name) + len(name) % 2) + name + bytes(len(name) % 2) + struct.pack(">hH", -1, 0)
    alias = bytes(10) + bytes([0]) + bytes(27) + bytes(12) + bytes([0]) + bytes(63) + bytes(16) + bytes(20) + record
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias

    def rebuild(data: bytes) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                body = rebuild(body)
            elif kind == b"dref":
                body = body[:8] + entry
            elif kind == b"mdat":
                body = bytes(len(body))
            out += struct.pack(">I4s", 8 + len(body), kind) + body
            at += size
        return out

    return rebuild(movie)


def test_secret_next_to_a_real_recording(secret: Path, folder: Path) -> None:
    """A recording followed by a playlist yields the recording's own sound and nothing else."""
    source = write_tone(folder / "meeting.mp3", KIND["mp3"], frequency=440)
    source.write_bytes(source.read_bytes() + hls(secret).encode() * 50)
    conversion = convert(source, folder / "out.wav", LIMITS, lambda share: None)
    samples = read_wav(folder / "out.wav")
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    at_secret = spectrum[round(SECRET_HZ * samples.size / 16_000)]
    assert conversion.duration == pytest.approx(3, abs=0.1)
    assert dominant_frequency(samples) == pytest.approx(440, abs=2)
    assert at_secret < spectrum.max() / 100


@pytest.mark.parametrize("rate", [1, 100, 3_999, 400_000, 2**31 - 1])
def test_absurd_sample_rate(rate: int, folder: Path) -> None:
    """A WAV that claims a sample rate outside 4..384 kHz is unsupported_media, at once and in little memory."""
    source = folder / "slow.wav"
    samples = bytes(32_000)
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(samples),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        rate,
        min(rate * 2, 2**32 - 1),
        2,
        16,
        b"data",
        len(samples),
    )
    source.write_bytes(header + samples)
    assert isinstance(refusal(source), UnsupportedMedia)


def test_hours_of_silence_in_a_small_file(folder: Path) -> None:
    """Ten hours in some megabytes end as media_too_long, inside an address space of 300 MB."""
    source = write_long_silence(folder / "silence.opus", KIND["opus"], hours=0.5)
    source.write_bytes(source.read_bytes() * 20)  # a chained Ogg
    assert source.stat().st_size < 20_000_000
    assert isinstance(refusal(source), MediaTooLong)


def test_claimed_duration_is_not_believed(folder: Path) -> None:
    """A header that claims days of sound changes nothing: the samples are counted."""
    source = write_tone(folder / "claims.flac", KIND["flac"])
    data = bytearray(source.read_bytes())
    data[21] |= 0x0F  # STREAMINFO: the upper 4 of the 36 bits that hold the number of samples
    data[22:26] = b"\xff\xff\xff\xff"
    source.write_bytes(data)
    assert convert(source, folder / "out.wav", LIMITS, lambda share: None).duration == pytest.approx(3, abs=0.1)
    source = write_tone(folder / "claims.wav", KIND["wav"])
    data = bytearray(source.read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    start = data.index(b"data") + 4
    data[start : start + 4] = b"\xff\xff\xff\x7f"
    source.write_bytes(data)
    assert convert(source, folder / "out.wav", LIMITS, lambda share: None).duration == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "prefix", [b"", b"ID3\x04\x00\x00\x00\x00\x00\x00", b"\xff\xfb\x90\x00", b"RIFF", b"OggS\x00\x02"]
)
def test_random_bytes(prefix: bytes, seed: int, folder: Path) -> None:
    """Random bytes named .mp3, with or without a promising start, are no_audio and no empty success."""
    source = folder / "noise.mp3"
    source.write_bytes(prefix + random.Random(seed).randbytes(100_000))
    assert isinstance(refusal(source), NoAudio)


def archives() -> dict[str, bytes]:
    """A real recording packed in each of the usual ways."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("meeting.wav", sound.getvalue())
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        entry = tarfile.TarInfo("meeting.wav")
        entry.size = len(sound.getvalue())
        tar.addfile(entry, io.BytesIO(sound.getvalue()))
    return {"zip": zipped.getvalue(), "tar": tarred.getvalue(), "gzip": gzip.compress(sound.getvalue())}


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
def test_archive_named_mp3(kind: str, folder: Path) -> None:
    """An archive is unsupported_media and the message says what it is, though a recording lies in it unpacked."""
    source = folder / "meeting.mp3"
    source.write_bytes(archives()[kind])
    error = refusal(source)
    assert isinstance(error, UnsupportedMedia)
    assert kind in error.message.lower()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", NoAudio),
        (b"\x00" * 100_000, NoAudio),
        (b"Good morning, everybody.\n" * 200, NoAudio),
        (b'{"a": 1}', NoAudio),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n" * 20, UnsupportedMedia),
        (b"%PDF-1.7\n" + b"x" * 1_000, UnsupportedMedia),
    ],
    ids=["zero bytes", "zeros", "text", "json", "subtitles", "pdf"],
)
def test_not_a_recording(content: bytes, expected: type[ParleyError], folder: Path) -> None:
    """What is recognised as something else is unsupported_media; what is not recognised at all is no_audio."""
    (folder / "file.mp3").write_bytes(content)
    assert isinstance(refusal(folder / "file.mp3"), expected)


@pytest.mark.parametrize(("muxer", "codec"), [("image2", "png"), ("image2", "mjpeg"), ("gif", "gif")])
def test_picture(muxer: str, codec: str, folder: Path) -> None:
    """A picture named .mp3 is unsupported_media."""
    drawn = folder / "picture.bin"
    with av.open(str(drawn), "w", format=muxer, options={"update": "1"} if muxer == "image2" else {}) as container:
        stream = container.add_stream(codec, rate=VIDEO_RATE, width=32, height=32)
        stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p", "gif": "rgb8"}[codec]
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    source = drawn.rename(folder / "picture.mp3")
    assert isinstance(refusal(source), UnsupportedMedia)


def test_environment_of_the_decoder(folder: Path) -> None:
    """The decoder's environment is empty, so no secret of the worker can leak out of it."""
    source = write_long_silence(folder / "silence.opus", KIND["opus"], hours=0.5)
    environments: list[bytes] = []

    def look(share: float) -> None:
        for process in (*fork_servers(), *decoders()):
            # it has ended and nobody has waited for it yet; or it is in its jail, into which only root may look: it has
            # what its server has
            with suppress(ProcessLookupError, PermissionError):
                environments.append(Path(f"/proc/{process.pid}/environ").read_bytes())

    assert os.environ
    convert(source, folder / "out.wav", LIMITS, look)
    assert environments
    assert set(environments) == {b""}


BREAKOUT = """
import os, resource, socket, sys
sys.path.append(sys.argv[1])
from tasks.sandbox.lockdown import close_the_door, set_limits

set_limits(os.getppid(), cpu_s=10, memory_bytes=1 << 30, file_bytes=1 << 20)
close_the_door()
for name, attempt in {
    "open": lambda: os.open(sys.argv[2], os.O_RDONLY),
    "raise": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "chroot": lambda: os.chroot("/"),
    "socket": lambda: socket.socket(),
    "delete": lambda: os.unlink(sys.argv[2]),
    "rename": lambda: os.rename(sys.argv[2], sys.argv[2] + ".gone"),
    "directory": lambda: os.mkdir(sys.argv[2] + ".dir"),
    "memory": lambda: bytearray(2 << 30),
}.items():
    try:
        attempt()
    except (OSError, ValueError, MemoryError):
        print(name)
"""


def test_sandbox(secret: Path) -> None:
    """Code that runs in the sandbox, even as root, opens nothing; where there is Landlock it deletes nothing either."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-I", "-c", BREAKOUT, str(root), str(secret)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=300, env={})
    by_landlock = {"delete", "rename", "directory"} if landlock_abi() >= 1 else set()
    assert set(outcome.stdout.split()) >= {"open", "raise", "chroot", "socket", "memory"} | by_landlock, outcome.stderr
