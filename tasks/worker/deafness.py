"""Whether a worker hears: a deaf one lives, shows its life, and takes nothing.

Three ways are known: the consumer does not fetch what lies in the broker (a lost connection that was not made anew, a
queue that was cancelled), a child took a ring and never began, a child stopped in the middle and its lease ran out.
Each is believed when it was seen at every one of `LOOKS` looks within DEAF_TIMEOUT_S. In the last case the child is
killed and the pool starts another; in the others the worker ends itself, and whoever started it starts it again.
"""

from __future__ import annotations

import math
import os
import signal
import time
import uuid
from collections.abc import Collection
from typing import Any

import redis
from celery import signals
from celery.worker import state
from celery.worker.request import Request
from sqlalchemy import select

from shared.config import Settings
from shared.db import session
from shared.errors import DatabaseUnavailable
from shared.models import Stage
from shared.stages import STAGES
from shared.states import StageState
from shared.telemetry.logs import get_logger
from tasks.worker import shutdown
from tasks.worker.forks import no_fork
from tasks.worker.name import worker_name
from tasks.worker.pulse import GIVE_BACK_S, LOOKS

log = get_logger(__name__)

SUSPICIOUS = 3
"""Looks after which a worker counts as deaf for others, long before it is ended: one alone may come by chance between
the moment when a ring arrives and the moment when it is fetched."""

BROKER_TIMEOUT_S = 3.0


class Deafness:
    """The judgement of a worker over itself. `lists` are the broker's lists that it is to fetch rings from, `slots` how
    many of them it holds at most, `start_s` what a new child may take to begin."""

    def __init__(self, lists: Collection[str], slots: int, start_s: float, config: Settings) -> None:
        self._lists, self._slots, self._config = tuple(lists), slots, config
        self._interval_s = config.deaf_timeout_s / LOOKS
        self._start_looks = LOOKS + math.ceil(start_s / self._interval_s)
        self._broker = redis.Redis.from_url(
            config.redis_url.get_secret_value(),
            socket_timeout=BROKER_TIMEOUT_S,
            socket_connect_timeout=BROKER_TIMEOUT_S,
        )
        self._receipts, self._receipts_before = 0, 0
        self._unheard = 0  # looks in a row
        self._unbegun: dict[str, int] = {}  # looks by id of the message
        self._unheld: dict[str, int] = {}
        signals.task_received.connect(self._note, weak=False)

    @property
    def is_deaf(self) -> bool:
        """Whether it was deaf at the last looks."""
        return self._unheard >= SUSPICIOUS or self._longest_unbegun >= self._start_looks - LOOKS + SUSPICIOUS

    def watch(self) -> None:
        """Look until the worker ends, and end it when it is deaf."""
        while not shutdown.shutting_down():
            with no_fork():
                try:
                    self.look()
                except Exception:  # whatever it is, nobody else would notice that this watch has ended
                    log.exception("look_failed")
            if self._unheard >= LOOKS:
                _end("rings wait in the broker and none is fetched", self._config)
            elif self._longest_unbegun >= self._start_looks:
                _end("a ring was fetched and no child begins with it", self._config)
            time.sleep(self._interval_s)

    def look(self) -> None:
        """Look once."""
        requests = list(state.requests.values())
        self._unheard = self._unheard + 1 if self._hears_nothing() else 0
        self._unbegun = _counted(self._unbegun, [one.id for one in requests if not one.time_start])
        self._unheld = _counted(self._unheld, self._without_lease([one for one in requests if one.time_start]))
        for request in requests:
            if self._unheld.get(request.id, 0) >= LOOKS:
                log.error("child_stuck", pid=request.worker_pid, task=request.name)
                os.kill(request.worker_pid, signal.SIGKILL)

    @property
    def _longest_unbegun(self) -> int:
        return max(self._unbegun.values(), default=0)

    def _note(self, **_: Any) -> None:
        self._receipts += 1

    def _hears_nothing(self) -> bool:
        """Rings lie there, a slot is free, and none was fetched since the last look; not while the broker is away."""
        has_heard = self._receipts != self._receipts_before
        self._receipts_before = self._receipts
        if has_heard or len(state.reserved_requests) >= self._slots:
            return False
        try:
            with self._broker.pipeline(transaction=False) as pipeline:
                for name in self._lists:
                    pipeline.llen(name)
                return any(pipeline.execute())
        except redis.RedisError:
            return False

    def _without_lease(self, requests: list[Request]) -> list[str]:
        """Ids of the messages whose child holds no stage of the job that it was rung for, or stays at another task for
        longer than any stage may stand still. With one ring a child may do several stages of a job."""
        stages = [(_job(one), one) for one in requests if _is_stage(one)]
        leases: set[tuple[Any, ...]] = set()
        host = worker_name().rpartition(":")[0]
        if stages:
            try:
                with session() as work:
                    running = (Stage.job_id.in_([job_id for job_id, _ in stages]), Stage.state == StageState.RUNNING)
                    leases = {
                        (row.job_id, row.worker)
                        for row in work.execute(select(Stage.job_id, Stage.worker).where(*running))
                    }
            except DatabaseUnavailable:
                stages = []
        others_until = time.time() - self._config.stall_timeout_s
        return [
            *(one.id for job_id, one in stages if (job_id, f"{host}:{one.worker_pid}") not in leases),
            *(one.id for one in requests if not _is_stage(one) and (one.time_start or 0) < others_until),
        ]


def _counted(before: dict[str, int], ids: Collection[str]) -> dict[str, int]:
    return {id_: before.get(id_, 0) + 1 for id_ in ids}


def _is_stage(request: Request) -> bool:
    return str(request.name).removeprefix("parley.") in STAGES


def _job(request: Request) -> uuid.UUID:
    return uuid.UUID(request.args[0])


def _end(reason: str, config: Settings) -> None:
    """Give back what the children hold, then go; by force when the main loop does not come to it."""
    log.error("worker_deaf", reason=reason)
    shutdown.tell()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GIVE_BACK_S + config.grace_s)
    os._exit(1)
