"""convert of files with several audio tracks: which one is decoded, and what is said of the others."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from shared.errors import MediaTooLong, NoSuchTrack
from shared.options import JobOptions
from shared.stages import plan
from tasks.stages.convert import ConvertLimits, convert
from tests.unit.intake.media import KIND, VIDEO_RATE, dominant_frequency, read_wav, tone, write_tone

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
RATE = 48_000
SECONDS = 3.0
Sound = np.ndarray[tuple[int, ...], np.dtype[np.int16]]

SILENCE: Sound = np.zeros(round(SECONDS * RATE), np.int16)
HISS: Sound = np.random.default_rng(0).normal(0, 8, SILENCE.size).astype(np.int16)
CLICK: Sound = np.concatenate([tone(3_000, 0.01, RATE), SILENCE[480:]])
LATE: Sound = np.concatenate([SILENCE[: 2 * RATE], tone(500, 1, RATE)])


def hum(frequency: float, loudness: float = 1.0) -> Sound:
    """A tone as long as the silence."""
    return (tone(frequency, SECONDS, RATE) * loudness).astype(np.int16)


def write_tracks(path: Path, tracks: list[Sound], *, muxer: str, codec: str, video: bool = False) -> Path:
    """A file with these audio tracks, and a picture if wanted."""
    with av.open(str(path), "w", format=muxer) as container:
        picture = container.add_stream("mpeg4", rate=VIDEO_RATE, width=64, height=48) if video else None
        streams = [container.add_stream(codec, rate=RATE, layout="mono") for _ in tracks]
        if picture is not None:
            picture.pix_fmt = "yuv420p"
            for index in range(round(SECONDS * VIDEO_RATE)):
                image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
                image.pts, image.time_base = index, Fraction(1, VIDEO_RATE)
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def frequency(path: Path) -> float:
    return round(dominant_frequency(read_wav(path)), -1)


@pytest.mark.parametrize(
    ("tracks", "hertz", "message"),
    [
        ([SILENCE, hum(500)], 500, "2 audio tracks, and this is track 2. Not in it: 1 (silent)."),
        ([SILENCE, SILENCE, hum(500)], 500, "3 audio tracks, and this is track 3. Not in it: 1 (silent), 2 (silent)."),
        ([HISS, hum(500)], 500, "this is track 2. Not in it: 1 (silent)."),
        ([CLICK, hum(500), hum(700)], 500, "this is track 2. Not in it: 1 (silent), 3."),
        ([hum(500), hum(700)], 500, "this is track 1. Not in it: 2."),
        ([LATE, hum(700)], 500, "this is track 1. Not in it: 2."),
        ([hum(500, 0.001), HISS // 8], 500, "this is track 1."),
    ],
)
@pytest.mark.parametrize(
    ("muxer", "codec", "video"),
    [("matroska", "aac", True), ("matroska", "libopus", False), ("mp4", "aac", True)],
    ids=["mkv", "mka", "mp4"],
)
def test_the_first_track_with_sound(
    tracks: list[Sound], hertz: int, message: str, muxer: str, codec: str, video: bool, tmp_path: Path
) -> None:
    """A silent track, one that hisses or clicks, is passed over; one that begins late or is the least faint is not."""
    source = write_tracks(tmp_path / "in", tracks, muxer=muxer, codec=codec, video=video)
    conversion = convert(source, tmp_path / "out.wav", LIMITS, lambda share: None)
    assert frequency(tmp_path / "out.wav") == hertz
    (warning,) = conversion.warnings
    assert warning.code == "other_tracks"
    assert message in warning.message


@pytest.mark.parametrize(("muxer", "codec"), [("mp4", "aac"), ("mpegts", "mp2"), ("mov", "pcm_s16le")])
def test_a_track_is_chosen_by_its_number(muxer: str, codec: str, tmp_path: Path) -> None:
    """Each number is that track, also a silent one; there is nothing to warn of then."""
    source = write_tracks(tmp_path / "in", [hum(500), hum(700), SILENCE], muxer=muxer, codec=codec)
    for number, expected in ((1, 500), (2, 700)):
        conversion = convert(source, tmp_path / "out.wav", LIMITS, lambda share: None, track=number)
        assert (frequency(tmp_path / "out.wav"), conversion.warnings) == (expected, ())
    convert(source, tmp_path / "out.wav", LIMITS, lambda share: None, track=3)
    assert np.abs(read_wav(tmp_path / "out.wav")).max() < 3


def test_a_track_that_is_not_there(tmp_path: Path) -> None:
    """A number beyond the last track is an error that says how many there are."""
    source = write_tracks(tmp_path / "in", [hum(500), hum(700)], muxer="mp4", codec="aac")
    with pytest.raises(NoSuchTrack, match="has 2 audio tracks; there is no track 3"):
        convert(source, tmp_path / "out.wav", LIMITS, lambda share: None, track=3)
    single = write_tone(tmp_path / "tone.mp3", KIND["mp3"])
    with pytest.raises(NoSuchTrack, match="has one audio track; there is no track 2"):
        convert(single, tmp_path / "out.wav", LIMITS, lambda share: None, track=2)
    assert convert(single, tmp_path / "out.wav", LIMITS, lambda share: None, track=1).warnings == ()


def test_all_tracks_are_mixed(tmp_path: Path) -> None:
    """Each track is in the mix, a longer one to its end, and the header has the length of the whole."""
    longer = np.concatenate([hum(900), hum(900)])
    source = write_tracks(tmp_path / "in", [hum(500), longer, hum(700)], muxer="matroska", codec="pcm_s16le")
    shares: list[float] = []
    conversion = convert(source, tmp_path / "out.wav", LIMITS, shares.append, track="all")
    samples = read_wav(tmp_path / "out.wav").astype(float)
    spectrum = np.abs(np.fft.rfft(samples[: round(SECONDS * 16_000)]))
    loud = set(np.flatnonzero(spectrum > spectrum.max() / 2) / SECONDS)
    assert (conversion.duration, samples.size, conversion.warnings) == (6, 96_000, ())
    assert loud == {500.0, 700.0, 900.0}
    assert round(dominant_frequency(samples[60_000:]), -1) == 900
    assert shares == sorted(shares)


def test_all_of_one_track_is_that_track(tmp_path: Path) -> None:
    """A recording with one track is what it was."""
    source = write_tone(tmp_path / "tone.flac", KIND["flac"])
    for track, name in ((None, "one.wav"), ("all", "all.wav")):
        convert(source, tmp_path / name, LIMITS, lambda share: None, track=track)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "all.wav").read_bytes()


def test_a_mix_of_tracks_is_no_longer_than_a_recording_may_be(tmp_path: Path) -> None:
    """The limit counts once for all tracks together."""
    source = write_tracks(tmp_path / "in", [hum(500), hum(700)], muxer="matroska", codec="pcm_s16le")
    assert convert(source, tmp_path / "out.wav", ConvertLimits(3, 60, 300 * 1024**2), lambda _: None, track="all")
    with pytest.raises(MediaTooLong):
        convert(source, tmp_path / "out.wav", ConvertLimits(2.9, 60, 300 * 1024**2), lambda _: None, track="all")


@pytest.mark.parametrize("value", ["0", "-1", "100", "1.5", "first", "ALL", "²", True, [1]])
def test_what_is_no_track(value: object) -> None:
    """Anything but a number from 1 to 99 and `all` is refused."""
    with pytest.raises(ValueError, match="a number from 1 to 99, or all"):
        JobOptions.model_validate({"track": value})


def test_a_track_is_part_of_the_answers_name() -> None:
    """Another track is another conversion and another transcript; texts and numbers are the same option."""
    hashes = {
        track: plan("ab" * 32, JobOptions.model_validate({"track": track}).model_dump())
        for track in (None, "all", 1, 2)
    }
    assert len({each["convert"] for each in hashes.values()}) == len({each["store"] for each in hashes.values()}) == 4
    assert JobOptions.model_validate({"track": "2"}) == JobOptions(track=2)


def test_all_tracks_have_no_channels_to_keep_apart() -> None:
    """The two options exclude each other."""
    with pytest.raises(ValueError, match="channels=split excludes track=all"):
        JobOptions(channels="split", track="all")
