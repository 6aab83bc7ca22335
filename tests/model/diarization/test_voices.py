"""Telling voices apart with the real models, in conversations joined from recordings of one person each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from faster_whisper.audio import decode_audio

from scripts.bench.scoring import diarization_error_rate
from scripts.weights.fixtures import fixture
from shared.transcript import SAMPLE_RATE, Diarization, SpeakerTurn
from tasks.diarization.loading import load_stock
from tasks.stages.diarize import DiarizeOptions, diarize

FOLDER = Path(os.environ.get("MODEL_DIR", Path(__file__).parents[3] / "models")) / "diarization"

Waveform = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def stock() -> Any:
    """pyannote's own pipeline."""
    return load_stock(FOLDER, token=None)


@pytest.fixture(scope="module")
def pipeline(stock: Any) -> Any:
    from tasks.diarization.pipeline import Diarizer

    return Diarizer(stock, "windows")


@pytest.fixture(scope="module")
def voices() -> dict[str, Waveform]:
    """A woman who reads, a man's address, and a synthetic voice, equally loud."""
    names = {"reader": [f"librivox-{n}" for n in ("0870", "0880", "0890", "0920", "0930")], "speech": ["jfk"]}
    names["robot"] = ["french"]
    voices = {}
    for voice, files in names.items():
        parts = [decode_audio(str(fixture(f"{file}.wav")), sampling_rate=SAMPLE_RATE) for file in files]
        sound = np.concatenate(parts)
        voices[voice] = (sound * (0.08 / np.sqrt(np.mean(sound**2)))).astype(np.float32)
    return voices


def conversation(
    voices: dict[str, Waveform], names: tuple[str, ...], turn_s: float, turns: int
) -> tuple[Waveform, list[SpeakerTurn]]:
    """Each of `names` in turn for `turn_s` seconds, where they left off, and who spoke when."""
    length, sounds, spoken = int(turn_s * SAMPLE_RATE), [], []
    for turn in range(turns):
        name = names[turn % len(names)]
        start = turn // len(names) * length
        sounds.append(np.take(voices[name], np.arange(start, start + length), mode="wrap"))
        spoken.append(SpeakerTurn(turn * turn_s, (turn + 1) * turn_s, name))
    return np.concatenate(sounds), spoken


def speakers(result: Diarization) -> set[str]:
    return {turn.speaker for turn in result.turns}


def ignore(_share: float) -> None:
    """Progress that nobody watches."""


def test_short_turns_are_told_apart(pipeline: Any, voices: dict[str, Waveform]) -> None:
    """Two people who take turns of 2 s are two, and few of their words change hands.

    With the embeddings of 10 s chunks alone, a third of this recording was given to the wrong one.
    """
    sound, spoken = conversation(voices, ("reader", "robot"), 2.0, 6)
    result = diarize(sound, DiarizeOptions(), pipeline, ignore)
    assert len(speakers(result)) == 2
    assert diarization_error_rate(spoken, result.turns) <= 0.2


def test_one_voice_stays_one(pipeline: Any, voices: dict[str, Waveform]) -> None:
    """Five recordings of one reader are one speaker, and so are a few seconds of an address."""
    for sound in (voices["reader"], voices["speech"][: 4 * SAMPLE_RATE]):
        assert len(speakers(diarize(sound, DiarizeOptions(), pipeline, ignore))) == 1


def test_a_number_of_speakers_that_cannot_be_met_is_a_warning(pipeline: Any, voices: dict[str, Waveform]) -> None:
    """It has both numbers; a number that is met, or none, has no warning, and silence is nobody."""
    sound = voices["speech"][: 3 * SAMPLE_RATE]
    assert diarize(sound, DiarizeOptions(max_speakers=2), pipeline, ignore).warnings == ()
    (warning,) = diarize(sound, DiarizeOptions(num_speakers=9), pipeline, ignore).warnings
    assert (warning.code, warning.message.startswith("9 speakers were asked for, but ")) == ("speakers_not_met", True)
    (nobody,) = diarize(sound[:0], DiarizeOptions(min_speakers=2), pipeline, ignore).warnings
    assert nobody.message == "At least 2 speakers were asked for, but 0 could be told apart."


def test_windows_are_pooled_as_pyannote_pools(stock: Any, voices: dict[str, Waveform]) -> None:
    """The embedding of each window is that of its weighted frames by pyannote's own pooling."""
    import torch

    from tasks.diarization.trunk import TrunkFrames
    from tasks.diarization.windows import LEAST, SHORT, STEP, Windows

    model = stock._embedding.model_
    waveform = torch.from_numpy(voices["reader"][: 6 * SAMPLE_RATE])[None]
    every = np.ones(model.num_frames(waveform.shape[1]), np.bool_)
    weights = np.random.default_rng(2).uniform(size=(-(-len(every) // STEP), SHORT)).astype(np.float32)
    weights[10:14] = 0
    places = np.arange(len(weights))[:, None] * STEP + np.arange(SHORT) - SHORT // 2
    weights[(places < 0) | (places >= len(every))] = 0
    windows = Windows(model, weights, STEP)
    with torch.inference_mode():
        frames, starts = TrunkFrames(model, waveform, every), range(0, 60, 10)
        for start in starts:
            windows.take(frames, start, start + 30, start + 10 if start < starts[-1] else None)
        whole = TrunkFrames(model, waveform, every).window(0, len(every))
        padded = torch.nn.functional.pad(whole, (SHORT // 2, SHORT))
        for index, embedding in enumerate(windows.embeddings):
            if weights[index].sum() < LEAST:
                assert not embedding.any()
                continue
            span = padded[..., index * STEP : index * STEP + SHORT]
            expected = model.forward_embedding(span, weights=torch.from_numpy(weights[index])[None])[0].numpy()
            np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected), atol=2e-3)
    assert np.count_nonzero(windows.embeddings.any(axis=1)) >= len(weights) - 6


def test_a_window_belongs_to_whoever_speaks_most_in_it() -> None:
    """Its weight is where that person speaks alone, as the chunk nearest to it tells, within the recording."""
    from pyannote.core import SlidingWindow, SlidingWindowFeature

    from tasks.diarization.embeddings import solo_weights

    activity = np.zeros((3, 20, 2), np.float32)  # chunks of 20 frames, every 10
    activity[0, :12, 0] = activity[0, 10:, 1] = 1  # the first person up to 12, the second from 10 on
    activity[1, :2, 0] = activity[1, :, 1] = 1
    activity[2, :, 1] = 1
    weights = solo_weights(
        SlidingWindowFeature(activity, SlidingWindow(duration=20, step=10)),
        [0, 10, 20],
        20,
        np.ones(35, np.bool_),
        7,
        3,
    )
    assert weights.shape == (12, 7)
    assert weights[0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert weights[3].tolist() == [1, 1, 1, 1, 0, 0, 0]  # 6 to 12: both speak from 10 on
    assert weights[4].tolist() == [0, 0, 0, 1, 1, 1, 1]  # 9 to 15
    assert weights[11].tolist() == [1, 1, 1, 1, 1, 0, 0]  # 30 to 36 of a recording of 35
