"""The fleet of workers: who works on each queue, and who is there and does not."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.config import Settings
from shared.errors import ModelNotInstalled
from shared.kernel.ring_window import LIVE_S
from shared.models import Stage, Worker
from shared.stages import STAGES, queues
from shared.states import SETTLED

LOST_S = 600.0
"""How long a worker that fell silent without a goodbye counts as deaf: until then whoever started it should have
started it again, and somebody should have seen it."""

FORGOTTEN_S = 86_400.0
"""How long its row is kept."""

LATELY_S = 5.0
"""For so long a model that was found counts as installed without another look."""

SWEEPERS = 2
"""Workers that sweep in each interval. One would do, but for its turn that a worker misses when it has just died or is
held up."""


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


def crews(work: Session, *more: str) -> Mapping[str, Crew]:
    """The crew of every queue and of `more`, by its name, those of queues that nobody serves too."""
    silent_s = func.extract("epoch", func.now() - Worker.seen_at)
    rows = work.execute(select(Worker.queues, Worker.slots, Worker.deaf, silent_s).where(silent_s < LOST_S)).all()
    by_queue = {}
    for queue in (*queues(), *more):
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


def check_model(work: Session, job_id: uuid.UUID, name: str, config: Settings) -> None:
    """Raises ModelNotInstalled when all workers say what they have, none has this model, and the job would need it.

    The default is not asked about: a worker that has it not does not start, and its list may be without.
    """
    if name in ("auto", config.whisper_model) or name in _installed_lately(work):
        return
    # who has just brought the weights waits for no cache
    if stock(work).has_installed(name) is False:
        steps = (Stage.job_id == job_id, Stage.name == "transcribe", Stage.state.not_in(SETTLED))
        if work.scalar(select(Stage.job_id).where(*steps).limit(1)):
            raise ModelNotInstalled(f"No worker has the weights of the model {name}.", parameter="model")


def is_surely_installed(name: str, config: Settings) -> bool:
    """Whether `check_model` would let the model pass, as far as this process knows without asking."""
    read_at, names = _lately
    is_known = name in names and time.monotonic() - read_at <= LATELY_S
    return is_known or name in ("auto", config.whisper_model)


def _installed_lately(work: Session) -> Collection[str]:
    """What some worker had a few seconds ago."""
    global _lately
    read_at, names = _lately
    if time.monotonic() - read_at > LATELY_S:
        names = stock(work).installed
        _lately = (time.monotonic(), names)
    return names


_lately: tuple[float, Collection[str]] = (-math.inf, ())


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
    timestamp = {"seen_at": func.clock_timestamp()}
    work.execute(row.on_conflict_do_update(index_elements=["name"], set_=news | timestamp))


def present_interval(work: Session, seconds: float) -> int:
    """The number of the interval of so many seconds that it is now, by the database's clock: all count alike."""
    return int(work.execute(select(func.extract("epoch", func.now()))).scalar_one() // Decimal(seconds))


def has_turn(work: Session, name: str, interval: int) -> bool:
    """Whether the worker `name` is to sweep in this interval: the live workers take turns in the order of their names.

    Every sweep finds the same, so a thousand workers that all sweep would ask a thousand times.
    """
    before = func.count().filter(Worker.name < name)
    is_live = func.extract("epoch", func.now() - Worker.seen_at) < LIVE_S
    sweeps = Worker.queues.overlap(list(queues()))  # those of live sessions do not
    live, place = work.execute(select(func.count(), before).where(is_live, sweeps)).one()
    return (place - interval) % max(live, 1) < SWEEPERS


def leave(work: Session, name: str) -> None:
    """The goodbye of a worker; those who never said one are forgotten after a day."""
    old = func.extract("epoch", func.now() - Worker.seen_at) > FORGOTTEN_S
    work.execute(delete(Worker).where((Worker.name == name) | old))
