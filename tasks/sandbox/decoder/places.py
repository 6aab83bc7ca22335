"""Places of a recording about which something is to be said."""

from __future__ import annotations

JOIN_S = 2.0
"""Places with less between them are one."""

MAX_PLACES = 100
"""More would be a list that nobody reads: beyond that the last one grows."""


class Places:
    """Stretches of a recording, added in order of time, or for another track once more from the beginning, and of what
    is lost in each how many seconds. They grow together where little lies between them.
    """

    def __init__(self) -> None:
        self._stretches: list[tuple[float, float, float]] = []

    def add(self, start: float, end: float, lost: float = 0.0) -> None:
        """Note `start` to `end`."""
        last = self._stretches[-1] if self._stretches else None
        if last is not None and (last[0] <= start < last[1] + JOIN_S or len(self._stretches) == MAX_PLACES):
            self._stretches[-1] = (last[0], max(last[1], end), last[2] + lost)
        else:
            self._stretches.append((start, end, lost))

    def as_fields(self) -> list[dict[str, float]]:
        """As the parent reads them, to the millisecond."""
        return [
            {"start": round(start, 3), "end": round(end, 3), "lost": round(lost, 3)}
            for start, end, lost in sorted(self._stretches)
        ]
