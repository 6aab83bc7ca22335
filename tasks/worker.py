"""What a worker process does beside its tasks: logs, a clean scratch folder, a watch over all jobs, an orderly end."""

from __future__ import annotations

import threading
from typing import Any

from celery import signals
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from shared.config import settings
from shared.db import forget_engine, session
from shared.models import Worker
from shared.storage import storage
from shared.telemetry import configure_logging, get_logger
from tasks import metrics, shutdown
from tasks.sweep import sweep
from tasks.workspace import sweep_scratch

log = get_logger(__name__)

WATCH_S = 5.0
"""Interval of the sign of life, which /health believes for 30 s, and of the worker's own sweep."""

_ended = threading.Event()


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    configure_logging(settings(), "worker")


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
