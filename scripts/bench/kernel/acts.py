"""What workers, the sweep and the gateway do to the database, one act at a time, for scripts/bench/kernel/claims.py."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from api.gauges import ServiceGauges
from scripts.bench.kernel.fleet import SUMMARY
from scripts.bench.kernel.statements import explain
from shared.callers import limits
from shared.claims import Answer, Claim
from shared.config import settings
from shared.db import session
from shared.kernel import jobs, leases, ring_window
from shared.kernel.orders import JobOrder, Source
from shared.kernel.submission import new_jobs
from shared.options import JobOptions
from shared.repair import repair
from shared.rings import Ring
from shared.storage import storage

LEASE_S = 3600
ANY_NUMBER = 2**31 - 1

ENOUGH_S = 5.0
"""Acts that take long are timed less often."""


class Acts:
    """Each act in a transaction of its own, as its caller has it, or in a given session, to be explained and undone."""

    def __init__(self, owners: Sequence[uuid.UUID]) -> None:
        self._owners = owners
        self._rings: list[Ring] = []  # of recognitions; `_followups` of what came after them
        self._followups: list[Ring] = []
        self._claims: list[Claim] = []

    def named(self) -> dict[str, tuple[Callable[[], object], Callable[[Session], object]]]:
        """All of them."""
        return {
            "claim": (self.claim, lambda work: self._claim(work, self._rings[-1])),
            "heartbeat": (lambda: _alone(self._heartbeat), self._heartbeat),
            "complete": (self.complete, lambda work: self._complete(work, self._claims[0])),
            "submit": (lambda: _alone(self._submit), self._submit),
            "room in the queue": (lambda: _alone(self._room), self._room),
            "max_queued of a key": (lambda: _alone(self._limit), self._limit),
            "windows": (self.refill, ring_window.refill),
            "sweep": (self.sweep, lambda _: self.sweep()),
            "metrics": (lambda: ServiceGauges().collect(), lambda _: ServiceGauges().collect()),
        }

    def prepare(self, count: int) -> None:
        """Ring, and hold so many stages."""
        self.refill()
        for _ in range(count):
            self.claim()

    def end(self) -> list[Ring]:
        """Let go of everything; the rings that nobody has answered."""
        while self._claims:
            self.complete()
        return [*self._rings, *self._followups]

    def claim(self) -> None:
        bell = self._rings.pop()
        with session() as work:
            self._claims.append(self._claim(work, bell))

    def complete(self) -> None:
        claim = self._claims.pop(0)
        with session() as work:
            outcome = self._complete(work, claim)
        self._note(outcome.rings)

    def refill(self) -> None:
        with session() as work:
            rings = ring_window.refill(work)
        self._note(rings)

    def sweep(self) -> None:
        repair(settings(), storage(), self._note)

    def _note(self, rings: Sequence[Ring]) -> None:
        pending = set(self._rings)
        for bell in rings:
            if bell.stage != "transcribe":
                self._followups.append(bell)
            elif bell not in pending:  # one that was rung again
                self._rings.insert(0, bell)

    def _claim(self, work: Session, bell: Ring) -> Claim:
        claim = leases.claim(work, bell.job_id, bell.stage, bell.shard, worker="w", device="cpu", lease_s=LEASE_S)
        if claim is None:
            raise RuntimeError(f"{bell} cannot be claimed")
        return claim

    def _heartbeat(self, work: Session) -> None:
        leases.heartbeat(work, self._claims[-1], progress=0.5, lease_s=LEASE_S)

    def _complete(self, work: Session, claim: Claim) -> jobs.Outcome:
        key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/{claim.shard}.{claim.fence}.json"
        return leases.complete(work, claim, Answer(key, 1, SUMMARY, 60.0))

    def _submit(self, work: Session) -> None:
        job_id, owner_id = uuid7(), self._owners[0]
        source = Source(f"{owner_id}/{job_id}/upload", uuid.uuid4().hex, 10, "call.wav")
        new_jobs.submit(work, JobOrder(job_id=job_id, owner_id=owner_id, source=source, options=JobOptions()))

    def _room(self, work: Session) -> None:
        limits._queue.counted_at = -limits.COUNTED_FOR_S  # as at the first submission of a second
        limits.check_room(work, self._owners[0], limits.Limits(), settings())

    def _limit(self, work: Session) -> None:
        """The room is known for a second."""
        limits.check_room(work, self._owners[0], limits.Limits(max_queued=ANY_NUMBER), settings())


def _alone(act: Callable[[Session], None]) -> None:
    with session() as work:
        act(work)


def time_acts(acts: Acts, rows: int, times: int) -> None:
    """Print a line for each, with its slowest statement."""
    acts.prepare(times + 5)
    print(f"\n{f'{rows} tasks wait':<20}{'p50':>10}{'p99':>10}   slowest statement, its scans")
    for name, (act, explained) in acts.named().items():
        took: list[float] = []
        while len(took) < times and sum(took) < 1000 * ENOUGH_S:
            start = time.perf_counter()
            act()
            took.append(1000 * (time.perf_counter() - start))
        print(f"{name:<20}{percentile(took, 50):>7.1f} ms{percentile(took, 99):>7.1f} ms", end="")
        for place, one in enumerate(explain(explained)[: 3 if name == "sweep" else 1]):
            scans = f"{one.rows} rows, {one.pages} pages by {', '.join(one.scans) or 'nothing'}"
            print(f"{' ' * 40 * (place > 0)}   {one.ms:.1f} ms, {scans}: {one.statement[:70]}", flush=True)


def percentile(values: Sequence[float], percent: int) -> float:
    """As it is; with one value, that."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
