"""What a worker process does beside its tasks: logs, a clean scratch folder, a sign of life, an orderly end."""

from __future__ import annotations

import threading
from typing import Any

from celery import signals
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert

from shared.config import settings
from shared.db import forget_engine, session
from shared.errors import DatabaseUnavailable
from shared.models import Worker
from shared.storage import storage
from shared.telemetry import configure_logging, get_logger
from tasks import shutdown
from tasks.workspace import sweep_scratch

log = get_logger(__name__)

SIGN_OF_LIFE_S = 10.0
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
    log.info("worker_ready", queues=queues, stale_folders_removed=removed)
    threading.Thread(target=_show_life, args=(sender.hostname, queues), daemon=True, name="sign-of-life").start()


@signals.worker_shutting_down.connect
def _shutting_down(**_: Any) -> None:
    shutdown.tell()
    _ended.set()


def _show_life(name: str, queues: list[str]) -> None:
    while True:
        try:
            with session() as opened:
                row = insert(Worker).values(name=name, queues=queues)
                opened.execute(
                    row.on_conflict_do_update(
                        index_elements=["name"], set_={"queues": queues, "seen_at": func.clock_timestamp()}
                    )
                )
        except DatabaseUnavailable:
            log.warning("sign_of_life_failed")
        if _ended.wait(SIGN_OF_LIFE_S):
            return
