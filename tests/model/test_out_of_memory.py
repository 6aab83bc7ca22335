"""What the result says, and is, when the engines run out of memory: it is they that fail, at what would not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.weights.fixtures import fixture
from shared.config import Settings
from shared.errors import OutOfMemory
from shared.transcript import SAMPLE_RATE, Diarization, Transcription
from tasks.asr.channels import transcribe_channels
from tasks.asr.decoding import TranscribeOptions
from tasks.asr.long_language import decide_language
from tasks.asr.vad import Read, Samples
from tasks.diarization.loading import CPU_BATCH
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper
from tasks.engines.recogniser import Recogniser
from tasks.engines.whisper import Engine, Whisper
from tasks.stages.diarize import DiarizeOptions, diarize
from tasks.stages.merge import merge
from tasks.stages.transcribe import transcribe


class CrampedModel(Whisper):
    """A model whose engine has room for so many pieces at the first, second, ... call, and for any number once it has
    left its card. There is no card: what it leaves is the CPU, for the CPU. `tried` is what each call was given.
    """

    def __init__(self, config: Settings, name: str, *rooms: int, has_fallback: bool = True) -> None:
        engine = Engine(config.model_dir / "whisper" / name, "cpu", loading.compute_type(config), 1)
        super().__init__(engine, engine if has_fallback else None)
        self.card, self.rooms = self.model, rooms
        self.tried: list[int] = []

    def encode(self, features: np.ndarray) -> object:
        """As CTranslate2 fails when it is given more than it has room for."""
        pieces = len(features) if features.ndim == 3 else 1
        room = self.rooms[min(len(self.tried), len(self.rooms) - 1)]
        self.tried.append(pieces)
        if self.model is self.card and pieces > room:
            raise RuntimeError("CUDA failed with error out of memory")
        return super().encode(features)


class Cramped(FasterWhisper):
    """The engine of such a model."""

    def __init__(self, config: Settings, name: str, *rooms: int, has_fallback: bool = True) -> None:
        super().__init__(CrampedModel(config, name, *rooms, has_fallback=has_fallback))

    @property
    def tried(self) -> list[int]:
        tried: list[int] = self.model.tried
        return tried


@pytest.fixture(scope="module")
def talk() -> Samples:
    """Two minutes of speech, four full pieces."""
    names = ("librivox-0870", "librivox-0880", "librivox-0890", "librivox-0920", "librivox-0930", "jfk")
    recordings = [decode_audio(str(fixture(f"{name}.wav")), sampling_rate=SAMPLE_RATE) for name in names]
    return np.concatenate(recordings * 3)


def reader(samples: Samples) -> Read:
    return lambda start, end: samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]


def recognise(samples: Samples, model: Recogniser, options: TranscribeOptions) -> tuple[Transcription, list[float]]:
    """The result, and the progress on the way to it."""
    shares: list[float] = []

    return transcribe(reader(samples), len(samples) / SAMPLE_RATE, options, model, shares.append), shares


def words(result: Transcription) -> list[str]:
    return [word.text for segment in result.segments for word in segment.words]


def codes(result: Transcription) -> list[str]:
    return [warning.code for warning in result.warnings]


def test_batches_that_do_not_fit_give_the_same_words(config: Settings, talk: Samples) -> None:
    """First less at once, then, when one piece is too much, off the card, behind what was done: every word comes once,
    and the finished transcript says what happened."""
    model = Cramped(config, "tiny.en", 2, 1, 0)
    result, shares = recognise(talk, model, TranscribeOptions("tiny.en", batch_size=2))
    # two fit, then they do not, then one does not, then it may; one piece is decoded again
    assert model.tried == [2, 2, 1, 1, 1, 1]
    usual, _ = recognise(talk, loading.whisper(config, "tiny.en"), TranscribeOptions("tiny.en"))
    assert (words(result), usual.warnings) == (words(usual), ())
    assert shares == sorted(shares)

    messages = {warning.code: warning.message for warning in merge([result], None).warnings}
    assert messages.keys() == {"smaller_batches", "moved_to_cpu"}
    assert "1 instead of 2" in messages["smaller_batches"]


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_one_piece_that_does_not_fit_is_not_tried_again_where_it_is(
    temperature: float | None, config: Settings, talk: Samples
) -> None:
    """Where no more than one piece is decoded at once, the card is left at the first failure and no batch is blamed."""
    model, clip = Cramped(config, "tiny.en", 0), talk[: 5 * SAMPLE_RATE]
    result, _ = recognise(clip, model, TranscribeOptions("tiny.en", temperature=temperature))
    assert (model.tried, codes(result)) == ([1, 1], ["moved_to_cpu"])
    assert len(words(result)) > 5

    stuck = Cramped(config, "tiny.en", 0, has_fallback=False)
    with pytest.raises(OutOfMemory):
        recognise(clip, stuck, TranscribeOptions("tiny.en", temperature=temperature))
    assert stuck.tried == [1]


def test_the_language_is_found_off_the_card_when_it_has_no_room(config: Settings, talk: Samples) -> None:
    """The card is left for the vote and what follows it, and the transcript says so once."""
    model = Cramped(config, "base", 0)
    result, _ = recognise(talk[: 5 * SAMPLE_RATE], model, TranscribeOptions("base"))
    assert (result.language, model.tried, codes(result)) == ("en", [1, 1, 1], ["moved_to_cpu"])

    stuck = Cramped(config, "base", 0, has_fallback=False)
    with pytest.raises(OutOfMemory):
        recognise(talk[: 5 * SAMPLE_RATE], stuck, TranscribeOptions("base"))
    assert stuck.tried == [1]


def test_the_language_of_a_long_recording_is_found_off_the_card(config: Settings, talk: Samples) -> None:
    """What the shards are told of the language says that the card was left."""
    model = Cramped(config, "base", 0)
    language = decide_language([reader(talk)], len(talk) / SAMPLE_RATE, model, lambda: None)
    assert language is not None and language.code == "en"
    assert [caveat.code for caveat in language.caveats] == ["moved_to_cpu"]


def test_channels_tell_once_that_the_card_was_left(config: Settings, talk: Samples) -> None:
    """Of two channels, the first of which leaves the card, the transcript says so once, whoever noticed."""
    model = Cramped(config, "base", 0)
    sides = [reader(talk[: 5 * SAMPLE_RATE]), reader(talk[20 * SAMPLE_RATE :])]
    result = transcribe_channels(sides, 5.0, TranscribeOptions("base"), model, lambda _: None)
    assert codes(result).count("moved_to_cpu") == 1
    assert {segment.speaker for segment in result.segments} == {"spk_1", "spk_2"}


# ---- diarization

CLIP = 16 * SAMPLE_RATE
"""Samples, in 7 whole chunks of 10 s, one a second; as the usual batch is 8, they are segmented together."""


@pytest.fixture(scope="module")
def pipeline(config: Settings) -> Any:
    return loading.diarization(config)


@pytest.fixture(scope="module")
def usual(pipeline: Any, talk: Samples) -> Diarization:
    """Who speaks in the clip, with enough memory."""
    return diarize(talk[:CLIP], DiarizeOptions(), pipeline, lambda _: None)


@contextmanager
def cramped(network: Any, *rooms: int) -> Iterator[list[int]]:
    """A network of torch with memory for so many pieces at the first, second, ... call. Gives what each was given."""
    import torch

    tried: list[int] = []

    def allocate(_: object, inputs: tuple[Any, ...]) -> None:
        room = rooms[min(len(tried), len(rooms) - 1)]
        tried.append(len(inputs[0]))
        if len(inputs[0]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    hook = network.register_forward_pre_hook(allocate)
    try:
        yield tried
    finally:
        hook.remove()


def test_segmentation_that_does_not_fit_gives_the_same_turns(pipeline: Any, talk: Samples, usual: Diarization) -> None:
    """It starts again with half as much at once until it fits, which the transcript says; the progress starts again
    with it, and the next recording with as much as ever."""
    shares: list[float] = []
    with cramped(pipeline._segmentation.model, 4, 4, 2) as tried:
        result = diarize(talk[:CLIP], DiarizeOptions(), pipeline, shares.append)
    assert tried == [7, 4, 3, 2, 2, 2, 1]
    assert (result.turns, usual.warnings) == (usual.turns, ())
    assert [after for before, after in pairwise(shares) if after < before] == [0.0]
    assert pipeline.segmentation_batch_size == CPU_BATCH

    warnings = merge([Transcription("en", 1.0, 16.0, "tiny.en", ())], result).warnings
    (warning,) = (warning for warning in warnings if warning.code != "dropped_speech")  # nothing was recognised
    assert (warning.code, "2 instead of 8" in warning.message) == ("smaller_batches", True)


def test_embeddings_that_do_not_fit_are_not_tried_again_where_they_are(pipeline: Any, talk: Samples) -> None:
    """They are made one chunk at a time anyway: without a card to leave there is nothing left to try."""
    with (
        cramped(pipeline._segmentation.model, 8) as segmented,
        cramped(pipeline._embedding.model_.resnet.conv1, 0) as embedded,
        pytest.raises(OutOfMemory, match="Speaker diarization"),
    ):
        diarize(talk[:CLIP], DiarizeOptions(), pipeline, lambda _: None)
    assert (segmented, embedded) == ([7], [1])


def test_what_was_segmented_is_kept(pipeline: Any, talk: Samples, usual: Diarization) -> None:
    """Another go, after memory ran out behind the segmentation, does not segment the recording again."""
    import torch

    file = {"waveform": torch.from_numpy(talk[:CLIP])[None], "sample_rate": SAMPLE_RATE}
    with cramped(pipeline._embedding.model_.resnet.conv1, 0), pytest.raises(torch.OutOfMemoryError):
        pipeline(file)
    with cramped(pipeline._segmentation.model, 0) as segmented:
        output = pipeline(file)
    assert segmented == []
    spoken = [segment.start for segment in output.speaker_diarization.itersegments()]
    assert spoken == [turn.start for turn in usual.turns]
