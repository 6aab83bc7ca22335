"""The state of the whole service as gauges, asked of its servers at each scrape: any gateway gives the same answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared.db import session
from shared.errors import DatabaseUnavailable
from shared.kernel.fleet import crews
from shared.ledger import counts, folding
from shared.live import crowd
from shared.live.crowd import Crowd
from shared.live.sessions import QUEUE as LIVE_QUEUE
from shared.models import ApiKey, Erasure, UsageDay, WebhookDelivery
from shared.options import PRIORITIES
from shared.stages import STAGES, queues
from shared.states import StageState

MAX_TENANTS = 20
"""Keys that are told apart, the busiest ones: a metric per key would have as many series as there are customers."""

FRESH_S = 5.0
"""Scrapers that come at the same time share one look."""

CHECK_TIMEOUT_S = 2.0
"""As for /health/ready, and well within the 10 s after which Prometheus gives a scrape up."""

NAMES = {number: name for name, number in PRIORITIES.items()}


class ServiceGauges(Collector):
    """Register one per process. When PostgreSQL is away only `parley_database_up` is told, as 0."""

    def __init__(self) -> None:
        self._families: tuple[GaugeMetricFamily, ...] = ()
        self._seen_at = -FRESH_S

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: registering must not need a database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, at most FRESH_S old."""
        if time.monotonic() - self._seen_at >= FRESH_S:
            self._families = self._look()
            self._seen_at = time.monotonic()
        return iter(self._families)

    def _look(self) -> tuple[GaugeMetricFamily, ...]:
        up = GaugeMetricFamily("parley_database_up", "Whether PostgreSQL answers", 1.0)
        try:
            folding.keep_short()
            with session() as work:
                live = crowd.of(work)
                return (
                    up,
                    *_stages(work, live),
                    _jobs(work),
                    *_workers(work),
                    _live(live),
                    *_outbox(work),
                    _erasures(work),
                    *_tenants(work),
                )
        except DatabaseUnavailable:
            return (GaugeMetricFamily("parley_database_up", "Whether PostgreSQL answers", 0.0),)


class Servers(Collector):
    """`parley_NAME_up` for each of `checks`, which raise when their server cannot be used: asked at each scrape.

    One that does not answer within CHECK_TIMEOUT_S is down, and is not asked anew before it has let go of its thread.
    """

    def __init__(self, checks: Mapping[str, Callable[[], object]]) -> None:
        self._checks = checks
        self._answers: dict[str, Future[object]] = {}

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: registering must not need a server."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Their states now, 1 or 0."""
        for name, check in self._checks.items():
            if name not in self._answers or self._answers[name].done():
                self._answers[name] = _start(check)
        answers = dict(self._answers)
        wait(answers.values(), CHECK_TIMEOUT_S)
        for name, answer in answers.items():
            is_up = answer.done() and answer.exception() is None
            yield GaugeMetricFamily(f"parley_{name}_up", f"Whether the {name} answers", float(is_up))


def _start(check: Callable[[], object]) -> Future[object]:
    """In a thread that does not hold up the end of its process, as those of an executor would."""
    answer: Future[object] = Future()

    def run() -> None:
        try:
            answer.set_result(check())
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the server cannot be used
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


def _stages(work: Session, live: Crowd) -> tuple[GaugeMetricFamily, ...]:
    depth = GaugeMetricFamily("parley_queue_depth", "Stages that wait for a worker", labels=["stage", "priority"])
    oldest = GaugeMetricFamily(
        "parley_queue_oldest_seconds", "Age of the oldest task among them", labels=["stage", "priority"]
    )
    running = GaugeMetricFamily("parley_running_stages", "Stages that a worker holds", labels=["stage"])
    workload = GaugeMetricFamily("parley_workload", "Stages that wait, or were begun and not ended", labels=["queue"])
    stages, ages, held = counts.stages(work), counts.oldest(work), counts.held(work)
    for name in STAGES:
        # zeros are told as well: an alert on a series that is not there stays silent
        running.add_metric([name], held.get(name, 0))
        for number, priority in NAMES.items():
            depth.add_metric([name, priority], stages.get((name, number, StageState.QUEUED), 0))
            oldest.add_metric([name, priority], ages.get((name, number), 0.0))
    for queue in queues():
        in_queue = (count for (name, _, _), count in stages.items() if name in STAGES and STAGES[name].queue == queue)
        workload.add_metric([queue], sum(in_queue))
    workload.add_metric([LIVE_QUEUE], live.size)
    return depth, oldest, running, workload


def _jobs(work: Session) -> GaugeMetricFamily:
    """Finished ones are not counted here: there may be millions, and parley_stage_runs tells their rate."""
    jobs = GaugeMetricFamily("parley_jobs", "Unfinished tasks", labels=["state"])
    for state, count in counts.jobs(work).items():
        jobs.add_metric([state], count)
    return jobs


def _workers(work: Session) -> tuple[GaugeMetricFamily, ...]:
    workers = GaugeMetricFamily("parley_workers", "Workers heard from lately that take work", labels=["queue"])
    slots = GaugeMetricFamily("parley_worker_slots", "Stages that they run at once", labels=["queue"])
    deaf = GaugeMetricFamily("parley_deaf_workers", "Workers that take nothing, or fell silent", labels=["queue"])
    for queue, crew in crews(work, LIVE_QUEUE).items():
        workers.add_metric([queue], crew.workers)
        slots.add_metric([queue], crew.slots)
        deaf.add_metric([queue], crew.deaf)
    return workers, slots, deaf


def _live(live: Crowd) -> GaugeMetricFamily:
    sessions = GaugeMetricFamily("parley_live_sessions", "Live sessions not heard to their end", labels=["state"])
    sessions.add_metric(["heard"], live.running)
    sessions.add_metric(["waiting"], live.waiting)
    return sessions


def _outbox(work: Session) -> tuple[GaugeMetricFamily, ...]:
    pending = WebhookDelivery.next_at.is_not(None)  # also what a dead worker was sending
    age = func.coalesce(func.extract("epoch", func.now() - func.min(WebhookDelivery.next_at)), 0)
    count, seconds = work.execute(select(func.count(), age).where(pending)).one()
    return (
        GaugeMetricFamily("parley_webhooks_pending", "Deliveries that are still to be made", float(count)),
        GaugeMetricFamily("parley_webhooks_overdue_seconds", "How long the first is due", max(float(seconds), 0.0)),
    )


def _tenants(work: Session) -> tuple[GaugeMetricFamily, ...]:
    """Keys by the names that the operator gave them."""
    waiting = GaugeMetricFamily("parley_tenant_jobs", "Unfinished tasks of the busiest keys", labels=["key"])
    today = GaugeMetricFamily("parley_tenant_audio_seconds", "Audio of today (UTC) of the busiest", labels=["key"])
    for name, count in counts.busiest(work, MAX_TENANTS):
        waiting.add_metric([name], float(count))
    seconds = func.sum(UsageDay.seconds)
    used = select(ApiKey.name, seconds).join(UsageDay, UsageDay.owner_id == ApiKey.id)
    used = used.where(UsageDay.day == func.date(func.timezone("UTC", func.now()))).group_by(ApiKey.name)
    for name, value in work.execute(used.order_by(seconds.desc()).limit(MAX_TENANTS)).all():
        today.add_metric([name], float(value))
    return waiting, today


def _erasures(work: Session) -> GaugeMetricFamily:
    due = Erasure.verified_at.is_(None) & (Erasure.created_at <= func.now())
    count = work.scalar(select(func.count()).where(due)) or 0
    return GaugeMetricFamily("parley_erasures_open", "Deletions whose objects are still to be removed", float(count))
