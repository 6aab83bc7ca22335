"""How old a live session is, by one clock at a time: those of the machines need not agree."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Age:
    """`seconds` by PostgreSQL's clock when it was asked, then on by this process's monotonic one."""

    seconds: float = 0.0
    at: float = field(default_factory=time.monotonic)

    @property
    def now_s(self) -> float:
        """That of now."""
        return self.seconds + time.monotonic() - self.at
