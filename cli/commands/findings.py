"""What `parley doctor` finds out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `advice` is what to do about it, empty where there is nothing to do."""

    name: str
    verdict: Verdict
    said: str
    advice: str = ""
