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
from shared.models import ApiKey, Erasure, Job, Stage, UsageDay, WebhookDelivery
from shared.options import PRIORITIES
from shared.stages import STAGES, queues
from shared.states import JobState, StageState

MAX_TENANTS = 20
"""Keys that are told apart, the busiest ones: a metric per key would have as many series as there are customers."""

FRESH_S = 5.0
"""Scrapers that come at the same time share one look: counting a million queued stages takes a while."""

CHECK_TIMEOUT_S = 2.0
"""As for /health/ready, and well within the 10 s after which Prometheus gives a scrape up."""

UNFINISHED = (JobState.QUEUED, JobState.PROCESSING, JobState.CANCELLING)
NAMES = {number: name for name, number in PRIORITIES.items()}


class ServiceGauges(Collector):
    """Register one per process. When PostgreSQL is away only `parley_database_up` is told, as 0."""

    def __init__(self) -> None:
        self._seen: tuple[GaugeMetricFamily, ...] = ()
        self._seen_at = -FRESH_S

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: registering must not need a database."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, at most FRESH_S old."""
        if time.monotonic() - self._seen_at >= FRESH_S:
            self._seen = self._look()
            self._seen_at = time.monotonic()
        return iter(self._seen)

    def _look(self) -> tuple[GaugeMetricFamily, ...]:
        up = GaugeMetricFamily("parley_database_up", "Whether PostgreSQL answers", 1.0)
        try:
            with session() as work:
                return (
                    up,
                    *_stages(work),
                    _jobs(work),
                    *_workers(work),
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
                self._answers[name] = _begun(check)
        answers = dict(self._answers)
        wait(answers.values(), CHECK_TIMEOUT_S)
        for name, answer in answers.items():
            is_up = answer.done() and answer.exception() is None
            yield GaugeMetricFamily(f"parley_{name}_up", f"Whether the {name} answers", float(is_up))


def _begun(check: Callable[[], object]) -> Future[object]:
    """In a thread that does not hold up the end of its process, as those of an executor would."""
    answer: Future[object] = Future()

    def run() -> None:
        try:
            answer.set_result(check())
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the server cannot be used
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


def _stages(work: Session) -> tuple[GaugeMetricFamily, ...]:
    depth = GaugeMetricFamily("parley_queue_depth", "Stages that wait for a worker", labels=["stage", "priority"])
    oldest = GaugeMetricFamily(
        "parley_queue_oldest_seconds", "Age of the oldest task among them", labels=["stage", "priority"]
    )
    running = GaugeMetricFamily("parley_running_stages", "Stages that a worker holds", labels=["stage"])
    workload = GaugeMetricFamily("parley_workload", "Stages that wait, or were begun and not ended", labels=["queue"])
    age = func.extract("epoch", func.now() - func.min(Job.created_at))
    leases = func.count().filter(Stage.lease_until > func.now())
    rows = work.execute(
        select(Stage.name, Stage.priority, Stage.state, func.count(), age, leases)
        .join(Job, Job.id == Stage.job_id)
        .where(Stage.state.in_((StageState.QUEUED, StageState.RUNNING)))
        .group_by(Stage.name, Stage.priority, Stage.state)
    ).all()
    queued = {(name, priority): row for name, priority, state, *row in rows if state == StageState.QUEUED}
    for name in STAGES:
        # zeros are told as well: an alert on a series that is not there stays silent
        running.add_metric([name], sum(row[5] for row in rows if row[0] == name))
        for number, priority in NAMES.items():
            count, seconds, _ = queued.get((name, number), (0, 0, 0))
            depth.add_metric([name, priority], count)
            oldest.add_metric([name, priority], float(seconds))
    for queue in queues():
        workload.add_metric([queue], sum(row[3] for row in rows if STAGES[row[0]].queue == queue))
    return depth, oldest, running, workload


def _jobs(work: Session) -> GaugeMetricFamily:
    """Finished ones are not counted here: there may be millions, and parley_stage_runs tells their rate."""
    jobs = GaugeMetricFamily("parley_jobs", "Unfinished tasks", labels=["state"])
    query = select(Job.state, func.count()).where(Job.state.in_(UNFINISHED)).group_by(Job.state)
    counts = dict(work.execute(query).all())
    for state in UNFINISHED:
        jobs.add_metric([state], counts.get(state, 0))
    return jobs


def _workers(work: Session) -> tuple[GaugeMetricFamily, ...]:
    workers = GaugeMetricFamily("parley_workers", "Workers heard from lately that take work", labels=["queue"])
    slots = GaugeMetricFamily("parley_worker_slots", "Stages that they run at once", labels=["queue"])
    deaf = GaugeMetricFamily("parley_deaf_workers", "Workers that take nothing, or fell silent", labels=["queue"])
    for queue, crew in crews(work).items():
        workers.add_metric([queue], crew.workers)
        slots.add_metric([queue], crew.slots)
        deaf.add_metric([queue], crew.deaf)
    return workers, slots, deaf


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
    count, seconds = func.count(), func.sum(UsageDay.seconds)
    unfinished = select(ApiKey.name, count).join(Job, Job.owner_id == ApiKey.id).where(Job.state.in_(UNFINISHED))
    used = select(ApiKey.name, seconds).join(UsageDay, UsageDay.owner_id == ApiKey.id)
    used = used.where(UsageDay.day == func.date(func.timezone("UTC", func.now())))
    for family, query, order in ((waiting, unfinished, count), (today, used, seconds)):
        for name, value in work.execute(query.group_by(ApiKey.name).order_by(order.desc()).limit(MAX_TENANTS)).all():
            family.add_metric([name], float(value))
    return waiting, today


def _erasures(work: Session) -> GaugeMetricFamily:
    due = Erasure.verified_at.is_(None) & (Erasure.created_at <= func.now())
    count = work.scalar(select(func.count()).where(due)) or 0
    return GaugeMetricFamily("parley_erasures_open", "Deletions whose objects are still to be removed", float(count))
