"""How fast a live worker is, tried before the first session and measured on the speech that it hears, and how many
sessions it so carries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FIRST_PLACES = 2
"""Before anything is tried or measured. Every supported model that is fit for live text carries two on two cores."""

ENOUGH_S = 10.0
"""Speech after which the measurement counts."""

TRIED_S = 20.0
"""Speech of which what was tried counts as much."""

HALF_LIFE_S = 60.0
"""Speech after which a measurement counts half: models and neighbours on the machine change. Sound after which it does
how much of it was speech."""

USUALLY_SPOKEN = 0.75
"""Share of the sound that is speech, where nothing was heard: 0.7 of a call, 0.97 of a reading."""

LEAST_SPOKEN = 0.5
"""However little is said: those that are silent now may all speak at the same time, and then partials are skipped until
they do no more."""

MISSED_SHARE = 0.1
"""Of partials that were due. Where more are missed the worker is at its limit, whatever the model costs."""


@dataclass(slots=True)
class Share:
    """Of the model's time what one session has had, once its question is answered."""

    seconds: float = 0.0


class Pace:
    """Shared by all sessions of a process, whose model works for one after the other or for several at once.

    most : places at most, whatever is measured
    load : share of the time that the model may be at work. Above it sessions wait for one another, and text comes
        later. With 0 there are always `most` places
    workers : sessions that the model works for at once. Where fewer ask it does less than it could
    has_heard_speech : whether what speech costs was measured
    """

    def __init__(self, most: int, load: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._load, self._clock = most, load, clock
        self.workers = 1
        self._lock = threading.Lock()
        self._active = 0
        self._since = self._each_s = 0.0
        self._work_s = self._speech_s = self._heard_s = 0.0
        self._due = self._missed = 0.0
        self._sound_s = self._spoken_s = HALF_LIFE_S
        self._has_heard = self.has_heard_speech = False
        self._supposed: float | None = None

    @contextmanager
    def work(self) -> Iterator[Share]:
        """Around what a session asks of the model. Time in which several ask is shared out among them."""
        share = Share()
        with self._lock:
            self._count()
            self._active += 1
            begin_s = self._each_s
        try:
            yield share
        finally:
            with self._lock:
                self._count()
                self._active -= 1
                share.seconds = self._each_s - begin_s

    def hear(self, speech_s: float, share: Share, passes: int = 0, missed: int = 0) -> None:
        """So much speech was gone through, with so many partials; so many more were due."""
        with self._lock:
            keep = 0.5 ** (speech_s / HALF_LIFE_S)
            self._work_s = self._work_s * keep + share.seconds
            self._speech_s = self._speech_s * keep + speech_s
            self._due, self._missed = self._due * keep + passes + missed, self._missed * keep + missed
            self._heard_s += speech_s
            self.has_heard_speech = True
            self._go_by(speech_s, speech_s)

    def rest(self, seconds: float) -> None:
        """So much sound was gone through in which nobody spoke."""
        with self._lock:
            self._go_by(seconds, 0.0)

    def suppose(self, cost: float) -> None:
        """Seconds of work that a second of speech takes, as far as can be told without any. Without that nothing is
        known of those who will speak either, and all of their sound counts as speech. Where some was heard already,
        how much of it was speech is known, and stays. Told again, the least counts, until speech is heard."""
        with self._lock:
            if self._supposed is None:
                self._work_s += TRIED_S * cost
                self._speech_s += TRIED_S
                self._heard_s += TRIED_S
                self._supposed = cost
                if not self._has_heard:
                    self._spoken_s *= USUALLY_SPOKEN
            elif cost < self._supposed and not self.has_heard_speech:
                self._work_s = TRIED_S * cost
                self._supposed = cost

    @property
    def cost(self) -> float | None:
        """Seconds of work for a second of speech; None before it was tried or enough was heard."""
        with self._lock:
            return self._work_s / self._speech_s if self._heard_s >= ENOUGH_S else None

    @property
    def spoken(self) -> float:
        """Share of the sound that is speech, as far as is counted on."""
        return max(LEAST_SPOKEN, self._spoken_s / self._sound_s)

    def places(self, held: int) -> int:
        """How many sessions the worker carries, at least one. `held` are those that it has."""
        cost = self.cost
        if not self._load:
            return self._most
        if cost is None:
            return min(self._most, FIRST_PLACES)
        carried = self._most if cost <= 0 else min(self._most, int(self._load / (cost * self.spoken)))
        if self._missed > MISSED_SHARE * self._due:
            carried = min(carried, held)
        return max(1, carried)

    def _go_by(self, sound_s: float, spoken_s: float) -> None:
        self._has_heard = True
        keep = 0.5 ** (sound_s / HALF_LIFE_S)
        self._sound_s = self._sound_s * keep + sound_s
        self._spoken_s = self._spoken_s * keep + spoken_s

    def _count(self) -> None:
        """`_each_s` is the time of the whole model that a session would have had which asks all the time."""
        now = self._clock()
        if self._active:
            self._each_s += (now - self._since) / max(self._active, self.workers)
        self._since = now
