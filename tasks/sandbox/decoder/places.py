"""Places of a recording about which something is to be said."""

from __future__ import annotations

JOIN_S = 2.0
"""Places with less between them are one."""

MAX_PLACES = 100
"""More would be a list that nobody reads: beyond that the last one grows."""


class Places:
    """Stretches in seconds, added in order of time, or for another track once more from the beginning. They grow
    together where little lies between them.
    """

    def __init__(self) -> None:
        self.stretches: list[list[float]] = []

    def add(self, start: float, end: float) -> None:
        """Note `start` to `end`."""
        last = self.stretches[-1] if self.stretches else None
        if last is not None and (last[0] <= start < last[1] + JOIN_S or len(self.stretches) == MAX_PLACES):
            last[1] = max(last[1], end)
        else:
            self.stretches.append([start, end])

    def as_fields(self) -> list[dict[str, float]]:
        """As the parent reads them, to the millisecond."""
        return [{"start": round(start, 3), "end": round(end, 3)} for start, end in sorted(self.stretches)]
