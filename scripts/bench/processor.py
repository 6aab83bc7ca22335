"""Processor time of the programs of a stack, per request or job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import psutil

from scripts.local.stack import Stack

T = TypeVar("T")


def cpu_s(pid: int) -> float:
    """Seconds of a program by its first process, with all its children, also those that have ended."""
    total = 0.0
    first = psutil.Process(pid)
    for process in (first, *first.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.Error:  # it has just ended, and its parent counts it from now on
            continue
    return total


class Meter:
    """Adds up what programs take while acts are done; the first one warms up and does not count.

    `programs`: name -> stack and the program's name in it.
    """

    def __init__(self, programs: Mapping[str, tuple[Stack, str]]) -> None:
        self._programs = programs
        self._used = dict.fromkeys(programs, 0.0)
        self._is_warm, self.count = False, 0

    def __call__(self, act: Callable[[], T], count: Callable[[T], int] = lambda _: 1) -> T:
        """Do it; `count` says of its result how many requests or jobs it was."""
        if not self._is_warm:
            self._is_warm = True
            return act()
        before = self._read()
        result = act()
        for name, seconds in self._read().items():
            self._used[name] += seconds - before[name]
        self.count += count(result)
        return result

    @property
    def total_ms(self) -> float:
        """Of all programs, per request or job."""
        return 1000 * sum(self._used.values()) / max(1, self.count)

    def __str__(self) -> str:
        """As `1.23 CPU-ms: api 0.80, postgres 0.43`."""
        parts = (f"{name} {1000 * seconds / max(1, self.count):.2f}" for name, seconds in self._used.items())
        return f"{self.total_ms:.2f} CPU-ms: {', '.join(parts)}"

    def _read(self) -> dict[str, float]:
        pids = {name: stack.pid(program) for name, (stack, program) in self._programs.items()}
        return {name: cpu_s(pid) for name, pid in pids.items() if pid is not None}


def programs(stack: Stack) -> dict[str, tuple[Stack, str]]:
    """All of a stack."""
    return {name: (stack, name) for name in stack.names()}
