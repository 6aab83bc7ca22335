"""Speech recognition by onnx-asr: the real package, over a model that is made here."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx_asr
import pytest
from faster_whisper.audio import decode_audio

from scripts.weights.fixtures import fixture
from shared.config import Settings
from shared.errors import InvalidRequest, ModelUnavailable
from shared.transcript import SAMPLE_RATE, Transcription
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.vad import Read, Samples
from tasks.engines import loading
from tasks.engines.recogniser import DecodingOptions, Recogniser
from tasks.stages.transcribe import transcribe
from tests.model.onnx_model import NAME, make


@pytest.fixture(scope="module")
def onnx_config(tmp_path_factory: pytest.TempPathFactory, config: Settings) -> Settings:
    """A server that offers this model alone."""
    models = tmp_path_factory.mktemp("models")
    make(models)
    return config.model_copy(update={"model_dir": models, "whisper_model": NAME, "whisper_models": NAME})


@pytest.fixture
def recogniser(onnx_config: Settings) -> Recogniser:
    return loading.recogniser(onnx_config, "auto")


@pytest.fixture(scope="module")
def jfk() -> Samples:
    samples: Samples = decode_audio(str(fixture("jfk.wav")), sampling_rate=SAMPLE_RATE)
    return samples


def reader(samples: Samples) -> Read:
    return lambda start, end: samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def recognise(samples: Samples, recogniser: Recogniser, **options: object) -> Transcription:
    request = TranscribeOptions(NAME, **options)  # type: ignore[arg-type]
    return transcribe(reader(samples), len(samples) / SAMPLE_RATE, request, recogniser, lambda _: None)


def words(result: Transcription) -> list[str]:
    return [word.text for segment in result.segments for word in segment.words]


def test_words_have_their_times(recogniser: Recogniser, jfk: Samples) -> None:
    """A recording with 5 s of silence before it comes back in words, in order, none of them in the silence."""
    silence = np.zeros(5 * SAMPLE_RATE, np.float32)
    result = recognise(np.concatenate([silence, jfk]), recogniser)
    assert (result.language, result.language_probability, result.model) == ("en", 1.0, NAME)
    words = [word for segment in result.segments for word in segment.words]
    assert len(words) > 10
    assert all(re.fullmatch(r" (so|my|s)s*", word.text) for word in words)
    assert words[0].start >= 4.5 and words[-1].end <= 16.0
    starts = [word.start for word in words]
    assert starts == sorted(starts)
    assert all(word.start <= word.end and 0 < word.confidence <= 1 for word in words)


def test_it_says_what_the_package_says(recogniser: Recogniser, onnx_config: Settings, jfk: Samples) -> None:
    """The words joined are onnx-asr's own text of the same samples."""
    clip = jfk[: 3 * SAMPLE_RATE]
    direct = onnx_asr.load_model("nemo-conformer-ctc", onnx_config.model_dir / "onnx" / NAME).recognize(clip)
    (piece,) = recogniser.decode(clip, [(0.0, 3.0)], DecodingOptions("en"), 8)
    assert "".join(word.text for word in piece.words).strip() == direct.strip() == piece.text.strip()


def test_batches_of_any_size_say_the_same(recogniser: Recogniser, jfk: Samples) -> None:
    """Two minutes of speech in batches of one and of eight."""
    talk = np.concatenate([jfk] * 10)
    assert words(recognise(talk, recogniser, batch_size=1)) == words(recognise(talk, recogniser, batch_size=8))


@pytest.mark.parametrize(("options", "parameter"), [({"language": "fr"}, "language"), ({"task": "translate"}, "task")])
def test_what_it_cannot_do_is_refused(options: dict[str, str], parameter: str, recogniser: Recogniser) -> None:
    """Another language, a translation."""
    with pytest.raises(InvalidRequest) as caught:
        recognise(np.zeros(0, np.float32), recogniser, **options)
    assert caught.value.detail == {"parameter": parameter}


def test_weights_that_are_not_there_are_named(config: Settings, tmp_path: Path) -> None:
    """The message says which folder is empty and where to read on."""
    empty = config.model_copy(update={"model_dir": tmp_path, "whisper_models": NAME})
    with pytest.raises(ModelUnavailable, match=rf"onnx/{NAME}.*docs/models\.md"):
        loading.recogniser(empty, NAME)


def test_it_is_loaded_once_and_let_go(onnx_config: Settings) -> None:
    """The same model is the same object until it is let go; whoever listens is told of both."""
    loading.let_go()
    in_memory: list[list[str]] = []
    loading.on_change(lambda: in_memory.append(loading.loaded(onnx_config)))
    first = loading.recogniser(onnx_config, NAME)
    assert loading.recogniser(onnx_config, NAME) is first
    assert loading.let_go() == 1
    assert loading.recogniser(onnx_config, NAME) is not first
    assert in_memory == [[NAME], [], [NAME]]
