"""What a run looks like on stderr: a bar per recording on a terminal, a line per step anywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

NAME_COLUMNS = 40
"""A name that is longer loses its beginning: recordings differ at the end."""


class Row:
    """One recording on the screen. Safe to call from its own thread."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name
        self._bar: TaskID | None = None
        self._step = ""

    def step(self, step: str, percent: float) -> None:
        """What is being done, and how much of it is."""
        bars = self._screen.bars
        if bars is None:
            # without bars a line says what begins; how it goes on is not worth more of them
            if (word := step.partition(" ")[0]) != self._step:
                self._step = word
                self._screen.say(f"{self._name}: {word}")
            return
        if self._bar is None:
            short = self._name if len(self._name) <= NAME_COLUMNS else "…" + self._name[1 - NAME_COLUMNS :]
            self._bar = bars.add_task(escape(short), total=100, step="")
        bars.update(self._bar, completed=percent, step=escape(step))

    def end(self, outcome: str) -> None:
        """The bar makes room for a line that stays."""
        if self._screen.bars is not None and self._bar is not None:
            self._screen.bars.remove_task(self._bar)
        self._screen.say(f"{self._name}: {outcome}")


class Screen:
    """A context in which rows are drawn. `quiet` leaves only what goes wrong."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self.bars: Progress | None = None
        if self._console.is_terminal and not quiet:
            self.bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[step]}"),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def row(self, name: str) -> Row:
        return Row(self, name)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False)


def complain(line: str) -> None:
    """A line about what went wrong, whether or not anybody wants to hear of the rest."""
    print(line, file=sys.stderr, flush=True)
