"""Rings of the doorbell: what a worker is told when a stage may be claimed, and how urgent that is."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from shared.options import PRIORITIES

LEVELS = 2 * len(PRIORITIES)
"""Lists per queue in Redis, smaller first: the first task of each key, by priority, then their further ones."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A doorbell for the workers of `queue`: this stage may be claimed. A smaller `level` is heard first."""

    job_id: uuid.UUID
    stage: str
    shard: int
    queue: str
    level: int


def level(priority: int, *, is_first: bool) -> int:
    """The level at which a stage is rung. `is_first`: its key has nothing running or rung there that is as urgent."""
    return priority if is_first else len(PRIORITIES) + priority
