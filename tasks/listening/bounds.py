"""Where an utterance begins and ends, from probabilities of speech alone. Everything is counted in frames of 32 ms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.asr.vad import FAINT_THRESHOLD, MIN_FAINT_S, THRESHOLD
from tasks.listening.detector import FRAME_S

RELEASE = 0.35
"""Speech that goes on may be less likely than speech that begins (Silero's default: 0.15 less)."""

SILENCE = 0.1
"""Above it nobody can tell, as on a narrow telephone line; for as long as `UNSURE_S` the utterance goes on."""

FAINT_SILENCE = 0.05
"""Below it faint speech is over, where it lasts for `BREAK_S` (Silero's default: 0.15 less than what begins it)."""

CLEAR_SHARE = 0.5
"""Where less of what may be speech is clear, faint speech ends no utterance. In good recordings nearly all is clear."""

SHORTEST_S = 0.09
"""Speech of less is a click or a cough."""

BREAK_S = 0.16
"""A shorter dip does not end a beginning that is not yet sure (as in the pass over a whole recording)."""

PAUSE_S = 0.4
"""Silence that ends an utterance. 0.6 s is a quarter of a second later for nothing; 0.3 s costs words."""

LONG_S = 12.0
LONG_PAUSE_S = 0.25
"""Speech that goes on for longer than the one is ended by a shorter pause: its final would take too long."""

UNSURE_S = 1.0
"""Frames that are neither speech nor silence end it after so long."""

LEAD_S = 0.3
"""Kept before the first frame of speech, for soft beginnings."""

TAIL_S = 0.2
"""Kept behind the last."""

LONGEST_S = 25.0
"""Whisper hears 30 s, and needs silence behind the speech."""

CUT_WITHIN_S = 5.0
"""Speech without a pause is cut where it is least likely in so many last seconds."""


def frames(seconds: float) -> int:
    """How many frames it takes to fill so many seconds."""
    return int(-(-seconds // FRAME_S))


@dataclass(frozen=True, slots=True)
class Begin:
    """An utterance begins at this frame, which lies before the one that gave it away."""

    at: int


@dataclass(frozen=True, slots=True)
class End:
    """The utterance ends before this frame.

    is_cut : there was no pause
    """

    at: int
    is_cut: bool = False


class _Run:
    """Frames of speech that began with `first`, as long as no dip is too long."""

    def __init__(self, threshold: float, release: float) -> None:
        self._threshold, self._release = threshold, release
        self.first: int | None = None
        self.count = self._low = 0

    def add(self, place: int, probability: float) -> None:
        """`count` is of those that reach the threshold."""
        if probability >= self._threshold:
            self.first = place if self.first is None else self.first
            self.count += 1
        self._low = 0 if probability >= self._release else self._low + 1
        if self._low >= frames(BREAK_S):
            self.first, self.count = None, 0


class UtteranceBounds:
    """From one pause to the end of the next utterance; whoever goes on behind it takes a new one.

    start : its first frame, once there is one
    last_speech : the last frame so far in which somebody speaks
    """

    def __init__(self) -> None:
        self.start: int | None = None
        self.last_speech = 0
        self._clear, self._faint = _Run(THRESHOLD, RELEASE), _Run(FAINT_THRESHOLD, FAINT_SILENCE)
        self._probabilities: list[float] = []
        self._clear_count = self._faint_count = 0
        self._release = RELEASE
        self._quiet_since = 0

    @property
    def count(self) -> int:
        """Of frames so far."""
        return len(self._probabilities)

    @property
    def quiet(self) -> int:
        """For how many frames there was nothing that could become speech."""
        return 0 if self.start is not None or self._pending else self.count - self._quiet_since

    @property
    def _pending(self) -> bool:
        return self._clear.first is not None or self._faint.first is not None

    def add(self, probability: float) -> Begin | End | None:
        """What the next frame tells."""
        place = self.count
        self._probabilities.append(probability)
        self._clear_count += probability >= THRESHOLD
        self._faint_count += probability >= FAINT_THRESHOLD
        return self._wait(place, probability) if self.start is None else self._go_on(place, probability)

    def end(self) -> End | None:
        """The utterance's end where no more frames come."""
        return None if self.start is None else End(self._behind())

    def speech(self, end: int) -> list[tuple[int, int]]:
        """The stretches of the utterance up to `end` in which somebody speaks: first frame, and the one behind. Short
        dips belong to them, as on a telephone line, where no frame of a word may be clear."""
        spoken = [probability >= self._release for probability in self._probabilities[self.start : end]]
        edges = np.flatnonzero(np.diff([False, *spoken, False])) + (self.start or 0)
        pauses = edges[1:-1].reshape(-1, 2)
        long = pauses[pauses[:, 1] - pauses[:, 0] >= frames(BREAK_S)]
        bounds = np.concatenate([edges[:1], long.ravel(), edges[-1:]]).reshape(-1, 2)
        return [(int(first), int(behind)) for first, behind in bounds]

    def _wait(self, place: int, probability: float) -> Begin | None:
        for run in (self._clear, self._faint):
            run.add(place, probability)
        if self._pending:
            self._quiet_since = self.count
        clear, faint = self._clear.first, self._faint.first
        if clear is not None and self._clear.count >= frames(SHORTEST_S):
            first = clear if faint is None else min(clear, faint)
        elif faint is not None and self.count - faint >= frames(MIN_FAINT_S):
            first = faint
        else:
            return None
        self.start, self.last_speech = max(0, first - frames(LEAD_S)), place
        return Begin(self.start)

    def _go_on(self, place: int, probability: float) -> End | None:
        if self._clear_count < CLEAR_SHARE * self._faint_count:
            self._release = FAINT_THRESHOLD
        if probability >= self._release:
            self.last_speech = place
        silent = place - self.last_speech
        length = self.count - (self.start or 0)
        pause = frames(LONG_PAUSE_S if length >= frames(LONG_S) else PAUSE_S)
        if silent >= frames(UNSURE_S) or (silent >= pause and probability < SILENCE):
            return End(self._behind())
        if length >= frames(LONGEST_S):
            return End(self._least_likely(), is_cut=True)
        return None

    def _behind(self) -> int:
        return min(self.last_speech + 1 + frames(TAIL_S), self.count)

    def _least_likely(self) -> int:
        """The middle of the three frames together in which speech is least likely, near the end."""
        recent = self._probabilities[-frames(CUT_WITHIN_S) :]
        around = np.convolve(recent, np.ones(3), "valid")
        return self.count - len(recent) + 1 + int(around.argmin())
