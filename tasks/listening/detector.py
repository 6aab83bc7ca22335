"""How likely it is that somebody speaks, frame after frame as the samples arrive.

The network is Silero VAD v6 as faster-whisper ships it. faster-whisper's own call begins anew each time, which loses a
fifth of the speech where it comes in small pieces, and writes into the array that it is given.
"""

from __future__ import annotations

import numpy as np
from faster_whisper.vad import get_vad_model

from shared.transcript import SAMPLE_RATE
from tasks.engines.recogniser import Samples

FRAME = 512
"""Samples that the network looks at in one step."""

FRAME_S = FRAME / SAMPLE_RATE

CONTEXT = 64
"""Samples before a frame that it is shown with it."""

STATE = (1, 1, 128)
"""Shape of each of the two halves of the network's memory."""


class SpeechDetector:
    """Its memory is kept from frame to frame. Frames go through it one at a time: their probabilities must not depend
    on how many arrived together, not even in the last bit."""

    def __init__(self) -> None:
        self._network = get_vad_model().session
        self._hidden = np.zeros(STATE, np.float32)
        self._cell = np.zeros(STATE, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def probability(self, frame: Samples) -> float:
        """Of speech in the next frame; shape (512,)."""
        block = np.concatenate([self._context, frame])[None]
        output, self._hidden, self._cell = self._network.run(None, {"input": block, "h": self._hidden, "c": self._cell})
        self._context = frame[-CONTEXT:].copy()
        return float(output.ravel()[0])
