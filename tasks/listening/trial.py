"""What speech costs a model on this machine, tried before anybody speaks: the same passes over sound that says nothing,
with as many tokens as speech has."""

from __future__ import annotations

from math import ceil

import numpy as np

from shared.transcript import SAMPLE_RATE
from tasks.engines.recogniser import Samples
from tasks.listening import finals, partials
from tasks.listening.decoder import Decoder

PARTIAL_S = 4.0
"""Speech that a pass for partials hears: 3 to 5 s in an utterance that is long enough to count."""

FORCED, SAID = 10, 6
"""Tokens of its words: those that are committed, and those that are not. English has four a second."""

FINAL_S = 8.0
FINAL_TOKENS = 32


def partial(decoder: Decoder) -> None:
    """A pass for partials. Raises whatever the engine raises, as `final`."""
    encoded = decoder.encode(_noise(PARTIAL_S), ceil(PARTIAL_S + partials.SILENCE_S))
    decoder.exercise(encoded, SAID, forced=FORCED)


def final(decoder: Decoder) -> None:
    """The final of `FINAL_S` of speech."""
    encoded = decoder.encode(_noise(FINAL_S), finals.window_s(FINAL_S))
    tokens = decoder.exercise(encoded, FINAL_TOKENS, beam_size=finals.BEAM_SIZE)
    decoder.places(encoded, tokens, "en")


def cost(partial_s: float, final_s: float, every_s: float) -> float:
    """Seconds of work for a second of speech, where the two take so long."""
    return partial_s / every_s + final_s / FINAL_S


def _noise(seconds: float) -> Samples:
    return np.random.default_rng(1).normal(0.0, 0.05, round(seconds * SAMPLE_RATE)).astype(np.float32)
