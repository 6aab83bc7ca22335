"""The process that listens: it claims sessions, keeps their leases, and hands them over when it is to end.

It is none of Celery's: docs/decisions/live.md says why.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import socket
import threading
import time
import uuid
from collections.abc import Sequence

import psycopg

from shared.config import Settings
from shared.db import conninfo, session
from shared.errors import DatabaseUnavailable
from shared.kernel import fleet
from shared.live import listeners
from shared.live.sessions import CHANNEL, FREE, QUEUE
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import LIVE_STUCK
from tasks.live import trial
from tasks.live.ear import Ear
from tasks.live.pace import Pace

log = get_logger(__name__)

CLAIM_S = 1.0
"""How often it is looked for sessions that nobody listens to."""

SHOW_S = 5.0
"""Interval of the sign of life, which also comes when there are more places or fewer."""

HAND_OVER_S = 1.0
"""What sessions get to come to an end of what they are at. Then they are handed over all the same: what is still
written for them changes nothing."""

RECONNECT_S = 1.0

FROZEN_S = 120.0
"""A main thread that stands still for longer than any database makes it wait is held up by a thread that hangs with
Python's lock. The process then ends, with a traceback of all threads in its log; its leases have long run out."""


class LiveWorker:
    """`run` it in the main thread; `stop` may come from a signal."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._name = f"live@{socket.gethostname()}:{os.getpid()}"
        self._ears: dict[uuid.UUID, Ear] = {}
        self._pace = Pace(config.live_slots, config.live_load)
        self._places = 0
        self._wake = threading.Event()
        self._ends = False

    def stop(self) -> None:
        """Claim nothing more, hand over what is held, end."""
        self._ends = True
        self._wake.set()

    def behind_s(self) -> float:
        """How far the session is behind that is furthest behind."""
        return max((ear.behind_s for ear in list(self._ears.values())), default=0.0)

    def run(self) -> None:
        """Until `stop`, or until a model gives no answer any more. Does not return."""
        threading.Thread(target=self._hear_news, name="news", daemon=True).start()
        if self._config.live_load:  # else it does not matter
            threading.Thread(target=trial.run, args=(self._config, self._pace), name="trial", daemon=True).start()
        log.info("worker_ready", queues=[QUEUE], slots=self._config.live_slots)
        beat_at = claim_at = show_at = 0.0
        stuck: Sequence[Ear] = ()
        is_rung = False
        while not self._ends and not stuck:
            faulthandler.dump_traceback_later(FROZEN_S, exit=True)
            self._wake.clear()
            now = time.monotonic()
            self._pulse()
            try:
                self._reap()
                if now >= beat_at:
                    self._beat()
                    beat_at = now + self._config.live_heartbeat_s
                if is_rung:
                    self._claim(self._pace.places(len(self._ears)))
                if now >= claim_at:
                    # one that nobody has taken meanwhile is better heard late than not at all
                    self._claim(max(self._pace.places(len(self._ears)), len(self._ears) + 1))
                    claim_at = now + CLAIM_S
                if now >= show_at or self._pace.places(len(self._ears)) != self._places:
                    self._show()
                    show_at = now + SHOW_S
            except DatabaseUnavailable:
                log.warning("database_away")
            is_rung = self._wake.wait(min(self._config.live_heartbeat_s, CLAIM_S) / 2)
            stuck = self._stuck()
        faulthandler.cancel_dump_traceback_later()
        self._hand_over(stuck)

    def _stuck(self) -> Sequence[Ear]:
        """The session in which a model hangs, if it does. Others may be stuck behind it, and fail by none of theirs."""
        pairs = [(ear.question, ear) for ear in self._ears.values()]  # first: who is answered meanwhile is not stuck
        stuck = {question: ear for question, ear in pairs if ear.is_stuck() and question}
        return [stuck[min(stuck)]] if stuck else []

    def _claim(self, most: int) -> None:
        while len(self._ears) < min(most, self._config.live_slots) and not self._ends:
            with session() as work:
                claim = listeners.claim(work, self._name, self._config.live_lease_s)
            if claim is None:
                return
            ear = self._ears[claim.job_id] = Ear(claim, self._config, self._pace)
            ear.start()

    def _beat(self) -> None:
        held = [ear.claim for ear in self._ears.values() if ear.is_alive()]
        with session() as work:
            job_ids = listeners.beat(work, held, self._config.live_lease_s)
        for claim in held:
            if claim.job_id not in job_ids:
                self._ears[claim.job_id].stop()

    def _reap(self) -> None:
        for job_id, ear in list(self._ears.items()):
            if ear.is_alive():
                continue
            if ear.failed:
                with session() as work:
                    listeners.give_back(work, [ear.claim], failed=True)
            del self._ears[job_id]

    def _show(self) -> None:
        places = self._pace.places(len(self._ears))
        with session() as work:
            fleet.show(work, self._name, [QUEUE], places, deaf=False)
        self._places = places

    def _pulse(self) -> None:
        """Says that this loop goes round, also while the database is away."""
        if self._config.pulse_file:
            with contextlib.suppress(OSError):
                self._config.pulse_file.touch()

    def _hand_over(self, stuck: Sequence[Ear]) -> None:
        """One that is stuck counts as failed: it may be its sound that no model gets through."""
        for ear in stuck:
            LIVE_STUCK.inc()
            log.error("listening_stuck", job_id=str(ear.claim.job_id), stall_s=self._config.live_stall_s)
        others = [ear for ear in self._ears.values() if ear not in stuck]
        for ear in (*stuck, *others):
            ear.stop()
        until = time.monotonic() + HAND_OVER_S
        for ear in others:
            ear.join(max(0.0, until - time.monotonic()))
        with contextlib.suppress(DatabaseUnavailable), session() as work:
            listeners.give_back(work, [ear.claim for ear in stuck], failed=True)
            listeners.give_back(work, [ear.claim for ear in others])
            fleet.leave(work, self._name)
        log.info("worker_left", handed_over=len(others), stuck=len(stuck))
        os._exit(1 if stuck else 0)  # a thread in the middle of its model would hold the interpreter up

    def _hear_news(self) -> None:
        """Wake the ears of sessions that have more audio, and the main thread when a session is free."""
        while not self._ends:
            with contextlib.suppress(psycopg.Error, OSError, ValueError):  # the last for news that is none of ours
                self._listen_to_news()
            time.sleep(RECONNECT_S)

    def _listen_to_news(self) -> None:
        with psycopg.connect(conninfo(direct=True), autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            for notice in connection.notifies():
                if notice.payload == FREE:
                    self._wake.set()
                elif ear := self._ears.get(uuid.UUID(notice.payload)):
                    ear.bell.set()
