"""Models are loaded before a worker takes work, by each process of its pool, and let go when it has none for long.

Each process loads its own: neither CTranslate2's threads nor CUDA survive a fork, so the parent loads nothing.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Collection
from typing import Any

from billiard.process import current_process
from celery import bootsteps
from celery.worker import state

from shared.config import Settings
from shared.errors import ParleyError
from shared.stages import HEAVY
from shared.telemetry.logs import get_logger
from tasks.engine import engine
from tasks.engines import cards, loading, memory
from tasks.worker import inventory

log = get_logger(__name__)

LOAD_TIMEOUT_S = 300
"""What loading may take: 3 GB from a slow disk at 10 MB/s. After this long a process that is not ready is replaced."""

START_TIMEOUT_S = 3 * LOAD_TIMEOUT_S
"""The same when the whole worker starts, for then others start beside it: on an emulated ARM64 processor the import of
pyannote alone was not done in LOAD_TIMEOUT_S, and the worker would have begun again and again."""

LOADING, READY, FAILED = 0, 1, 2
_states = mmap.mmap(-1, 4096)
"""One byte for each process of the pool, shared with them, as in tasks/worker/shutdown.py."""

_idle: threading.Timer | None = None


def prepare(queues: Collection[str], processes: int, config: Settings) -> None:
    """In each process of the pool as it begins: take a card, load the models of the worker's queues.

    A process that replaces a killed one does so too; if it cannot, the stages that it is given fail with the reason.
    """
    number = getattr(current_process(), "index", 0)  # the main process, of a pool without others, has none
    inventory.keep(number, config)
    _states[number] = READY if _load(queues, number, processes, config) else FAILED


def _load(queues: Collection[str], number: int, processes: int, config: Settings) -> bool:
    if not engine(config).has_models or not HEAVY & set(queues):
        return True
    visible_cards = cards.take(config.cuda_visible_devices, number, processes)
    if not config.preload_models:
        return True
    began = time.monotonic()
    try:
        engine(config).load(queues)
    except ParleyError as error:
        log.error("models_not_loaded", code=error.code, message=error.message)
        return False
    except Exception as error:
        log.exception("models_not_loaded", code="unexpected_error", message=type(error).__name__)
        return False
    memory.give_back()  # what reading the weights took beside them
    log.info("models_loaded", process=number, cards=",".join(visible_cards), seconds=round(time.monotonic() - began, 1))
    rest(config.model_idle_s)
    return True


class Loaded(bootsteps.StartStopStep):
    """Between the start of the pool and that of the consumer: wait until all processes have their models.

    Before that nothing is fetched, /metrics is silent, and no sign of life is given, so that health checks fail. A
    worker whose models cannot be loaded ends: it would fail every task that others could do.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Raises SystemExit when a process cannot load its models, died, or is not ready in time."""
        pids, give_up_at = worker.pool.info["processes"], time.monotonic() + START_TIMEOUT_S
        while LOADING in (states := _states[: len(pids)]):
            state.maybe_shutdown()
            dead = [pid for pid in pids if pid != os.getpid() and _has_ended(pid)]
            if dead or time.monotonic() > give_up_at:
                log.error("models_not_loaded", processes_ended=dead, hint="killed processes mostly lack memory")
                raise SystemExit(1)
            time.sleep(0.05)
        if FAILED in states:
            raise SystemExit(1)


def _has_ended(pid: int) -> bool:
    """Without reaping it, which is the pool's business."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def rest(idle_s: float) -> None:
    """Called when a process has nothing to do: it lets go of its models after `idle_s`; 0 is never."""
    global _idle
    if idle_s:
        _idle = threading.Timer(idle_s, _let_go)
        _idle.daemon = True
        _idle.start()


def wake() -> None:
    """Called before a process does anything: whatever it loads stays."""
    global _idle
    if _idle:
        _idle.cancel()
        _idle.join()  # it may be letting go right now
        _idle = None


def _let_go() -> None:
    if count := loading.let_go():
        log.info("models_let_go", count=count)
