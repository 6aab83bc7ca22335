"""`python -m scripts.bench.kernel.fleet`: a process full of sleeping workers, started by claims.py.

Each worker is a thread that does what a worker does to PostgreSQL, by the functions that workers call: it takes a ring,
claims the stage, sleeps in place of the work, renews its lease meanwhile, completes, and rings what follows. Rings go
through the same lists of a real Valkey, in bare messages instead of Celery's. Once in five seconds each shows its life
and, where `sweeps` says so, sweeps. The workers of a process share its pool of 30 connections, as behind a PgBouncer.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import inf

import redis

from shared.claims import Answer, Claim
from shared.config import settings
from shared.db import session
from shared.errors import DatabaseUnavailable, LeaseLost
from shared.kernel import fleet, leases
from shared.repair import repair
from shared.rings import LEVELS, Ring
from shared.stages import HEAVY, STAGES, queues
from shared.storage import storage

WATCH_S = 5.0
"""Interval of a worker's sign of life and of its sweep, as in tasks/worker/process.py."""

READY = "ready"
"""What a process says when each of its workers has asked for work; then it is told the time of the measurement."""

SUMMARY = {
    "language": "en",
    "language_probability": 1.0,
    "duration": 60.0,
    "model": "base",
    "speakers": 1,
    "full_text": "so it goes " * 50,
}


class Bells:
    """The lists of the broker, as Celery names them. Light queues first: in a fleet they have workers of their own."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, decode_responses=True)
        names = sorted(queues(), key=lambda queue: (queue in HEAVY, queue))
        self._lists = [f"{queue}:{level}" for queue in names for level in range(LEVELS)]

    def ring(self, rings: Sequence[Ring]) -> None:
        """For `repair` and for whoever ended a stage."""
        if rings:
            with self._redis.pipeline(transaction=False) as pipe:
                for bell in rings:
                    pipe.lpush(f"{bell.queue}:{bell.level}", f"{bell.job_id} {bell.stage} {bell.shard}")
                pipe.execute()

    def next(self) -> tuple[uuid.UUID, str, int] | None:
        """The next ring; None when there is none within a second."""
        entry = self._redis.brpop(self._lists, timeout=1)
        if entry is None:
            return None
        job_id, stage, shard = str(entry[1]).split()
        return uuid.UUID(job_id), stage, int(shard)

    def waiting(self) -> int:
        """Messages in all lists."""
        return sum(int(self._redis.llen(one)) for one in self._lists)


class Watch:
    """Milliseconds of every call between `begin` and `end` (of time.time), by name, and what else happened."""

    def __init__(self) -> None:
        self.begin = self.end = inf  # until they are known
        self.took: defaultdict[str, list[float]] = defaultdict(list)
        self.happened: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        return time.time() >= self.end

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        start, since = time.time(), time.perf_counter()
        yield
        if self.begin <= start < self.end:
            self.took[name].append(1000 * (time.perf_counter() - since))

    def note(self, what: str) -> None:
        if self.begin <= time.time() < self.end:
            self.happened[what] += 1


class SleepingWorker:
    """One slot. `work_s` is how long speech recognition takes on average; the light stages take no time."""

    def __init__(self, name: str, work_s: float, watch: Watch, bells: Bells, *, sweeps: bool) -> None:
        self._name, self._work_s, self._watch, self._bells = name, work_s, watch, bells
        self._sweeps, self._share = sweeps, 1.0
        self.has_begun = threading.Event()

    def work(self, ramp_s: float) -> None:
        """Until the end. The workers of a fleet begin one after another, in `ramp_s`, and in the middle of their work,
        as after a long time.
        """
        self._pause(random.random() * ramp_s, lambda: None)  # noqa: S311
        self._share = random.random()  # noqa: S311
        while not self._watch.is_over:
            self._guarded(self._turn)

    def live(self) -> None:
        """What the main process of a worker does beside its pool."""
        self._pause(random.random() * WATCH_S, lambda: None)  # noqa: S311
        while not self._watch.is_over:
            start = time.time()
            self._guarded(self._show_life)
            if self._sweeps:
                self._guarded(self._sweep)
            time.sleep(max(0.0, WATCH_S - (time.time() - start)))

    def _turn(self) -> None:
        claim = self._claim()
        self.has_begun.set()
        if claim is None:
            return
        if STAGES[claim.stage].queue in HEAVY:
            self._pause(self._work_s * self._share, lambda: self._beat(claim))
            self._share = random.uniform(0.5, 1.5)  # noqa: S311
        key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/{claim.shard}.{claim.fence}.json"
        with self._watch.timed("complete"), session() as work:
            outcome = leases.complete(work, claim, Answer(key, 1, SUMMARY, 60.0))
        self._bells.ring(outcome.rings)
        self._watch.note(claim.stage)

    def _claim(self) -> Claim | None:
        bell = self._bells.next()
        if bell is None:
            self._watch.note("idle")
            return None
        with self._watch.timed("claim"), session() as work:
            claim = leases.claim(work, *bell, worker=self._name, device="cpu", lease_s=settings().lease_s)
        if claim is None:
            self._watch.note("nothing to claim")
        return claim

    def _pause(self, seconds: float, beat: Callable[[], None]) -> None:
        end = time.time() + seconds
        while (rest_s := end - time.time()) > 0 and not self._watch.is_over:
            time.sleep(min(rest_s, settings().heartbeat_s))
            if time.time() < end:
                beat()

    def _beat(self, claim: Claim) -> None:
        with self._watch.timed("heartbeat"), session() as work:
            if leases.heartbeat(work, claim, progress=0.5, lease_s=settings().lease_s):
                raise LeaseLost

    def _show_life(self) -> None:
        with self._watch.timed("sign of life"), session() as work:
            fleet.show(work, self._name, list(queues()), 1, deaf=False)

    def _sweep(self) -> None:
        with self._watch.timed("sweep"):
            repair(settings(), storage(), self._bells.ring)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except LeaseLost:
            self._watch.note("lease lost")
        except DatabaseUnavailable:
            self._watch.note("database did not answer")


def main() -> None:
    """Work; say READY, read when the measurement begins and ends, and end then; print what was measured, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--work", type=float, required=True, help="seconds of a recognition")
    parser.add_argument("--ramp", type=float, required=True, help="seconds within which the workers begin")
    parser.add_argument("--sweeping", type=int, default=0, help="workers that sweep")
    options = parser.parse_args()
    watch, bells = Watch(), Bells(settings().redis_url.get_secret_value())
    if options.sweeping:
        storage()  # made once, which takes longer than a sweep
    workers = [
        SleepingWorker(f"{options.name}-{number}", options.work, watch, bells, sweeps=number < options.sweeping)
        for number in range(options.workers)
    ]
    threads = [threading.Thread(target=one.work, args=(options.ramp,)) for one in workers]
    threads += [threading.Thread(target=one.live) for one in workers]
    for thread in threads:
        thread.start()
    for one in workers:
        one.has_begun.wait()
    print(READY, flush=True)
    try:
        watch.begin, watch.end = map(float, sys.stdin.readline().split())
    except ValueError:  # whoever measures is gone
        watch.end = 0
    for thread in threads:
        thread.join()
    json.dump({"took": watch.took, "happened": watch.happened}, sys.stdout)


if __name__ == "__main__":
    main()
