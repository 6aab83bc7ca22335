"""Rows of benches: sides that run in turn in one process (A B A B ...), compared pair by pair, within a time limit."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

Side = Callable[[], float]


class TimeOver(Exception):
    """The bench has reached its time limit."""


@dataclass(frozen=True)
class Deadline:
    """When no further round begins, by `time.monotonic()`."""

    at: float

    def has(self, seconds: float) -> bool:
        """Whether so much time is left."""
        return time.monotonic() + seconds <= self.at


@contextmanager
def time_limit(seconds: float) -> Iterator[Deadline]:
    """The deadline is at four fifths of the limit. At the limit itself TimeOver is raised in the block, whose servers
    are stopped on the way out."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeOver(f"{seconds:g} s are over")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield Deadline(time.monotonic() + 0.8 * seconds)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Goal:
    """A bound on a ratio or a figure: at most, or with `is_floor` at least."""

    bound: float
    is_floor: bool = False

    def verdict(self, values: Sequence[float]) -> str:
        """No verdict where values lie on both sides of the bound: then the machine decided, not the program."""
        good = [value >= self.bound if self.is_floor else value <= self.bound for value in values]
        if not values:
            return "not run"
        if any(good) and not all(good):
            return "no verdict"
        return "met" if all(good) else "MISSED"

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {self.bound:g}"


def rounds(sides: Mapping[str, Side], count: int, deadline: Deadline) -> dict[str, list[float]]:
    """One warm-up of each side, then `count` rounds of all, every other one backwards; fewer when time runs out."""
    for side in sides.values():
        side()
    measured: dict[str, list[float]] = {name: [] for name in sides}
    longest_s = 0.0
    for number in range(count):
        if not deadline.has(longest_s):
            break
        began = time.monotonic()
        for name in list(sides) if number % 2 == 0 else list(sides)[::-1]:
            measured[name].append(sides[name]())
        longest_s = max(longest_s, time.monotonic() - began)
    return measured


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Pair by pair, in ascending order."""
    return sorted(a / b for a, b in zip(numerators, denominators, strict=True))


def row(name: str, values: Sequence[float], goal: Goal | None = None, note: str = "") -> str:
    """A line of a table: median, range and verdict of ratios or figures."""
    if not values:
        return f"{name:<58} not run"
    span = f"{statistics.median(values):8.3f}" + (f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else "")
    verdict = "" if goal is None else f"   goal {goal} {goal.verdict(values)}"
    count = f"   {len(values)} pairs" if len(values) > 1 else ""
    return f"{name:<58}{span}{verdict}{count}{'   ' + note if note else ''}"
