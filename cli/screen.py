"""What a run looks like on stderr: a bar per recording on a terminal, a line per step anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from cli.bars import Bar, Bars


class Row:
    """One recording, task or batch on the screen. Safe to call from its own thread."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name
        self._bar: Bar | None = None
        self._step = ""

    def step(self, step: str, percent: float, left_s: float | None = None) -> None:
        """What is being done, how much of it is, and the seconds left, where the server knows them."""
        # `transcribe 61 %` and `transcribe 62 %` are one step
        word = step.partition(" ")[0]
        bars = self._screen.bars
        if bars is None:
            # without bars a line says what begins; how it goes on is not worth more of them
            if word != self._step:
                self._step = word
                self._screen.say(f"{self._name}: {word}")
            return
        if self._bar is None:
            self._bar = Bar(self._name)
            bars.lines.append(self._bar)
        self._bar.step, self._bar.percent = step, percent
        is_local = word in ("reading", "uploading")
        self._bar.estimate.step(word if is_local else "on the server", percent, left_s)

    def end(self, outcome: str) -> None:
        """The bar makes room for a line that stays."""
        if self._screen.bars is not None and self._bar is not None:
            self._screen.bars.lines.remove(self._bar)
        self._screen.say(f"{self._name}: {outcome}")


class Screen:
    """A context in which rows are drawn. `quiet` leaves only what goes wrong."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self.bars: Bars | None = None
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self.bars = Bars()
            # stdout may be a file: only what goes to the same terminal has to make room
            self._live = Live(
                self.bars, console=self._console, transient=True, refresh_per_second=4, redirect_stdout=False
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def row(self, name: str) -> Row:
        return Row(self, name)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)

    def print(self, line: str) -> None:
        """A line of the result, to stdout; on a terminal above the bars."""
        if self.bars is not None and sys.stdout.isatty():
            self.say(line)
        else:
            print(line, flush=True)


def complain(line: str) -> None:
    """A line about what went wrong, whether or not anybody wants to hear of the rest."""
    print(line, file=sys.stderr, flush=True)
