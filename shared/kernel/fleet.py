"""The fleet of workers: who works on each queue, and who is there and does not."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.kernel.ring_window import LIVE_S
from shared.models import Worker
from shared.stages import STAGES, queues

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


@dataclass(frozen=True, slots=True)
class Stock:
    """Speech models of a worker, or of all of them: `installed` ones have their weights on a disk, `loaded` ones are in
    memory. It is not `is_whole` when some worker did not say what it has, or none is there."""

    installed: Collection[str]
    loaded: Collection[str]
    is_whole: bool = True

    def has_installed(self, name: str) -> bool | None:
        """Whether a worker has the weights; None when nobody knows."""
        return self._has(name, self.installed)

    def has_loaded(self, name: str) -> bool | None:
        """Whether a worker has the model in memory; None when nobody knows."""
        return self._has(name, self.loaded)

    def _has(self, name: str, names: Collection[str]) -> bool | None:
        return True if name in names else False if self.is_whole else None


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


def stock(work: Session) -> Stock:
    """The speech models of all workers that now take what is to be recognised."""
    silent_s = func.extract("epoch", func.now() - Worker.seen_at)
    serves = Worker.queues.contains([STAGES["transcribe"].queue])
    # workers of one kind mostly have the same, so that a large fleet is a few rows, too
    query = select(Worker.installed, Worker.loaded).where(silent_s < LIVE_S, ~Worker.deaf, serves).distinct()
    rows = work.execute(query).all()
    return Stock(
        installed={name for installed, _ in rows for name in installed or ()},
        loaded={name for _, loaded in rows for name in loaded or ()},
        is_whole=bool(rows) and all(installed is not None for installed, _ in rows),
    )


def show(work: Session, name: str, queues: list[str], slots: int, *, deaf: bool, stock: Stock | None = None) -> None:
    """The sign of life of a worker. `stock` is None where it knows of no speech models."""
    news = {
        "queues": queues,
        "slots": slots,
        "deaf": deaf,
        "installed": sorted(stock.installed) if stock else None,
        "loaded": sorted(stock.loaded) if stock else None,
    }
    row = insert(Worker).values(name=name, **news)
    seen = {"seen_at": func.clock_timestamp()}
    work.execute(row.on_conflict_do_update(index_elements=["name"], set_=news | seen))


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
