"""Diarization with the real models, on pyannote's sample: 30 s of a telephone call between two people."""

from __future__ import annotations

import os
import wave
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from scripts.bench.scoring import diarization_error_rate, read_rttm
from shared.errors import DiarizationError, Interrupted
from shared.transcript import SAMPLE_RATE, Diarization, SpeakerTurn
from tasks.diarization.loading import load_pipeline, load_stock
from tasks.stages.diarize import DiarizeOptions, diarize

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("MODEL_DIR", ROOT / "models")) / "diarization"

Waveform = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def stock() -> Any:
    """pyannote's own pipeline."""
    return load_stock(FOLDER, token=None)


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """As Parley runs it."""
    return load_pipeline(FOLDER, clustering="windows", device="cpu", token=None)


@pytest.fixture(scope="module")
def sample(pipeline: Any) -> Path:
    """pyannote's sample.wav; its reference lies beside it."""
    import pyannote.audio

    return Path(pyannote.audio.__file__).parent / "sample" / "sample.wav"


@pytest.fixture(scope="module")
def call(sample: Path) -> Waveform:
    with wave.open(str(sample)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / np.float32(2**15)


@pytest.fixture(scope="module")
def reference(sample: Path) -> list[SpeakerTurn]:
    return read_rttm(sample.with_suffix(".rttm"))


def ignore(_share: float) -> None:
    """Progress that nobody watches."""


def speakers(result: Diarization) -> set[str]:
    return {turn.speaker for turn in result.turns}


def seconds(waveform: Waveform, start: float, end: float) -> Waveform:
    return waveform[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]


def test_two_people_on_the_telephone(pipeline: Any, call: Waveform, reference: list[SpeakerTurn]) -> None:
    """Two speakers, at most 10 % error, turns in order inside the recording, progress from 0 to 1 and never back."""
    shares: list[float] = []
    result = diarize(call, DiarizeOptions(), pipeline, shares.append)
    assert len(speakers(result)) == 2
    assert diarization_error_rate(reference, result.turns) <= 0.10
    assert list(result.turns) == sorted(result.turns, key=lambda turn: turn.start)
    assert all(0 <= turn.start < turn.end <= 30 for turn in (*result.turns, *result.exclusive))
    ends = [0.0, *(turn.end for turn in result.exclusive)]
    assert all(turn.start >= end - 1e-9 for turn, end in zip(result.exclusive, ends, strict=False))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(set(shares)) > 10


@cache
def segmented(pipeline: Any, start: float, end: float, call: bytes) -> tuple[dict[str, Any], Any]:
    """What pyannote hands from step to step: the file and its (chunks, frames, speakers) segmentation."""
    import torch

    waveform = seconds(np.frombuffer(call, np.float32), start, end).copy()
    file = {"waveform": torch.from_numpy(waveform)[None], "sample_rate": SAMPLE_RATE}
    return file, pipeline.get_segmentations(file)


def test_with_its_own_clustering_the_turns_are_those_of_stock_pyannote(stock: Any, call: Waveform) -> None:
    """One trunk for all chunks hears the same voices, cosine above 0.9, and at most 3 % of the speech changes hands."""
    from tasks.diarization.pipeline import Diarizer

    talk = seconds(call, 6, 20)
    steps: dict[str, Any] = {}

    def hook(step: str, artefact: Any, **_: Any) -> None:
        steps[step] = artefact

    file, segmentation = segmented(stock, 6, 20, call.tobytes())
    expected = stock(file, num_speakers=2, hook=hook)
    diarizer = Diarizer(stock, "pyannote")
    reference, chunks = steps["embeddings"], diarizer.embeddings(file, segmentation, lambda *_, **__: None).chunks
    assert chunks.shape == reference.shape == (5, 3, 256)
    talks = segmentation.data.sum(axis=1) > 0.2 * segmentation.data.shape[1]
    assert talks.sum() >= 5
    chunks, reference = (e[talks] / np.linalg.norm(e[talks], axis=-1, keepdims=True) for e in (chunks, reference))
    assert (chunks * reference).sum(axis=-1).min() > 0.9

    turns = [
        SpeakerTurn(t.start, t.end, who) for t, _, who in expected.speaker_diarization.itertracks(yield_label=True)
    ]
    assert len({turn.speaker for turn in turns}) == 2
    assert diarization_error_rate(turns, diarize(talk, DiarizeOptions(num_speakers=2), diarizer, ignore).turns) <= 0.03


def test_frames_do_not_depend_on_how_the_recording_is_cut_into_blocks(stock: Any, call: Waveform) -> None:
    """Blocks of 4 s, with pauses left out, give the frames of one run over everything."""
    import torch

    from tasks.diarization.trunk import TrunkFrames

    model = stock._embedding.model_
    waveform = torch.from_numpy(seconds(call, 6, 20).copy())[None]
    mask = np.zeros(model.num_frames(waveform.shape[1]), dtype=np.bool_)
    mask[20:120] = True
    with torch.inference_mode():
        whole = TrunkFrames(model, waveform, np.ones_like(mask), block=1000).window(0, len(mask))
        blocks = TrunkFrames(model, waveform, mask, block=50)
        windows = [blocks.window(start, start + 20) for start in range(0, 140, 20)]
    cut = torch.cat(windows, dim=-1)
    torch.testing.assert_close(cut[..., 20:120], whole[..., 20:120], atol=1e-3, rtol=1e-3)
    assert not cut[..., :20].any()
    assert not cut[..., 120:].any()


def test_chunks_vote_as_in_the_stock_pipeline(stock: Any, call: Waveform) -> None:
    """Adding chunk after chunk to the frames selects the same speakers as stacking all chunks first."""
    from pyannote.audio.pipelines import SpeakerDiarization

    from tasks.diarization.votes import chunk_votes, loudest

    _, segmentation = segmented(stock, 0, 30, call.tobytes())
    count = stock.speaker_count(segmentation, stock._segmentation.model.receptive_field, warm_up=(0.0, 0.0))
    clusters = np.random.default_rng(7).integers(0, 4, segmentation.data.shape[::2])
    clusters[segmentation.data.sum(axis=1) == 0] = -2
    reference = SpeakerDiarization.reconstruct(stock, segmentation, clusters, count)
    votes = chunk_votes(segmentation, clusters, 4, count)
    np.testing.assert_array_equal(loudest(votes, count.data), reference.data)
    assert votes.any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_number_of_speakers_is_honoured(pipeline: Any, call: Waveform, count: int) -> None:
    """JobSpec for so many speakers, it finds so many."""
    talk = seconds(call, 8, 20)
    assert len(speakers(diarize(talk, DiarizeOptions(num_speakers=count), pipeline, ignore))) == count


def test_bounds_on_the_number_of_speakers_are_honoured(pipeline: Any, call: Waveform) -> None:
    """A lower or an upper bound moves the count when the voices alone would say two."""
    talk = seconds(call, 8, 20)
    assert len(speakers(diarize(talk, DiarizeOptions(min_speakers=3), pipeline, ignore))) >= 3
    assert len(speakers(diarize(talk, DiarizeOptions(max_speakers=1), pipeline, ignore))) == 1


def test_more_speakers_than_voices_is_no_failure(pipeline: Any, call: Waveform) -> None:
    """Twenty speakers in two seconds of talk: as many as can be told apart."""
    result = diarize(seconds(call, 10, 12), DiarizeOptions(num_speakers=20), pipeline, ignore)
    assert 1 <= len(speakers(result)) <= 3


@pytest.mark.parametrize("length", [0, 1, 399, 800, 8000])
def test_very_short_recordings_have_few_turns_or_none(pipeline: Any, call: Waveform, length: int) -> None:
    """From no sample to half a second, speech or silence: never a failure, never a turn past the end."""
    speech = seconds(call, 8.5, 10)[:length]
    for waveform in (np.zeros(length, np.float32), speech):
        for options in (DiarizeOptions(), DiarizeOptions(num_speakers=3)):
            result = diarize(waveform, options, pipeline, ignore)
            assert all(turn.end <= length / SAMPLE_RATE for turn in result.turns)
            assert not result.turns or waveform is speech


def test_silence_has_no_speakers(pipeline: Any) -> None:
    """Twelve seconds of nothing."""
    assert diarize(np.zeros(12 * SAMPLE_RATE, np.float32), DiarizeOptions(), pipeline, ignore) == Diarization((), ())


@pytest.mark.parametrize("share", [0.1, 0.5], ids=["segmentation", "embeddings"])
def test_progress_stops_the_work_at_once(pipeline: Any, call: Waveform, share: float) -> None:
    """What progress raises gets out unharmed, nothing is reported after it, and the pipeline works on."""
    stop = Interrupted("cancelled")
    shares: list[float] = []

    def cancel(progress: float) -> None:
        shares.append(progress)
        if progress >= share:
            raise stop

    with pytest.raises(Interrupted) as caught:
        diarize(call, DiarizeOptions(), pipeline, cancel)
    assert caught.value is stop
    assert share <= shares[-1] < 0.8
    assert [each for each in shares if each >= share] == shares[-1:]
    assert diarize(seconds(call, 10, 14), DiarizeOptions(), pipeline, ignore).turns


def test_a_failing_pipeline_is_a_diarization_error(pipeline: Any, call: Waveform) -> None:
    """What pyannote refuses, here contradictory bounds, arrives as the stage's own error with its cause."""
    with pytest.raises(DiarizationError) as caught:
        diarize(seconds(call, 10, 12), DiarizeOptions(min_speakers=3, max_speakers=2), pipeline, ignore)
    assert isinstance(caught.value.__cause__, ValueError)


def test_clustering_part_of_a_long_recording_costs_no_accuracy(
    stock: Any, call: Waveform, reference: list[SpeakerTurn]
) -> None:
    """With twenty embeddings clustered and the rest assigned, the error rate stays within 0.5 points."""
    from tasks.diarization.pipeline import Diarizer

    times = 2
    long = np.concatenate([call] * times)
    turns = [SpeakerTurn(t.start + 30 * n, t.end + 30 * n, t.speaker) for n in range(times) for t in reference]
    error_rates = [
        diarization_error_rate(turns, diarize(long, DiarizeOptions(), Diarizer(stock, "windows", limit), ignore).turns)
        for limit in (1000, 20)
    ]
    assert error_rates[0] <= 0.10
    assert error_rates[1] <= error_rates[0] + 0.005
