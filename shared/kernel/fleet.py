"""The fleet of workers: who works on each queue, and who is there and does not."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.kernel.ring_window import LIVE_S
from shared.models import Worker
from shared.stages import queues

LOST_S = 600.0
"""How long a worker that fell silent without a goodbye counts as deaf: until then whoever started it should have
started it again, and somebody should have seen it."""

FORGOTTEN_S = 86_400.0
"""How long its row is kept."""

SWEEPERS = 4
"""Workers that sweep in each interval, on average. One would do; that none does three times in a row happens once in
160,000 times."""


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of one queue. `deaf` ones are not among the others: they live and take nothing, or fell silent."""

    workers: int
    slots: int
    deaf: int


def crews(work: Session) -> Mapping[str, Crew]:
    """The crew of every queue, by its name, those of queues that nobody serves too."""
    silent_s = func.extract("epoch", func.now() - Worker.seen_at)
    rows = work.execute(select(Worker.queues, Worker.slots, Worker.deaf, silent_s).where(silent_s < LOST_S)).all()
    by_queue = {}
    for queue in queues():
        serving = [(slots, not deaf and silent < LIVE_S) for queues, slots, deaf, silent in rows if queue in queues]
        working = [slots for slots, works in serving if works]
        by_queue[queue] = Crew(workers=len(working), slots=sum(working), deaf=len(serving) - len(working))
    return by_queue


def show(work: Session, name: str, queues: list[str], slots: int, *, deaf: bool) -> None:
    """The sign of life of a worker."""
    row = insert(Worker).values(name=name, queues=queues, slots=slots, deaf=deaf)
    news = {"queues": queues, "slots": slots, "deaf": deaf, "seen_at": func.clock_timestamp()}
    work.execute(row.on_conflict_do_update(index_elements=["name"], set_=news))


def has_turn(work: Session) -> bool:
    """Whether this worker is to sweep now: all of a small fleet do, of a large one a few, by chance.

    Every sweep finds the same, so a thousand workers that all sweep would ask a thousand times.
    """
    live = work.scalar(select(func.count()).where(func.extract("epoch", func.now() - Worker.seen_at) < LIVE_S))
    return random.random() * (live or 1) < SWEEPERS  # noqa: S311


def leave(work: Session, name: str) -> None:
    """The goodbye of a worker; those who never said one are forgotten after a day."""
    old = func.extract("epoch", func.now() - Worker.seen_at) > FORGOTTEN_S
    work.execute(delete(Worker).where((Worker.name == name) | old))
