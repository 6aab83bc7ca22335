"""Keeping a lease while the work runs: a thread that beats, listens for the reasons to stop, and ends the process
when the work does not stop by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from shared.claims import Claim
from shared.config import Settings
from shared.db import session
from shared.errors import DatabaseUnavailable, Interrupted, LeaseLost, StageStalled
from shared.kernel import events, leases
from shared.telemetry.logs import get_logger
from shared.transcript import Segment
from tasks.app import ring
from tasks.worker.shutdown import shutting_down

log = get_logger(__name__)

TICK_S = 0.25
"""How often the thread looks whether the worker is shutting down; the database is asked every `heartbeat_s`."""


class KeptLease:
    """Use as a context manager round the work of one stage; pass `progress` and `finished` to the work.

    When the work is not wanted any more `progress` raises Interrupted. Work that does not call it within `grace_s`
    (native code, a hung decode) is ended with its process: the pool starts another, nobody else's job is touched.
    """

    def __init__(self, claim: Claim, config: Settings, clean_up: Callable[[], None]) -> None:
        self._claim, self._config, self._clean_up = claim, config, clean_up
        self._share = self._last_share = 0.0
        self._moved_at = time.monotonic()
        self._unpublished: tuple[Segment, ...] = ()
        self._reason: str | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{claim.stage}", daemon=True)

    def __enter__(self) -> KeptLease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(timeout=self._config.grace_s)

    def progress(self, share: float) -> None:
        """Note the share of the work done, 0..1. Raises Interrupted when the work is to stop.

        Work that begins anew, for want of memory, tells a smaller share: what it does again is progress, too. The share
        that is shown waits until it is passed.
        """
        if share != self._last_share:
            self._last_share, self._moved_at = share, time.monotonic()
        self._share = max(self._share, share)
        if self._reason:
            raise Interrupted(self._reason)

    def finished(self, segments: Sequence[Segment]) -> None:
        """Take note of finished segments; followers are shown them with the next heartbeat."""
        with self._lock:
            self._unpublished += tuple(segments)

    def unpublished(self) -> tuple[Segment, ...]:
        """Segments that followers have not been shown yet, or at least not for certain."""
        return self._unpublished

    def _keep(self) -> None:
        next_beat = time.monotonic() + self._config.heartbeat_s
        while self._reason is None:
            if self._over.wait(min(TICK_S, max(0.0, next_beat - time.monotonic()))):
                return
            now = time.monotonic()
            if shutting_down():
                self._reason = "shutting down"
            elif now - self._moved_at > self._config.stall_timeout_s:
                self._reason = "stalled"
            elif now >= next_beat:
                next_beat = now + self._config.heartbeat_s
                self._reason = self._beat()
                self._publish()
        if not self._over.wait(self._config.grace_s):
            self._end_process()

    def _beat(self) -> str | None:
        try:
            with session() as beat:
                return leases.heartbeat(beat, self._claim, progress=self._share, lease_s=self._config.lease_s)
        except DatabaseUnavailable:
            return None  # go on: if the stage is given to somebody else meanwhile, the fence keeps the two apart

    def _publish(self) -> None:
        """In a transaction of its own, so that nobody who holds the job's row can delay a heartbeat."""
        segments = self._unpublished
        if not segments:
            return
        try:
            with session() as work:
                events.publish(work, self._claim, segments)
        except DatabaseUnavailable:
            return  # the next heartbeat tries again
        with self._lock:
            self._unpublished = self._unpublished[len(segments) :]

    def _end_process(self) -> None:
        log.warning("stage_killed", reason=self._reason)
        self._clean_up()
        try:
            settle(self._claim, self._reason or "lease lost", self._config)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


def settle(claim: Claim, reason: str, config: Settings) -> None:
    """Hand an interrupted stage back as its reason demands. Silent when the lease is somebody else's already."""
    if reason == "lease lost":
        return
    try:
        with session() as work:
            if reason == "stalled":
                error = StageStalled(f"{claim.stage} made no progress for {config.stall_timeout_s:g} s.")
                outcome = leases.fail(work, claim, error, max_attempts=config.max_attempts)
            else:
                outcome = leases.give_back(work, claim)
        ring(outcome.rings)
    except (LeaseLost, DatabaseUnavailable) as error:
        log.info("lease_not_returned", reason=type(error).__name__)
