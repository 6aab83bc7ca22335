"""A stereo call from end to end: a file with two voices, converted, recognised channel by channel, merged, rendered."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from api.transcripts.formats import render
from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.transcript import SAMPLE_RATE, Segment, Transcript, Transcription
from tasks.asr.channels import transcribe_channels
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.vad import Samples
from tasks.engines.faster_whisper import FasterWhisper
from tasks.stages.convert import ConvertLimits, convert
from tasks.stages.merge import merge
from tests.model.test_transcribe import JFK

LIMITS = ConvertLimits(max_duration_s=3600, timeout_s=60, memory_bytes=300 * 1024**2)
READING = "librivox-0870"
READING_AT_S = 6.0
"""The reading on the right begins while the speech on the left, 11 s long, goes on."""


@pytest.fixture(scope="module")
def left() -> Samples:
    samples: Samples = decode_audio(str(fixture("jfk.wav")), sampling_rate=SAMPLE_RATE)
    return samples


@pytest.fixture(scope="module")
def right() -> Samples:
    samples: Samples = decode_audio(str(fixture(f"{READING}.wav")), sampling_rate=SAMPLE_RATE)
    return np.concatenate([np.zeros(round(READING_AT_S * SAMPLE_RATE), np.float32), samples])


def call(path: Path, *channels: Samples) -> list[Callable[[float, float], Samples]]:
    """Write `channels` into a file, convert it as a job does, and read the converted file channel by channel."""
    length = max(map(len, channels))
    samples = np.stack([np.pad(channel, (0, length - len(channel))) for channel in channels], axis=1)
    with wave.open(str(path / "call.wav"), "wb") as file:
        file.setparams((len(channels), 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    conversion = convert(path / "call.wav", path / "audio.wav", LIMITS, lambda _: None, split=True)
    assert (conversion.channels, conversion.duration) == (len(channels), length / SAMPLE_RATE)
    data = np.frombuffer((path / "audio.wav").read_bytes()[44:], "<i2").reshape(-1, len(channels)) / np.float32(32768)

    def reader(number: int) -> Callable[[float, float], Samples]:
        return lambda start, end: data[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE), number].astype(np.float32)

    return [reader(number) for number in range(len(channels))]


def recognise(reads: list[Callable[[float, float], Samples]], duration: float, model: FasterWhisper) -> Transcription:
    return transcribe_channels(reads, duration, TranscribeOptions("base", "en"), model, lambda _: None)


def text_of(transcript: Transcript, speaker: str) -> str:
    return " ".join(segment.text for segment in transcript.segments if segment.speaker == speaker)


def codes(transcript: Transcription | Transcript) -> list[str]:
    return [warning.code for warning in transcript.warnings]


def test_two_voices_at_once_are_both_understood(
    base: FasterWhisper, left: Samples, right: Samples, tmp_path: Path
) -> None:
    """Each side's words are its own speaker's, at their times, in order, and every format tells them apart."""
    shares: list[float] = []
    given_out: list[Segment] = []
    reads, duration = call(tmp_path, left, right), len(right) / SAMPLE_RATE
    options = TranscribeOptions("base")
    result = transcribe_channels(reads, duration, options, base, shares.append, finished=given_out.extend)
    transcript = merge([result], None)
    assert (transcript.language, transcript.warnings) == ("en", ())
    assert word_error_rate(JFK, text_of(transcript, "spk_1")) <= 0.1
    assert word_error_rate(fixture(f"{READING}.txt").read_text(), text_of(transcript, "spk_2")) <= 0.15
    starts = [segment.start for segment in transcript.segments]
    assert (starts, [segment.id for segment in transcript.segments]) == (sorted(starts), list(range(len(starts))))
    assert given_out == list(transcript.segments)
    assert min(s.start for s in transcript.segments if s.speaker == "spk_2") == pytest.approx(READING_AT_S, abs=1)
    assert max(s.end for s in transcript.segments if s.speaker == "spk_1") == pytest.approx(11, abs=1)
    assert {word.speaker for segment in transcript.segments for word in segment.words} == {"spk_1", "spk_2"}
    assert (shares, shares[-1]) == (sorted(shares), 1.0)

    assert [speaker.id for speaker in transcript.speakers] == ["spk_1", "spk_2"]
    assert transcript.quality is not None
    assert transcript.quality.overlap_seconds == pytest.approx(11 - READING_AT_S, abs=2)
    assert transcript.quality.dropped == ()
    text = render(transcript, "text")
    assert text.startswith("spk_1: And so my fellow Americans")
    assert "\n\nspk_2: " in text
    assert {line.split()[7] for line in render(transcript, "rttm").splitlines()} == {"spk_1", "spk_2"}
    assert "<v spk_2>" in render(transcript, "vtt")
    assert "spk_2: " in render(transcript, "srt")
    assert all(row.endswith(("spk_1", "spk_2", "speaker")) for row in render(transcript, "tsv").splitlines())


def test_the_same_sound_twice_is_recognised_once(base: FasterWhisper, left: Samples, tmp_path: Path) -> None:
    """A stereo file with one voice in the middle has one speaker and says so."""
    result = recognise(call(tmp_path, left, left), 11.0, base)
    assert codes(result) == ["identical_channels"]
    assert {segment.speaker for segment in result.segments} == {"spk_1"}
    assert word_error_rate(JFK, " ".join(segment.text for segment in result.segments)) <= 0.1


def test_a_single_channel_is_one_speaker_and_a_warning(base: FasterWhisper, left: Samples, tmp_path: Path) -> None:
    """A mono file is no error."""
    transcript = merge([recognise(call(tmp_path, left), 11.0, base)], None)
    assert (codes(transcript), [speaker.id for speaker in transcript.speakers]) == (["single_channel"], ["spk_1"])
    assert word_error_rate(JFK, transcript.text) <= 0.1


def test_a_voice_that_leaks_is_not_said_twice(
    base: FasterWhisper, left: Samples, right: Samples, tmp_path: Path
) -> None:
    """The left voice, at -20 dB on the right channel too, is left out there, and what is left out is named."""
    leak = 0.1 * np.pad(left, (0, len(right) + 6 * SAMPLE_RATE - len(left)))
    late = np.pad(right, (6 * SAMPLE_RATE, 0))  # both sides talk in turn
    transcript = merge([recognise(call(tmp_path, left, late + leak), len(late) / SAMPLE_RATE, base)], None)
    assert set(codes(transcript)) == {"crosstalk"}
    assert word_error_rate(JFK, text_of(transcript, "spk_1")) <= 0.1
    assert word_error_rate(fixture(f"{READING}.txt").read_text(), text_of(transcript, "spk_2")) <= 0.15
    assert transcript.quality is not None
    assert transcript.quality.overlap_seconds == pytest.approx(0, abs=1)


def test_silent_channels_are_an_empty_transcript_that_says_so(base: FasterWhisper, tmp_path: Path) -> None:
    """Two channels of silence have neither segments nor speakers."""
    silence = np.zeros(3 * SAMPLE_RATE, np.float32)
    nothing = merge([recognise(call(tmp_path, silence, silence), 3.0, base)], None)
    assert (nothing.segments, nothing.speakers, codes(nothing)) == ((), (), ["no_speech"])


def test_a_silent_side_is_no_speaker(base: FasterWhisper, left: Samples, tmp_path: Path) -> None:
    """Whoever speaks on the right is spk_2, though nobody speaks on the left."""
    transcript = merge([recognise(call(tmp_path, np.zeros_like(left), left), 11.0, base)], None)
    assert (codes(transcript), [speaker.id for speaker in transcript.speakers]) == ([], ["spk_2"])
    assert word_error_rate(JFK, transcript.text) <= 0.1
