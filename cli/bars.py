"""Progress bars: how far, for how long, and how long still, each on one line of a terminal of any width."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

NAME, STEP, BAR = (12, 40), (12, 36), (8, 40)
"""Columns that a name, a step and a bar take, at least and at most."""

SHORT = 4
"""Columns of a name that still tell something."""

SURE_S, SURE_PERCENT = 2.0, 1.0
"""A step that has gone on for so long, and so far, tells how long the rest of it takes."""

LATE_S = 5.0
"""Status is asked for every few seconds: an estimate that ran out longer ago says nothing any more."""


def clock(seconds: float) -> str:
    """4:05, 1:04:05."""
    whole = max(0, int(seconds))
    hours = f"{whole // 3600}:{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}"


class Estimate:
    """How long a step still takes: what the server says, else what the speed so far gives."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._name: str | None = None
        self._first = self._last = (0.0, 0.0)
        self._server_rest: tuple[float, float] | None = None

    def step(self, name: str, percent: float, left_s: float | None) -> None:
        """Where the step `name` is now; `left_s` is the server's own estimate, if it has one."""
        now = self._now()
        if name != self._name or percent < self._last[1]:
            self._name, self._first = name, (now, percent)
        if percent != self._last[1] or self._first[0] == now:
            self._last = (now, percent)
        self._server_rest = None if left_s is None else (now, left_s)

    def left_s(self) -> float | None:
        """Seconds from now; None while nothing tells, and where the estimate has proved wrong."""
        if self._server_rest:
            since, rest_s = self._server_rest
        else:
            (began, start), (since, percent) = self._first, self._last
            if since - began < SURE_S or percent - start < SURE_PERCENT:
                return None
            rest_s = (since - began) * (100 - percent) / (percent - start)
        left_s = rest_s - (self._now() - since)
        return max(0.0, left_s) if left_s > -LATE_S else None


@dataclass(slots=True, eq=False)
class Bar:
    """One line. `step` is what is being done, `percent` how much of it is."""

    name: str
    step: str = ""
    percent: float = 0
    began: float = field(default_factory=time.monotonic)
    estimate: Estimate = field(default_factory=Estimate)

    def numbers(self) -> tuple[str, str, str]:
        """Percent, time gone, time left."""
        rest_s = self.estimate.left_s()
        elapsed = clock(time.monotonic() - self.began)
        return f"{int(self.percent)}%", elapsed, f"{'-:--' if rest_s is None else clock(rest_s)} left"


class Bars:
    """Lines that are drawn again and again. Lists are copied before they are read, as other threads change them."""

    def __init__(self) -> None:
        self.lines: list[Bar] = []

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        has_colour = console.color_system is not None and not console.no_color
        yield from drawn(list(self.lines), options.max_width, has_colour=has_colour, ascii_only=options.ascii_only)


def drawn(bars: Sequence[Bar], width: int, *, has_colour: bool = False, ascii_only: bool = False) -> list[Text]:
    """A line per bar, none wider than `width`. Where it is narrow the bar goes first, then the step, then the name."""
    numbers = [bar.numbers() for bar in bars]
    columns = [max((len(each[n]) for each in numbers), default=0) for n in range(3)]
    while len(columns) > 1 and sum(columns) + len(columns) - 1 > width:
        columns.pop()
    room = width - sum(columns) - len(columns) + 1
    names, steps = [_printable(bar.name) for bar in bars], [_printable(bar.step) for bar in bars]
    needs = [max(map(cell_len, names), default=0), max(map(cell_len, steps), default=0), BAR[1]]
    widths = _shared(room, needs)
    dots = "." if ascii_only else "…"
    lines = []
    for bar, name, step, texts in zip(bars, names, steps, numbers, strict=True):
        line = Text(no_wrap=True, overflow="crop", end="\n")
        if widths[0]:
            line.append(_end(name, widths[0], dots) + " ")
        if widths[2]:
            mark = "-" if ascii_only else "━"
            fill = round(widths[2] * min(100, max(0, bar.percent)) / 100)
            line.append(mark * fill, "bar.complete")
            line.append((mark if has_colour else " ") * (widths[2] - fill), "bar.back")
            line.append(" ")
        line.append(texts[0].rjust(columns[0]), "progress.percentage")
        if widths[1]:
            line.append(" " + _beginning(step, widths[1], dots))
        for text, column, style in zip(
            texts[1:], columns[1:], ("progress.elapsed", "progress.remaining"), strict=False
        ):
            line.append(" ")
            line.append(text.rjust(column), style)
        lines.append(line)
    return lines


def _shared(room: int, needs: Sequence[int]) -> list[int]:
    """Widths of name, step and bar, 0 for one that has no place. Each costs a space as well."""
    limits = (NAME, STEP, BAR)
    widths = [0, 0, 0]
    for n, need in enumerate(needs):
        least = min(need, limits[n][0])
        if n == 0 and room - 1 >= SHORT:
            least = min(least, room - 1)
        if least > 0 and room >= least + 1:
            widths[n], room = least, room - least - 1
        elif least > 0:
            break
    for n, need in enumerate(needs):
        if widths[n]:
            more = min(room, min(need, limits[n][1]) - widths[n])
            widths[n], room = widths[n] + more, room - more
    return widths


def _end(text: str, width: int, mark: str) -> str:
    """The text, `width` columns wide. One that is longer loses its beginning: recordings differ at the end."""
    if cell_len(text) > width:
        while cell_len(text) > width - 1:
            text = text[1:]
        text = mark + text
    return set_cell_size(text, width)


def _beginning(text: str, width: int, mark: str) -> str:
    """The text, `width` columns wide; 61 % is not to be read as 6."""
    return set_cell_size(text if cell_len(text) <= width else set_cell_size(text, width - 1) + mark, width)


def _printable(text: str) -> str:
    """Nothing that moves the cursor or cannot be encoded: names of files may hold anything."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
