"""What a running download may still cost, and how far it is."""

from __future__ import annotations

import time

from shared.errors import SourceUnavailable
from shared.transcript import Progress
from tasks.stages.download import FetchLimits, too_large


class Budget:
    """Counts bytes and time. `total_bytes` is what the source announced, if anything; it is believed for progress only.

    Without it the progress is the share of the allowed size: it only ever rises, and a watchdog sees that it moves.
    """

    def __init__(self, limits: FetchLimits, total_bytes: int | None, progress: Progress) -> None:
        self._limits, self._progress = limits, progress
        self._total = total_bytes or limits.max_bytes
        self._spent = 0
        self._deadline = time.monotonic() + limits.timeout_s
        if total_bytes and total_bytes > limits.max_bytes:
            raise too_large(limits)

    def spend(self, size: int) -> None:
        """Some bytes have come. Raises FileTooLarge, SourceUnavailable when time is up, and what `progress` raises."""
        self._spent += size
        if self._spent > self._limits.max_bytes:
            raise too_large(self._limits)
        if time.monotonic() > self._deadline:
            raise SourceUnavailable(f"Fetching the recording took longer than {self._limits.timeout_s:g} seconds.")
        self._progress(min(self._spent / self._total, 1.0))
