"""What a worker process does beside its tasks: logs, a clean scratch folder, a watch over all jobs, an orderly end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

from celery import signals
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from shared.config import settings
from shared.db import forget_engine, session
from shared.models import Worker
from shared.states import HEAVY
from shared.storage import storage
from shared.telemetry import get_logger
from tasks import metrics, shutdown
from tasks.sweep import sweep
from tasks.workspace import sweep_scratch

log = get_logger(__name__)

WATCH_S = 5.0
"""Interval of the sign of life, which /health believes for 30 s, and of the worker's own sweep."""

CUDA_TIMEOUT_S = 120
"""For counting GPUs: seconds, also where many drivers are slow to wake up."""

_ended = threading.Event()


@signals.celeryd_after_setup.connect
def _check_device(instance: Any, **_: Any) -> None:
    """Refuse to start rather than to fetch stages that cannot be claimed, which would wait for ever."""
    config = settings()
    wants_cuda = config.device == "cuda" and config.engine == "models"
    if wants_cuda and HEAVY & set(instance.app.amqp.queues.consume_from) and not _sees_cuda():
        raise SystemExit(
            "DEVICE is cuda, but this worker sees no CUDA device. Give it one (nvidia-smi must list it here), or set "
            "DEVICE=cpu, or DEVICE=auto to use one where there is one."
        )


def _sees_cuda() -> bool:
    """Asked in a process of its own: CUDA that was touched here could not be used by the children that are forked."""
    question = "import ctranslate2; raise SystemExit(ctranslate2.get_cuda_device_count() == 0)"
    counted = subprocess.run((sys.executable, "-c", question), check=False, timeout=CUDA_TIMEOUT_S)  # noqa: S603
    return counted.returncode == 0


@signals.worker_process_init.connect
def _forked(**_: Any) -> None:
    # sockets that the parent opened must not be used by two processes
    forget_engine()
    storage.cache_clear()
    sweep_scratch(settings().scratch_dir)  # of the child that this one replaces, if it was killed


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    removed = sweep_scratch(settings().scratch_dir)
    queues = sorted(queue.name for queue in sender.task_consumer.queues)
    slots = sender.pool.limit or 1
    log.info("worker_ready", queues=queues, slots=slots, stale_folders_removed=removed)
    metrics.serve(settings())
    threading.Thread(target=_watch, args=(sender.hostname, queues, slots), daemon=True, name="watch").start()


@signals.worker_shutting_down.connect
def _shutting_down(**_: Any) -> None:
    shutdown.tell()
    _ended.set()


@signals.worker_shutdown.connect
def _leave(sender: Any, **_: Any) -> None:
    """The last step of an orderly end: the pool is gone and nothing is held any more.

    To take apart what the libraries of the models have built up would cost the interpreter seconds, and gain nothing.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(sender.exitcode or 0)


def _watch(name: str, queues: list[str], slots: int) -> None:
    """Until the worker ends: show that it lives, and sweep, beside whatever its pool does.

    The sweep that beat rings for needs a free process. Were it the only one, a job whose worker was killed would wait
    until the long recordings of others are done.
    """
    while True:
        try:
            _show_life(name, queues, slots)
            sweep()
        except Exception as error:  # noqa: BLE001 - whatever is away may be back the next time
            log.warning("watch_failed", reason=type(error).__name__)
        if _ended.wait(WATCH_S):
            return


def _show_life(name: str, queues: list[str], slots: int) -> None:
    row = insert(Worker).values(name=name, queues=queues, slots=slots)
    news = {"queues": queues, "slots": slots, "seen_at": func.clock_timestamp()}
    with session() as opened:
        opened.execute(row.on_conflict_do_update(index_elements=["name"], set_=news))
