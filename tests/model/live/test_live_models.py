"""The two models of a live session, as its worker has them."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from shared.config import Settings
from shared.live.age import Age
from shared.live.listeners import Claim, Place
from shared.live_events import Final
from shared.options import JobOptions
from shared.transcript import SAMPLE_RATE
from tasks.engines import loading
from tasks.engines.faster_whisper import FasterWhisper
from tasks.listening.listener import Listener
from tasks.listening.options import ListenOptions
from tasks.listening.turn import Turn
from tasks.live import models
from tests.model.test_transcribe import recording

READING = "librivox-0880.wav"


def final(listener: Listener, name: str = READING) -> Final:
    """Of the only utterance of a recording."""
    samples = np.concatenate([recording(name), np.zeros(SAMPLE_RATE, np.float32)])
    (result,) = (event for event in [*listener.feed(samples), *listener.finish()] if isinstance(event, Final))
    return result


@pytest.mark.parametrize(("final_model", "finals"), [("base", "base"), ("small", "tiny.en"), ("", "tiny.en")])
def test_finals_name_the_model_that_recognised_them(config: Settings, final_model: str, finals: str) -> None:
    """LIVE_FINAL_MODEL, and where it is not installed that of the partials, so that there is text."""
    config = config.model_copy(update={"live_model": "tiny.en", "live_final_model": final_model})
    place = Place(0, 0.0, None)
    claim = Claim(uuid.uuid4(), 1, "pcm16", SAMPLE_RATE, 0, place, JobOptions(), None, Age())
    with models.listener(config, claim) as listener:
        assert final(listener).model == finals


@pytest.mark.parametrize(
    ("threads", "sessions", "workers"), [(1, 8, 1), (2, 8, 2), (3, 8, 3), (4, 8, 2), (16, 8, 8), (4, 1, 1)]
)
def test_the_threads_are_shared_by_workers_of_the_model(
    threads: int, sessions: int, workers: int, config: Settings
) -> None:
    """Sessions are heard side by side, one thread each of up to three; where there are more it is two or more each."""
    config = config.model_copy(update={"live_model": "tiny.en", "cpu_threads": threads, "live_slots": sessions})
    with models.usual(config) as (model, _):
        assert model.model.num_workers == workers
    loading.let_go()


def test_a_final_does_not_wait_for_long(tiny: FasterWhisper, base: FasterWhisper) -> None:
    """While another session has the larger model, that of the partials recognises it."""
    options = ListenOptions(final_model=base, final_turn=Turn(patience_s=0.01))
    with options.final_turn.take():
        assert final(Listener(tiny, options)).model == "tiny.en"
    assert final(Listener(tiny, options)).model == "base"


def test_a_final_model_has_to_know_the_language(tiny: FasterWhisper, base: FasterWhisper) -> None:
    """English alone is no larger model for French, nor while the language is to be found out."""
    listener = Listener(base, ListenOptions(final_model=tiny))
    assert final(listener).model == "base"
    assert listener.language == "en"
    assert final(listener).model == "tiny.en"
    french = final(Listener(base, ListenOptions(final_model=tiny)), "french.wav")
    assert (french.model, french.language) == ("base", "fr")


def test_where_the_larger_model_fails_the_other_goes_on(tiny: FasterWhisper, config: Settings) -> None:
    """Its error is kept for whoever runs the session."""
    broken = loading.whisper(config, "base")
    broken.unload()
    listener = Listener(tiny, ListenOptions(final_model=broken))
    assert final(listener).model == "tiny.en"
    assert listener.final_model_error
