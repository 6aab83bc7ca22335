"""What the result says, and is, when the engines run out of memory: it is they that fail, at what would not fit."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from scripts.weights.fixtures import fixture
from shared.config import Settings
from shared.errors import OutOfMemory
from shared.transcript import SAMPLE_RATE, Transcription
from tasks import engines
from tasks.stages.decoding import TranscribeOptions
from tasks.stages.merge import merge
from tasks.stages.speech import Samples
from tasks.stages.transcribe import transcribe
from tasks.whisper import Engine, Whisper


class Cramped(Whisper):
    """A model whose engine has room for so many pieces at the first, second, ... call, and for any number once it has
    left its card. There is no card: what it leaves is the CPU, for the CPU. `tried` is what each call was given.
    """

    def __init__(self, config: Settings, name: str, *rooms: int, has_refuge: bool = True) -> None:
        engine = Engine(config.model_dir / "whisper" / name, "cpu", engines.compute_type(config), 1)
        super().__init__(engine, engine if has_refuge else None)
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


@pytest.fixture(scope="module")
def talk() -> Samples:
    """A minute and more of speech, three steps of Whisper."""
    names = ("librivox-0870", "librivox-0880", "librivox-0890", "librivox-0920", "librivox-0930", "jfk")
    recordings = [decode_audio(str(fixture(f"{name}.wav")), sampling_rate=SAMPLE_RATE) for name in names]
    return np.concatenate(recordings * 2)


def recognise(samples: Samples, model: Whisper, options: TranscribeOptions) -> tuple[Transcription, list[float]]:
    """The result, and the progress on the way to it."""
    shares: list[float] = []

    def read(start: float, end: float) -> Samples:
        return samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]

    return transcribe(read, len(samples) / SAMPLE_RATE, options, model, shares.append), shares


def words(result: Transcription) -> list[str]:
    return [word.text for segment in result.segments for word in segment.words]


def codes(result: Transcription) -> list[str]:
    return [warning.code for warning in result.warnings]


def test_batches_that_do_not_fit_give_the_same_words(config: Settings, talk: Samples) -> None:
    """First less at once, then, when one piece is too much, off the card, behind what was done: every word comes once,
    and the finished transcript says what happened."""
    model = Cramped(config, "tiny.en", 2, 2, 0)
    result, shares = recognise(talk, model, TranscribeOptions("tiny.en"))
    assert model.tried == [3, 2, 1, 1, 1]
    usual, _ = recognise(talk, engines.whisper(config, "tiny.en"), TranscribeOptions("tiny.en"))
    assert (words(result), usual.warnings) == (words(usual), ())
    assert shares == sorted(shares)

    told = {warning.code: warning.message for warning in merge([result], None).warnings}
    assert told.keys() == {"smaller_batches", "moved_to_cpu"}
    assert "1 instead of 3" in told["smaller_batches"]


@pytest.mark.parametrize("mode", ["batched", "accurate"])
def test_one_piece_that_does_not_fit_is_not_tried_again_where_it_is(mode: str, config: Settings, talk: Samples) -> None:
    """Where no more than one piece is decoded at once, the card is left at the first failure and no batch is blamed."""
    model, clip = Cramped(config, "tiny.en", 0), talk[: 5 * SAMPLE_RATE]
    result, _ = recognise(clip, model, TranscribeOptions("tiny.en", mode=mode))
    assert (model.tried, codes(result)) == ([1, 1], ["moved_to_cpu"])
    assert len(words(result)) > 5

    stuck = Cramped(config, "tiny.en", 0, has_refuge=False)
    with pytest.raises(OutOfMemory):
        recognise(clip, stuck, TranscribeOptions("tiny.en", mode=mode))
    assert stuck.tried == [1]
