"""Two languages in one recording, with real weights."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.transcript import SAMPLE_RATE, Segment, Shard, Transcription
from tasks.asr.channels import transcribe_channels
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.language import Language
from tasks.asr.vad import Samples
from tasks.engines.faster_whisper import FasterWhisper
from tasks.stages.transcribe import transcribe
from tests.model.test_transcribe import JFK, LIBRIVOX, ignore, reader, recording

FRENCH = fixture("french.txt").read_text().strip()


@pytest.fixture(scope="module")
def english() -> Samples:
    """27 s of reading."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    return np.concatenate([part for name in LIBRIVOX for part in (recording(f"librivox-{name}.wav"), pause)])


@pytest.fixture(scope="module")
def english_text() -> str:
    return " ".join(fixture(f"librivox-{name}.txt").read_text().strip() for name in LIBRIVOX)


@pytest.fixture(scope="module")
def french() -> Samples:
    """13 s: one sentence four times."""
    return np.tile(np.concatenate([recording("french.wav"), np.zeros(SAMPLE_RATE // 2, np.float32)]), 4)


def recognise(samples: Samples, model: FasterWhisper, **more: object) -> Transcription:
    options = TranscribeOptions("base", **more)  # type: ignore[arg-type]
    return transcribe(reader(samples), len(samples) / SAMPLE_RATE, options, model, ignore)


def text_between(result: Transcription, start: float, end: float) -> str:
    return " ".join(segment.text for segment in result.segments if start <= (segment.start + segment.end) / 2 < end)


def mixed(result: Transcription) -> list[tuple[float, float]]:
    return [
        (warning.start, warning.end)
        for warning in result.warnings
        if warning.code == "languages_mixed" and warning.start is not None and warning.end is not None
    ]


def test_each_passage_is_recognised_in_its_language(
    base: FasterWhisper, english: Samples, english_text: str, french: Samples
) -> None:
    """French between English is French text, told of with its place; progress and segments come in order."""
    samples = np.concatenate([english, french, recording("jfk.wav")])
    first, last = len(english) / SAMPLE_RATE, (len(english) + len(french)) / SAMPLE_RATE
    shares: list[float] = []
    finished: list[Segment] = []
    result = transcribe(
        reader(samples),
        len(samples) / SAMPLE_RATE,
        TranscribeOptions("base"),
        base,
        shares.append,
        finished=finished.extend,
    )
    assert result.language == "en"
    assert (
        word_error_rate(f"{english_text} {JFK}", f"{text_between(result, 0, first)} {text_between(result, last, 99)}")
        <= 0.15
    )
    assert word_error_rate(FRENCH, " ".join(text_between(result, first, last).split()[: len(FRENCH.split())])) <= 0.5
    ((start, end),) = mixed(result)
    assert abs(start - first) < 1
    assert abs(end - last) < 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert tuple(finished) == result.segments


def test_a_recording_in_one_language_is_as_if_nobody_had_looked(base: FasterWhisper, english: Samples) -> None:
    """Word for word and time for time what comes out where the language is given and nothing is looked for."""
    looked, plain = recognise(english, base), recognise(english, base, language="en")
    assert (looked.language, looked.segments, looked.warnings) == ("en", plain.segments, plain.warnings)


def test_the_language_is_that_of_most_speech(base: FasterWhisper, french: Samples) -> None:
    """Also where the one chunk that is voted on, in the middle, is in the other."""
    jfk = recording("jfk.wav")
    result = recognise(np.concatenate([jfk, french[: 7 * SAMPLE_RATE], jfk]), base)
    assert result.language == "en"
    assert word_error_rate(JFK, text_between(result, 0, 11)) <= 0.2


def test_a_shard_in_another_language_than_the_recording(base: FasterWhisper, french: Samples) -> None:
    """What all shards agreed on stays the language of the recording; what this one says is in its own."""
    place = Shard(600.0, 600 + len(french) / SAMPLE_RATE, 600.0, 600 + len(french) / SAMPLE_RATE)
    result = transcribe(
        reader(french, 600.0),
        3600.0,
        TranscribeOptions("base"),
        base,
        ignore,
        shard=place,
        decided=Language("en", 0.9),
    )
    assert (result.language, result.language_probability) == ("en", 0.9)
    assert word_error_rate(FRENCH, text_between(result, 600, 603.5)) <= 0.5
    assert len(mixed(result)) == 1


def test_two_channels_in_two_languages(base: FasterWhisper, english: Samples, french: Samples) -> None:
    """An interpreter on the right is recognised in the language of the right."""
    right = np.zeros_like(english)
    right[: len(french)] = french
    reads = [reader(english), reader(right)]
    result = transcribe_channels(reads, len(english) / SAMPLE_RATE, TranscribeOptions("base"), base, ignore)
    assert result.language == "en"
    spoken = [segment for segment in result.segments if segment.speaker == "spk_2"]
    assert word_error_rate(FRENCH, spoken[0].text) <= 0.5
    assert len(mixed(result)) == 1


def test_a_language_that_is_given_is_not_doubted(base: FasterWhisper, french: Samples) -> None:
    """Who says what is spoken has it recognised as that, and nothing is told."""
    result = recognise(np.concatenate([recording("jfk.wav"), french]), base, language="fr")
    assert (result.language, mixed(result)) == ("fr", [])


def test_only_languages_that_may_be_spoken_are_found(base: FasterWhisper, french: Samples) -> None:
    """Neither the vote nor a glance finds another one."""
    jfk = recording("jfk.wav")
    assert recognise(jfk, base, languages=("de", "fr")).language in {"de", "fr"}
    result = recognise(np.concatenate([jfk, french]), base, languages=("de", "en"))
    assert result.language == "en"
    assert not any("'fr'" in warning.message for warning in result.warnings)
