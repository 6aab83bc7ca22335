"""How long the encoder's input is, and that what is recognised does not suffer from it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import word_error_rate
from scripts.weights.fixtures import fixture
from shared.config import Settings
from shared.transcript import SAMPLE_RATE
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.vad import Samples
from tasks.engines.encoder_input import FRAMES_PER_SECOND, input_seconds, with_silence
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.whisper import Engine, Whisper
from tests.model.test_transcribe import LIBRIVOX, recognise, recording, text


class MeasuredModel(Whisper):
    """A model that keeps the seconds of all that its encoder was given."""

    def __init__(self, config: Settings, name: str) -> None:
        super().__init__(Engine(config.model_dir / "whisper" / name, "cpu", "int8", 1))
        self.inputs: list[float] = []

    def encode(self, features: np.ndarray) -> object:
        self.inputs.append(features.shape[-1] / FRAMES_PER_SECOND)
        return super().encode(features)


@pytest.fixture(scope="module")
def measured(config: Settings) -> MeasuredModel:
    return MeasuredModel(config, "base")


def sample_call(seconds: float) -> Samples:
    """The beginning of pyannote's sample call."""
    spec = find_spec("pyannote.audio")
    assert spec is not None and spec.origin is not None
    samples: Samples = decode_audio(str(Path(spec.origin).parent / "sample" / "sample.wav"), sampling_rate=SAMPLE_RATE)
    return samples[: round(seconds * SAMPLE_RATE)]


@pytest.mark.parametrize(
    ("speech_s", "input_s"), [(0.1, 15), (5, 15), (5.1, 20), (10, 20), (15, 25), (15.1, 30), (25, 30), (30, 30)]
)
def test_the_input_is_the_speech_and_ten_seconds_or_more(speech_s: float, input_s: int) -> None:
    assert input_seconds(speech_s) == input_s


def test_the_silence_is_that_of_samples(measured: MeasuredModel) -> None:
    """The spectrogram is that of the samples with zeros behind them, but for the frames that hear both."""
    samples = recording("librivox-0870.wav")
    seconds = input_seconds(len(samples) / SAMPLE_RATE)
    filled = with_silence(measured.feature_extractor(samples)[..., :-1], seconds)
    longer = np.concatenate([samples, np.zeros(seconds * SAMPLE_RATE - len(samples), np.float32)])
    expected = measured.feature_extractor(longer)[..., :-1]
    differs = np.abs(filled - expected).max(axis=0) > 1e-4
    assert filled.shape == expected.shape == (80, seconds * FRAMES_PER_SECOND)
    assert differs.sum() <= 4


def test_short_recordings_are_recognised_in_short_inputs(measured: MeasuredModel) -> None:
    """Five sentences of three to seven seconds: language and words come from half to two thirds of 30 s."""
    engine = FasterWhisper(measured)
    measured.inputs.clear()
    recordings = [recording(f"librivox-{name}.wav") for name in LIBRIVOX]
    results = [recognise(samples, engine, TranscribeOptions("base")) for samples in recordings]
    words = " ".join(fixture(f"librivox-{name}.txt").read_text().strip() for name in LIBRIVOX)
    assert {result.language for result in results} == {"en"}
    assert word_error_rate(words, " ".join(map(text, results))) <= 0.08
    assert len(measured.inputs) == 2 * len(recordings)
    assert set(measured.inputs) <= {15, 20}


def test_full_pieces_have_full_inputs(measured: MeasuredModel) -> None:
    samples: Samples = np.concatenate([recording(f"librivox-{name}.wav") for name in LIBRIVOX])
    measured.inputs.clear()
    recognise(samples, FasterWhisper(measured), TranscribeOptions("base", "en"))
    assert set(measured.inputs) == {30}


def test_translations_have_full_inputs(measured: MeasuredModel) -> None:
    """However short: two words of three seconds were lost in shorter ones."""
    measured.inputs.clear()
    recognise(recording("french.wav"), FasterWhisper(measured), TranscribeOptions("base", "fr", "translate"))
    assert set(measured.inputs) == {30}


def test_a_loop_in_a_short_input_is_decoded_again_in_full(tiny: FasterWhisper) -> None:
    """Where a caller says "Hello" three times, tiny.en says it seven times in a short input, and three in 30 s."""
    result = recognise(sample_call(12), tiny, TranscribeOptions("tiny.en"))
    assert 2 <= text(result).lower().count("hello") <= 3


def test_what_is_said_three_times_is_kept(base: FasterWhisper) -> None:
    """A phrase out of a speech that is joined to itself looks like a loop, and comes as often as it is said."""
    phrase = recording("jfk.wav")[round(5.3 * SAMPLE_RATE) : round(7.7 * SAMPLE_RATE)]
    pause = np.zeros(SAMPLE_RATE // 5, np.float32)
    result = recognise(np.concatenate(3 * [phrase, pause]), base, TranscribeOptions("base", "en"))
    assert text(result).lower().count("your country can do for you") == 3
