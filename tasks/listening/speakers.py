"""Who says an utterance, as far as it can be told while it arrives. docs/decisions/live.md has the figures.

A voice is a cluster of the embeddings of its utterances, known by their centroid: their sum, as only its direction
counts. Names are provisional: what has been said is given to nobody else later, and the pass over the recording finds
its voices by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from shared.transcript import SAMPLE_RATE
from tasks.asr.vad import Span
from tasks.engines.recogniser import Samples

if TYPE_CHECKING:
    from tasks.engines.speaker_embedding import SpeakerEmbedding

Floats = npt.NDArray[np.float32]

DIMENSION = 256
"""Of an embedding."""

SAME = 0.4
"""Cosine from which on an utterance is of a voice that is known."""

LEAST_S = 0.5
"""Speech in which a voice is heard at all."""

NEW_S = 1.5
"""Speech that may be a new voice, and that changes what a known one sounds like. Less has the name of a voice that it
is like, or none."""

SHOWN_S = 6.0
"""Speech of an utterance that is listened to, from its middle: more costs time and memory and tells hardly more."""

MOST = 20
"""Voices of a session. Whoever comes then has the name of the nearest."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """What an utterance sounds like, a vector of length 1, and how many seconds of speech that is known of."""

    vector: Floats
    seconds: float


class Speakers:
    """The voices of a session: spk_1, spk_2, ... in the order in which they come, at most `most`, or MOST.

    `state` is that of another one, which this one goes on for.
    """

    def __init__(self, most: int | None = None, state: bytes | None = None) -> None:
        self._most = min(most or MOST, MOST)
        buffer = state if state and len(state) % (4 * DIMENSION) == 0 else b""  # else it is of another release
        self._centroids: Floats = np.frombuffer(buffer, "<f4").reshape(-1, DIMENSION).astype(np.float32)

    @property
    def state(self) -> bytes:
        """All that names depend on: 1 kB a voice."""
        return self._centroids.astype("<f4").tobytes()

    def assign(self, voice: Voice) -> str | None:
        """Whose it is; None where there is too little speech to tell."""
        likeness = self._centroids @ voice.vector / np.linalg.norm(self._centroids, axis=1).clip(1e-6)
        nearest = int(likeness.argmax()) if len(likeness) else -1
        if nearest >= 0 and likeness[nearest] >= SAME:
            if voice.seconds >= NEW_S:
                self._centroids[nearest] += voice.vector
        elif len(self._centroids) >= self._most:
            pass
        elif voice.seconds >= NEW_S:
            nearest = len(self._centroids)
            self._centroids = np.concatenate([self._centroids, voice.vector[None]])
        else:
            return None
        return f"spk_{nearest + 1}"


def embed(embedding: SpeakerEmbedding, samples: Samples, speech: Sequence[Span]) -> Voice | None:
    """The voice of an utterance, of which `speech` are the spans in which somebody speaks; None if they are too short.
    Raises whatever onnxruntime raises."""
    parts = [samples[round(span.start * SAMPLE_RATE) : round(span.end * SAMPLE_RATE)] for span in speech]
    spoken = np.concatenate(parts) if parts else samples[:0]
    seconds = len(spoken) / SAMPLE_RATE
    if seconds < LEAST_S:
        return None
    length = round(SHOWN_S * SAMPLE_RATE)
    first = max(0, (len(spoken) - length) // 2)
    return Voice(embedding.embed(spoken[first : first + length]), seconds)
