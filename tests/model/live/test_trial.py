"""What a live worker finds out about its models before the first session."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper
from tasks.listening import trial as passes
from tasks.listening.decoder import Decoder
from tasks.live import trial
from tasks.live.pace import FIRST_PLACES, Pace

DEAREST = (0.117, 0.133, 0.156, 0.187, 0.233, 0.311, 0.467)
"""What a second of speech may cost where eight are carried, seven, ... two: at 70 % of the time, three quarters of it
speech."""


def carried(cost: float) -> int:
    return 8 - bisect_left(DEAREST, cost)


@pytest.mark.parametrize(("final_model", "workers"), [("", 2), ("base", 1)])
def test_a_trial_says_what_speech_will_cost(config: Settings, final_model: str, workers: int) -> None:
    """Of the models of a session that asks for none, which are in memory then. A larger model for finals answers one
    session at a time, and has all threads."""
    loading.let_go()  # another test has unloaded one that is kept
    config = config.model_copy(update={"live_model": "tiny.en", "live_final_model": final_model, "cpu_threads": 2})
    pace = Pace(8, 0.7)
    trial.run(config, pace, pauses_s=(0.0, 0.0))
    assert pace.workers == workers
    assert pace.cost and pace.cost > 0
    assert carried(pace.cost + 0.001) <= pace.places(0) <= carried(pace.cost - 0.001)
    assert {"tiny.en", final_model or "tiny.en"} <= set(loading.loaded(config))


def test_nothing_is_tried_again_once_somebody_speaks(config: Settings) -> None:
    """What speech costs is measured then. The first trial is made all the same."""
    pace = Pace(8, 0.7)
    with pace.work() as share:
        pass
    pace.hear(0.5, share)
    trial.run(config.model_copy(update={"live_model": "tiny.en"}), pace, pauses_s=(0.0, 0.01, 3600.0))
    assert pace.cost


def test_a_trial_that_fails_is_made_again(config: Settings, tmp_path: Path) -> None:
    """Weights may come later than the worker."""
    (tmp_path / "whisper").mkdir()
    later = tmp_path / "whisper" / "tiny.en"
    config = config.model_copy(update={"live_model": "tiny.en", "model_dir": tmp_path})
    pace = Pace(8, 0.7)

    def pauses() -> Iterator[float]:
        yield 0.0
        assert pace.cost is None
        later.symlink_to((default_model_dir() / "whisper" / "tiny.en").resolve())
        yield 0.01

    trial.run(config, pace, pauses_s=pauses())
    assert pace.cost


@pytest.mark.parametrize("missing", ["small", "parakeet-ctc-0.6b"])
def test_without_its_model_nothing_is_supposed(missing: str, config: Settings) -> None:
    """One that is not installed, or recognises no live text: the first session finds out."""
    pace = Pace(8, 0.7)
    trial.run(config.model_copy(update={"live_model": missing}), pace, pauses_s=(0.0,))
    assert (pace.cost, pace.places(0)) == (None, FIRST_PLACES)


def test_a_pass_has_as_many_tokens_as_speech_has(tiny: FasterWhisper) -> None:
    """Though nobody speaks: what the decoder would say of it does not count."""
    decoder = Decoder(tiny, None)
    encoded = decoder.encode(passes._noise(passes.PARTIAL_S), 9)
    assert len(decoder.exercise(encoded, passes.SAID, forced=passes.FORCED)) == passes.SAID
    assert len(decoder.exercise(encoded, passes.FINAL_TOKENS, beam_size=5)) == passes.FINAL_TOKENS
    passes.partial(decoder)
    passes.final(decoder)
