"""Kinds of recordings: what is taken goes through the sandboxed decoder and comes out with its sound."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from cli.recordings import MEDIA
from shared.errors import ParleyError, UnsupportedMedia
from tasks.sandbox.decoder.accepted import CODECS, CONTAINERS, RECORDINGS
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.files import handmade
from tests.unit.files.handmade import Samples
from tests.unit.intake.media import KINDS, VIDEO_RATE, Kind, read_wav, tone, write_tone

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = Path(__file__).parent / "samples"
"""Two seconds of a tone of 700 Hz, 0.7 s in TrueHD and MLP, by encoders that are not in PyAV: libgsm,
vo-amrwbenc, and FFmpeg's experimental ones."""

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
CLEAN = {"no_audio", "unsupported_media", "decode_failed"}
PITCH = 700
TONE = tone(PITCH, 2, 8_000)

OPENERS_OF_OTHER_FILES = {
    "hls", "dash", "concat", "concatf", "sdp", "rtsp", "sap", "rtp", "imf", "image2", "image2pipe", "mpjpeg", "vobsub",
    "webm_dash_manifest", "lavfi", "alsa", "v4l2", "x11grab", "fbdev", "tedcaptions", "ffmetadata",
}  # fmt: skip


def wav_header() -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8_000, 0, "NONE", ""))
    return file.getvalue()[:44]


MADE: dict[str, Callable[[], bytes]] = {
    "sph": lambda: handmade.sphere(TONE, 8_000),
    "shorten.sph": lambda: handmade.sphere(TONE, 8_000, "pcm,embedded-shorten-v2.00"),
    "shn": lambda: handmade.shorten(TONE, wav_header()),
    "dss": lambda: handmade.dss(TONE),
    "ra": lambda: handmade.real_audio(TONE),
    "dsf": lambda: handmade.dsf(tone(PITCH, 0.5, 8_820), 8_820),
    "pvf": lambda: handmade.pvf(TONE, 8_000),
    "avr": lambda: handmade.avr(TONE, 8_000),
    "8svx": lambda: handmade.eight_svx(TONE, 8_000),
    **{path.name: path.read_bytes for path in sorted(SAMPLES.iterdir())},
}
"""By ending, the recordings that PyAV cannot write."""


def converted(content: bytes, folder: Path) -> Samples:
    """What the stage makes of a file: samples at 16 kHz."""
    (folder / "in").write_bytes(content)
    convert(folder / "in", folder / "out.wav", LIMITS, lambda _: None)
    return read_wav(folder / "out.wav")


def likeness(samples: Samples, pitch: float = PITCH) -> float:
    """The highest correlation of the samples with a tone, whatever its phase."""
    angle = 2 * np.pi * pitch * np.arange(samples.size) / 16_000
    sound = samples.astype(float)
    projected = np.hypot(sound @ np.sin(angle), sound @ np.cos(angle))
    return float(projected / np.sqrt(sound @ sound * samples.size / 2))


@pytest.mark.parametrize("name", MADE)
def test_rare_kind(name: str, tmp_path: Path) -> None:
    """A recording of a kind that is seldom written comes out with its length and its sound."""
    samples = converted(MADE[name](), tmp_path)
    seconds = {"dsf": 0.5, "tone.thd": 0.7, "tone.mlp": 0.7}.get(name, 2.0)
    assert samples.size / 16_000 == pytest.approx(seconds, abs=0.06)
    assert likeness(samples) > 0.95


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.suffix)
def test_written_kind(kind: Kind, tmp_path: Path) -> None:
    """A tone in any container is still that tone."""
    source = write_tone(tmp_path / "tone", kind, frequency=PITCH, seconds=2)
    assert likeness(converted(source.read_bytes(), tmp_path)[800:-1_600]) > 0.95


@pytest.mark.parametrize(("muxer", "codec"), [("dv", "dvvideo"), ("gxf", "mpeg2video")])
def test_film_of_a_studio(muxer: str, codec: str, tmp_path: Path) -> None:
    """DV and GXF, which hold only pictures of television's size, give their sound."""
    source = tmp_path / "film"
    with av.open(str(source), "w", format=muxer) as container:
        picture = container.add_stream(codec, rate=VIDEO_RATE, width=720, height=576)
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=48_000, layout="stereo" if muxer == "dv" else "mono")
        channels = 2 if muxer == "dv" else 1
        pcm = np.repeat(tone(PITCH, 1, 48_000), channels)
        for index in range(VIDEO_RATE):
            frame = av.VideoFrame.from_ndarray(np.full((576, 720, 3), 99, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, VIDEO_RATE)
            container.mux(picture.encode(frame))
            block = pcm[index * 1920 * channels : (index + 1) * 1920 * channels]
            part = av.AudioFrame.from_ndarray(block[np.newaxis], format="s16", layout=sound.layout.name)
            part.sample_rate, part.pts, part.time_base = 48_000, index * 1920, Fraction(1, 48_000)
            container.mux(sound.encode(part))
        container.mux([*picture.encode(None), *sound.encode(None)])
    samples = converted(source.read_bytes(), tmp_path)
    assert samples.size / 16_000 == pytest.approx(1, abs=0.4)  # GXF fills its last packet
    assert likeness(samples[:15_000]) > 0.95


@pytest.mark.parametrize(
    "content", [handmade.qcp(handmade.qcelp_frames(100)), handmade.dss_standard(2)], ids=["qcp", "standard dss"]
)
def test_kind_without_an_encoder(content: bytes, tmp_path: Path) -> None:
    """Frames of noise, of a codec for which there is no encoder at all, come out in their length and are not silent."""
    samples = converted(content, tmp_path)
    assert samples.size / 16_000 == pytest.approx(2, abs=0.06)
    assert np.abs(samples).max() > 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (handmade.sphere(TONE, 8_000, "ulaw,embedded-shorten-v2.00"), "SPHERE"),
        (handmade.sphere(TONE, 8_000, "pcm,embedded-wavpack-v1"), "SPHERE"),
        (b"\x03ds2" + bytes(2_000), "DS2"),
        (b"\0\0\0\x20ftypaax " + bytes(2_000), "audio book"),
    ],
    ids=["mu-law in shorten", "wavpack in sphere", "ds2", "audible"],
)
def test_kind_that_nobody_decodes(content: bytes, says: str, tmp_path: Path) -> None:
    """A recording that FFmpeg cannot decode is refused by its name, with advice."""
    with pytest.raises(UnsupportedMedia, match=f"{says}.*Convert it to WAV"):
        converted(content, tmp_path)


@pytest.mark.parametrize("name", [*MADE, *(kind.suffix for kind in KINDS)])
def test_damaged_file_of_every_kind(name: str, tmp_path: Path) -> None:
    """A file with wrong bytes, in its head above all, or without its end is a recording or a clean refusal."""
    kinds = {kind.suffix: kind for kind in KINDS}
    whole = MADE[name]() if name in MADE else write_tone(tmp_path / "tone", kinds[name], seconds=2).read_bytes()
    rng = np.random.default_rng(sum(name.encode()))
    for reach in (64, 1_024, len(whole)):
        data = bytearray(whole)
        for position in rng.integers(0, min(reach, len(data)), max(2, min(reach, len(data)) // 100)):
            data[position] = rng.integers(256)
        content = bytes(data[: rng.integers(len(data) // 4, len(data))])
        try:
            assert converted(content, tmp_path).size > 0
        except ParleyError as refusal:
            assert refusal.code in CLEAN
            assert "/" not in refusal.message


def test_ffmpeg_has_what_is_named() -> None:
    """Every demuxer and decoder of the lists exists and is one of sound or of containers; none opens other files."""
    for name in CONTAINERS:
        assert av.ContainerFormat(name, "r").is_input
    assert [name for name in CODECS if av.Codec(name, "r").type != "audio"] == []
    assert OPENERS_OF_OTHER_FILES.isdisjoint(CONTAINERS)


def test_document_and_command_line_name_the_same_kinds() -> None:
    """docs/formats.md lists what the decoder takes, and a folder is searched for the same endings."""
    text = (ROOT / "docs/formats.md").read_text()
    rows = re.findall(r"^\| ([^|`]+) \| ((?:`\.[\w-]+`(?:, )?)+) \|$", text, re.MULTILINE)
    assert rows == [(name, ", ".join(f"`{suffix}`" for suffix in suffixes)) for name, _, suffixes in RECORDINGS]
    assert {suffix for _, _, suffixes in RECORDINGS for suffix in suffixes} == MEDIA
