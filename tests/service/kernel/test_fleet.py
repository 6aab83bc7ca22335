"""Who counts as working on a queue, who as deaf."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from scripts import health_check
from shared.config import Settings
from shared.db import session
from shared.kernel import fleet
from shared.models import Worker

LISTENS, DEAF, SILENT, LOST, FORGOTTEN = (f"{name}@of-this-test" for name in ("a", "b", "c", "d", "e"))
SILENCE_S = {SILENT: 45, LOST: 3600, FORGOTTEN: 90_000}


@pytest.fixture
def workers(environment: Settings) -> Iterator[Session]:
    """Five workers of two queues and no other."""
    with session() as work:
        work.execute(delete(Worker))
        for name in (LISTENS, DEAF, SILENT, LOST, FORGOTTEN):
            fleet.show(work, name, ["asr", "cpu"], 3, deaf=name == DEAF)
        for name, seconds in SILENCE_S.items():
            work.execute(
                update(Worker).where(Worker.name == name).values(seen_at=func.now() - timedelta(seconds=seconds))
            )
        yield work
        work.execute(delete(Worker))


def test_only_who_listens_works(workers: Session) -> None:
    """One of five: another is deaf, one has been silent for less than ten minutes, the others are forgotten."""
    crews = fleet.crews(workers)
    assert crews["asr"] == crews["cpu"] == fleet.Crew(workers=1, slots=3, deaf=2)
    assert crews["io"] == fleet.Crew(workers=0, slots=0, deaf=0)


def test_who_leaves_is_gone_at_once(workers: Session) -> None:
    """With the row of the worker that leaves go those that have been silent for a day."""
    fleet.leave(workers, LISTENS)
    assert set(workers.scalars(select(Worker.name))) == {DEAF, SILENT, LOST}
    assert fleet.crews(workers)["asr"] == fleet.Crew(workers=0, slots=0, deaf=2)


def test_who_is_heard_again_works_again(workers: Session) -> None:
    """A worker that was started again under its name is deaf no more."""
    fleet.show(workers, DEAF, ["asr"], 1, deaf=False)
    assert fleet.crews(workers)["asr"] == fleet.Crew(workers=2, slots=4, deaf=1)
    assert fleet.crews(workers)["cpu"].workers == 1


def test_a_pod_is_ready_once_its_worker_was_heard_from(environment: Settings) -> None:
    """By the name of its host, behind which a live worker's has its process."""
    names = ("asr@pod-a", "live@pod-b:17")
    with session() as work:
        for name in names:
            fleet.show(work, name, ["asr"], 1, deaf=False)
    try:
        assert [health_check.worker(host) for host in ("pod-a", "pod-b")] == [None, None]
        assert [health_check.worker(host) for host in ("pod", "b", "pod-c")].count(None) == 0
    finally:
        with session() as work:
            work.execute(delete(Worker).where(Worker.name.in_(names)))


@pytest.mark.parametrize("others", [0, 1, 29])
def test_workers_take_turns_to_sweep(workers: Session, others: int) -> None:
    """In each interval two live workers sweep, of thirty too, and each in its turn. A worker that fell silent has no
    turn, and one that is alone always has. Those of live sessions, which do not sweep, are left out."""
    names = [f"{number}@crowd" for number in range(others)]
    workers.execute(delete(Worker).where(Worker.name == DEAF))
    workers.execute(insert(Worker), [{"name": f"live@{number}", "queues": ["live"], "slots": 1} for number in range(3)])
    if names:
        workers.execute(insert(Worker), [{"name": name, "queues": ["asr"], "slots": 1} for name in names])
    live = [LISTENS, *names]
    rounds = [{name for name in live if fleet.has_turn(workers, name, interval)} for interval in range(len(live))]
    assert {len(sweepers) for sweepers in rounds} == {min(fleet.SWEEPERS, len(live))}
    assert set().union(*rounds) == set(live)


def test_models_are_those_of_all_workers_that_recognise(workers: Session) -> None:
    """What one has installed or loaded counts, but not that of a deaf or silent one, or of one of other queues."""
    fleet.show(workers, LISTENS, ["asr"], 1, deaf=False, stock=fleet.Stock(["base", "tiny"], ["base"]))
    fleet.show(workers, "f@of-this-test", ["asr"], 1, deaf=False, stock=fleet.Stock(["tiny"], ["tiny"]))
    fleet.show(workers, DEAF, ["asr"], 1, deaf=True, stock=fleet.Stock(["small"], ["small"]))
    fleet.show(workers, "g@of-this-test", ["io"], 1, deaf=False)
    for name in (SILENT, LOST, FORGOTTEN):
        workers.execute(update(Worker).where(Worker.name == name).values(installed=["medium"], loaded=["medium"]))
    stock = fleet.stock(workers)
    assert [stock.has_installed(name) for name in ("base", "tiny", "small", "medium")] == [True, True, False, False]
    assert [stock.has_loaded(name) for name in ("base", "tiny", "small", "medium")] == [True, True, False, False]


def test_a_model_is_unknown_rather_than_missing_while_a_worker_does_not_say(workers: Session) -> None:
    """As one of an older release; what another one has is certain. Of no worker at all nothing is known."""
    fleet.show(workers, "f@of-this-test", ["asr"], 1, deaf=False, stock=fleet.Stock(["tiny"], []))
    stock = fleet.stock(workers)
    assert [stock.has_installed(name) for name in ("tiny", "base")] == [True, None]
    assert stock.has_loaded("tiny") is None
    workers.execute(delete(Worker).where(Worker.name == LISTENS))
    assert [fleet.stock(workers).has_installed(name) for name in ("tiny", "base")] == [True, False]
    workers.execute(delete(Worker))
    assert [fleet.stock(workers).has_installed("tiny"), fleet.stock(workers).has_loaded("tiny")] == [None, None]


def test_everybody_counts_intervals_alike(workers: Session) -> None:
    """By the database's clock, from its first second."""
    now = float(workers.execute(select(func.extract("epoch", func.now()))).scalar_one())
    assert fleet.present_interval(workers, 2.5) == int(now / 2.5)
