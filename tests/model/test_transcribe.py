"""Speech recognition with real weights on real recordings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.errors import Interrupted, InvalidRequest, TranscriptionError
from shared.transcript import SAMPLE_RATE, Segment, Transcription
from tasks.asr.decoding import TranscribeOptions, context
from tasks.asr.vad import Samples
from tasks.engines.faster_whisper import FasterWhisper
from tasks.stages.transcribe import transcribe

JFK = "And so my fellow Americans ask not what your country can do for you ask what you can do for your country"
LIBRIVOX = ("0870", "0880", "0890", "0920", "0930")


@pytest.fixture(scope="module")
def jfk() -> Samples:
    return recording("jfk.wav")


@pytest.fixture(scope="module")
def talk() -> Samples:
    """27 s of reading and 11 s of a speech: enough for two steps of Whisper."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    readings = [part for name in LIBRIVOX for part in (recording(f"librivox-{name}.wav"), pause)]
    return np.concatenate([*readings, recording("jfk.wav")])


@pytest.fixture(scope="module")
def talk_text() -> str:
    """What is said in `talk`."""
    return " ".join([*(fixture(f"librivox-{name}.txt").read_text().strip() for name in LIBRIVOX), JFK])


def recording(name: str) -> Samples:
    samples: Samples = decode_audio(str(fixture(name)), sampling_rate=SAMPLE_RATE)
    return samples


def reader(samples: Samples, offset: float = 0.0) -> Callable[[float, float], Samples]:
    def read(start: float, end: float) -> Samples:
        return samples[round((start - offset) * SAMPLE_RATE) : round((end - offset) * SAMPLE_RATE)]

    return read


def ignore(_share: float) -> None:
    """Progress that nobody watches."""


def recognise(samples: Samples, model: FasterWhisper, options: TranscribeOptions, offset: float = 0.0) -> Transcription:
    return transcribe(reader(samples, offset), len(samples) / SAMPLE_RATE, options, model, ignore, offset=offset)


def text(result: Transcription) -> str:
    return " ".join(segment.text for segment in result.segments)


def codes(result: Transcription) -> set[str]:
    return {warning.code for warning in result.warnings}


def telephone(samples: Samples) -> Samples:
    """The same through a line that passes 300 to 3400 Hz and nothing else, in the 8 bits of mu-law."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum[(hertz < 300) | (hertz > 3400)] = 0
    line = np.fft.irfft(spectrum, len(samples)).clip(-1, 1)
    code = np.round(np.sign(line) * np.log1p(255 * np.abs(line)) / np.log1p(255) * 127) / 127
    signal: Samples = (np.sign(code) * np.expm1(np.abs(code) * np.log1p(255)) / 255).astype(np.float32)
    return signal


# ---- what is recognised


def test_a_telephone_line_loses_no_speech(tiny: FasterWhisper, talk: Samples, talk_text: str) -> None:
    """On such a line the detector of speech stays below a half nearly everywhere: four words in five were lost."""
    result = recognise(telephone(talk), tiny, TranscribeOptions("tiny.en"))
    assert word_error_rate(talk_text, text(result)) < 0.25
    assert result.dropped == ()


def test_a_quiet_voice_beside_a_loud_one_is_heard(tiny: FasterWhisper, talk_text: str) -> None:
    """Every second sentence is 26 dB softer than its neighbours."""
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    readings = [recording(f"librivox-{name}.wav") for name in LIBRIVOX]
    softened = [reading / np.float32(20 if index % 2 else 1) for index, reading in enumerate(readings)]
    samples = np.concatenate([part for reading in softened for part in (reading, pause)])
    result = recognise(samples, tiny, TranscribeOptions("tiny.en"))
    assert word_error_rate(talk_text.removesuffix(JFK), text(result)) < 0.15


def test_the_speech_is_recognised(base: FasterWhisper, jfk: Samples) -> None:
    """At most one word in ten is wrong, the language is found, and every word has a time and a confidence."""
    shares: list[float] = []
    options = TranscribeOptions("base")
    result = transcribe(reader(jfk), len(jfk) / SAMPLE_RATE, options, base, shares.append)
    assert word_error_rate(JFK, text(result)) <= 0.10
    assert (result.language, result.model, result.duration) == ("en", "base", 11.0)
    assert 0.8 <= result.language_probability <= 1
    assert result.warnings == ()
    words = [word for segment in result.segments for word in segment.words]
    assert len(words) == len(JFK.split())
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] <= 11
    assert all(0.1 < word.confidence <= 1 for word in words)
    assert "".join(word.text for word in words).split() == text(result).split()
    assert (shares, shares[-1]) == (sorted(shares), 1.0)


@pytest.mark.parametrize(("name", "code"), [("french", "fr"), ("italian", "it")])
def test_another_language_is_detected(name: str, code: str, base: FasterWhisper) -> None:
    """Three seconds of French or Italian are recognised as that, in that language."""
    result = recognise(recording(f"{name}.wav"), base, TranscribeOptions("base"))
    assert (result.language, codes(result)) == (code, set())
    assert word_error_rate(fixture(f"{name}.txt").read_text(), text(result)) <= 0.5


def test_the_vote_beats_the_first_30_seconds(base: FasterWhisper, talk: Samples, talk_text: str) -> None:
    """A recording that begins with 32 s of Italian and goes on in English is English, though its beginning is not."""
    italian = np.tile(recording("italian.wav"), 10)[: 32 * SAMPLE_RATE]
    mixed = np.concatenate([italian, talk, talk])
    assert base.model.detect_language(mixed[: 30 * SAMPLE_RATE])[0] == "it"
    result = recognise(mixed, base, TranscribeOptions("base"))
    assert (result.language, 0.5 < result.language_probability < 0.9) == ("en", True)
    english = " ".join(segment.text for segment in result.segments if segment.start > 32)
    assert word_error_rate(f"{talk_text} {talk_text}", english) <= 0.15


def test_speech_after_noise_is_found_where_it_is(tiny: FasterWhisper, jfk: Samples) -> None:
    """After 35 s of noise the words come at their own times, and the noise gives no text."""
    noise = np.random.default_rng(0).normal(scale=0.05, size=35 * SAMPLE_RATE).astype(np.float32)
    result = recognise(np.concatenate([noise, jfk]), tiny, TranscribeOptions("tiny.en"))
    assert word_error_rate(JFK, text(result)) <= 0.10
    assert 34.5 <= result.segments[0].start <= 36
    assert 45 <= result.segments[-1].end <= 46


@pytest.mark.parametrize("seconds", [0, 1 / SAMPLE_RATE, 0.05, 45])
def test_silence_is_an_empty_transcript_that_says_so(seconds: float, tiny: FasterWhisper) -> None:
    """Nothing, one sample, 0.05 s or 45 s of silence: no segments, the warning no_speech, progress at its end."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.float32)
    shares: list[float] = []
    options = TranscribeOptions("tiny.en")
    result = transcribe(reader(samples), len(samples) / SAMPLE_RATE, options, tiny, shares.append)
    assert (result.segments, codes(result), shares[-1]) == ((), {"no_speech"}, 1.0)


def test_a_scrap_of_sound_is_no_crash(base: FasterWhisper, jfk: Samples) -> None:
    """A tenth of a second out of a word stays inside its 0.1 s, whatever is made of it."""
    scrap = jfk[round(0.4 * SAMPLE_RATE) : round(0.5 * SAMPLE_RATE)]
    result = recognise(scrap, base, TranscribeOptions("base"))
    assert all(0 <= segment.start <= segment.end <= 0.1 for segment in result.segments)


# ---- windows and parts


def test_windows_neither_lose_nor_double_words(base: FasterWhisper, talk: Samples, talk_text: str) -> None:
    """Two and a half minutes are recognised, and given out, 50 s at a time, and progress moves with them; never more
    samples are asked for."""
    samples = np.tile(talk, 4)
    lengths: list[int] = []

    def read(start: float, end: float) -> Samples:
        block = reader(samples)(start, end)
        lengths.append(len(block))
        return block

    duration = len(samples) / SAMPLE_RATE
    options = TranscribeOptions("base", "en")
    given_out: list[Sequence[Segment]] = []
    shares: list[float] = []
    result = transcribe(read, duration, options, base, shares.append, finished=given_out.append, window_s=50)
    assert tuple(segment for some in given_out for segment in some) == result.segments
    assert sum(map(bool, given_out)) >= 3
    assert max(lengths) <= 50 * SAMPLE_RATE
    assert (shares, shares[-1], len(set(shares)) > 3) == (sorted(shares), 1.0, True)
    assert word_error_rate(" ".join([talk_text] * 4), text(result)) <= 0.08
    assert duration - 2 <= result.segments[-1].end <= duration


def test_a_part_is_told_in_the_recordings_times(tiny: FasterWhisper, jfk: Samples) -> None:
    """The part from 100 s on has the words of the same audio at 0 s, each 100 s later."""
    options = TranscribeOptions("tiny.en")
    first, later = (recognise(jfk, tiny, options, offset=offset) for offset in (0.0, 100.0))
    assert later.duration == first.duration
    assert text(later) == text(first)
    for a, b in zip(first.segments, later.segments, strict=True):
        assert (b.start - a.start, b.end - a.end) == pytest.approx((100, 100), abs=0.002)


# ---- stopping and failing


def test_cancelling_stops_between_segments(tiny: FasterWhisper, talk: Samples) -> None:
    """What progress raises gets out at once: after it nothing more is decoded, and the next call is not disturbed."""
    options = TranscribeOptions("tiny.en", batch_size=1)
    shares: list[float] = []

    def stop(share: float) -> None:
        shares.append(share)
        if share > 0.02:
            raise Interrupted("cancelled")

    with pytest.raises(Interrupted, match="cancelled"):
        transcribe(reader(talk), len(talk) / SAMPLE_RATE, options, tiny, stop)
    assert shares[-1] < 0.8
    assert sum(share > 0.02 for share in shares) == 1
    assert "country" in text(recognise(talk[-11 * SAMPLE_RATE :], tiny, options))


def test_a_failing_engine_is_an_error_to_retry(tiny: FasterWhisper, jfk: Samples) -> None:
    """What the engine raises, here for samples of the wrong shape, becomes one clean retryable error."""

    def read(start: float, end: float) -> Samples:
        return np.stack([reader(jfk)(start, end)] * 2)

    with pytest.raises(TranscriptionError, match="voice activity detection failed") as caught:
        transcribe(read, 11.0, TranscribeOptions("tiny.en"), tiny, ignore)
    assert caught.value.retryable
    assert caught.value.__cause__ is not None


def test_an_error_of_the_reader_is_not_the_engines(tiny: FasterWhisper) -> None:
    """A storage that fails is reported as that."""

    def read(_start: float, _end: float) -> Samples:
        raise ConnectionError("storage is gone")

    with pytest.raises(ConnectionError):
        transcribe(read, 11.0, TranscribeOptions("tiny.en"), tiny, ignore)


# ---- options


@pytest.mark.parametrize("option", ["prompt", "hotwords"])
def test_prompt_and_hotwords_set_the_style(option: str, tiny: FasterWhisper, jfk: Samples) -> None:
    """Both are read: after words without capitals the sentence begins with a small letter."""
    style = "and so my fellow amerikans i ask you to do it for your kuntry and then what you can do"
    prompt, hotwords = (style if option == name else None for name in ("prompt", "hotwords"))
    plain = text(recognise(jfk, tiny, TranscribeOptions("tiny.en")))
    styled = text(recognise(jfk, tiny, TranscribeOptions("tiny.en", prompt=prompt, hotwords=hotwords)))
    assert (plain[:6], styled[:6]) == ("And so", "and so")
    assert word_error_rate(JFK, styled) <= 0.2


def test_a_prompt_of_any_length_is_accepted(tiny: FasterWhisper, jfk: Samples) -> None:
    """A prompt and hotwords far beyond what the decoder can see leave room for the text."""
    prompt = " ".join(f"word{i}" for i in range(2000)) + ". " + JFK + "."
    result = recognise(jfk, tiny, TranscribeOptions("tiny.en", prompt=prompt))
    assert word_error_rate(JFK, text(result)) <= 0.2


def test_the_end_of_a_long_prompt_counts(tiny: FasterWhisper) -> None:
    """Of prompt and hotwords together the last 223 tokens are kept, so that hotwords are never what is lost."""
    options = TranscribeOptions("tiny.en", prompt="blah " * 500, hotwords="Kubernetes, Valkey")
    prompt = context(options, tiny)
    assert prompt is not None
    assert prompt.endswith("Kubernetes, Valkey")
    assert 200 <= len(tiny.model.hf_tokenizer.encode(" " + prompt, add_special_tokens=False).ids) <= 223
    assert context(TranscribeOptions("tiny.en", prompt="  "), tiny) is None


def test_translation_gives_english(base: FasterWhisper) -> None:
    """French speech comes out in English words; the language stays French."""
    result = recognise(recording("french.wav"), base, TranscribeOptions("base", "fr", "translate"))
    assert result.language == "fr"
    assert {"old", "judge"} <= {word.strip(".,").removesuffix("s") for word in text(result).lower().split()}


def test_a_temperature_is_sampled_at(tiny: FasterWhisper, jfk: Samples) -> None:
    """Hot sampling gives other confidences than the best path, also when batches are asked for."""
    cold, hot = (recognise(jfk, tiny, TranscribeOptions("tiny.en", temperature=t)) for t in (0.0, 1.0))
    assert cold == recognise(jfk, tiny, TranscribeOptions("tiny.en", temperature=0.0))
    assert [s.words for s in hot.segments] != [s.words for s in cold.segments]


def test_a_temperature_holds_for_all_of_a_recording(tiny: FasterWhisper, talk: Samples, talk_text: str) -> None:
    """Each piece is sampled alone: none is lost, none comes twice, and progress moves with them."""
    shares: list[float] = []
    options = TranscribeOptions("tiny.en", temperature=0.1)
    result = transcribe(reader(talk), len(talk) / SAMPLE_RATE, options, tiny, shares.append, window_s=20)
    assert word_error_rate(talk_text, text(result)) <= 0.15
    assert (shares, shares[-1], len(set(shares)) > 3) == (sorted(shares), 1.0, True)


@pytest.mark.parametrize("language", ["en-US", "EN", " en "])
def test_a_language_may_be_written_in_several_ways(language: str, tiny: FasterWhisper) -> None:
    """Regions, capitals and spaces do not matter."""
    result = recognise(np.zeros(0, np.float32), tiny, TranscribeOptions("tiny.en", language))
    assert (result.language, result.language_probability) == ("en", 1.0)


def test_what_the_model_cannot_do_is_refused(tiny: FasterWhisper, base: FasterWhisper) -> None:
    """An unknown language, another language or a translation with an English model, a translation with turbo."""
    refused = [
        (tiny, TranscribeOptions("tiny.en", "fr"), "language"),
        (tiny, TranscribeOptions("tiny.en", "en", "translate"), "task"),
        (base, TranscribeOptions("base", "klingon"), "language"),
        (base, TranscribeOptions("large-v3-turbo", "fr", "translate"), "task"),
    ]
    for model, options, parameter in refused:
        with pytest.raises(InvalidRequest) as caught:
            recognise(np.zeros(SAMPLE_RATE, np.float32), model, options)
        assert caught.value.detail == {"parameter": parameter}
