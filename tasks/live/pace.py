"""How fast a live worker is, measured on the speech that it hears, and how many sessions it so carries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

FIRST_PLACES = 2
"""Before anything is measured. Every supported model that is fit for live text carries two on two cores."""

ENOUGH_S = 10.0
"""Speech after which the measurement counts."""

HALF_LIFE_S = 60.0
"""Speech after which a measurement counts half: models and neighbours on the machine change."""

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
    """

    def __init__(self, most: int, load: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._load, self._clock = most, load, clock
        self._lock = threading.Lock()
        self._active = 0
        self._since = self._each_s = 0.0
        self._work_s = self._speech_s = self._heard_s = 0.0
        self._due = self._missed = 0.0

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

    def hear(self, speech_s: float, share: Share, made: int = 0, missed: int = 0) -> None:
        """So much speech was gone through, with so many partials; so many more were due."""
        with self._lock:
            keep = 0.5 ** (speech_s / HALF_LIFE_S)
            self._work_s = self._work_s * keep + share.seconds
            self._speech_s = self._speech_s * keep + speech_s
            self._due, self._missed = self._due * keep + made + missed, self._missed * keep + missed
            self._heard_s += speech_s

    @property
    def cost(self) -> float | None:
        """Seconds of work for a second of speech; None before enough was heard."""
        with self._lock:
            return self._work_s / self._speech_s if self._heard_s >= ENOUGH_S else None

    def places(self, held: int) -> int:
        """How many sessions the worker carries, at least one. `held` are those that it has."""
        cost = self.cost
        if not self._load:
            return self._most
        if cost is None:
            return min(self._most, FIRST_PLACES)
        carried = self._most if cost <= 0 else min(self._most, int(self._load / cost))
        if self._missed > MISSED_SHARE * self._due:
            carried = min(carried, held)
        return max(1, carried)

    def _count(self) -> None:
        """`_each_s` is the time that a session would have had which asks all the time."""
        now = self._clock()
        if self._active:
            self._each_s += (now - self._since) / self._active
        self._since = now
