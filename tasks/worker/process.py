"""What a worker process does beside its tasks: logs, a clean scratch folder, a watch over all jobs, an orderly end."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import billiard.pool
from billiard.process import current_process
from celery import signals
from celery.concurrency.asynpool import AsynPool

from shared.config import settings
from shared.db import forget_engine, session
from shared.errors import DatabaseUnavailable
from shared.kernel import fleet
from shared.stages import HEAVY
from shared.storage import storage
from shared.telemetry.logs import get_logger
from tasks.app import app, rings_of
from tasks.engine import engine
from tasks.engines import cards
from tasks.sweep import sweep
from tasks.worker import celery_events, inventory, metrics, preload, pulse, shutdown
from tasks.worker.deafness import Deafness
from tasks.worker.forks import no_fork
from tasks.worker.workspace import sweep_scratch

log = get_logger(__name__)

WATCH_S = 5.0
"""Interval of the sign of life, which /health believes for 30 s, and of the worker's own sweep."""

CUDA_TIMEOUT_S = 120
"""For counting GPUs: seconds, also where many drivers are slow to wake up."""

GOODBYE_S = 5.0
"""How long the end of a worker waits for its row to be removed, behind a sweep that is under way; a database that is
away does not hold it up."""

REPLACE_S = 0.5
"""How often the pool looks for processes that have died. It also hears of a death, by a pipe that the kernel closes; at
that moment the process may not count as dead yet, and Celery would look again only after up to 5 s."""

_processes = 1
"""Of the pool; set in the parent before it forks them."""

_ended = threading.Event()
_watcher = threading.Thread()


app.steps["worker"].add(preload.Loaded)
app.steps["consumer"].add(celery_events.Audience)
billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10
"""Of 0.1 s each. Now and then the parent, on its way to its own end, does not read the last message of a child, which
would wait for that for 30 s. What a stage has done is in PostgreSQL by then."""
AsynPool.timers = property(lambda pool: {pool.maintain_pool: REPLACE_S})  # type: ignore[assignment, method-assign]


@signals.celeryd_after_setup.connect
def _check_models(instance: Any, **_: Any) -> None:
    """Refuse to start rather than to fetch stages that cannot be claimed, which would wait for ever."""
    config, queues = settings(), set(instance.app.amqp.queues.consume_from)
    if not engine(config).has_models or not HEAVY & queues:
        return
    if not instance.pool_cls.__module__.endswith((".prefork", ".solo")):
        raise SystemExit(
            "A worker of models needs the pool prefork or solo: work that hangs is ended with its process, which in "
            "other pools does the work of others, too."
        )
    global _processes
    _processes = 1 if instance.pool_cls.__module__.endswith(".solo") else instance.concurrency
    if "asr" in queues or not config.diarization_device:
        _check_card("DEVICE", config.device, config.cuda_visible_devices)
    if "diarize" in queues:
        _check_card("DIARIZATION_DEVICE", config.diarization_device, config.cuda_visible_devices)
    instance.app.conf.worker_proc_alive_timeout = preload.LOAD_TIMEOUT_S  # what a process of the pool gets to begin


def _check_card(setting: str, device: str, listed: str) -> None:
    """Refuse to start when some process of the pool will not see the card of `device`, "cuda" or "cuda:1"."""
    if not device.startswith("cuda"):
        return
    number = int(device.partition(":")[2] or 0)
    if 0 < cards.fewest(listed, _processes) <= number:
        raise SystemExit(
            f"{setting} is {device}, but {_processes} processes share the cards {listed} of CUDA_VISIBLE_DEVICES, and "
            f"each counts its own from cuda:0: not all have a {device}. Set {setting}=cuda, or a smaller -c."
        )
    if (count := _cuda_devices()) <= number:
        raise SystemExit(
            f"{setting} is {device}, but this worker sees no {'such ' if count else ''}CUDA device. Give it one "
            f"(nvidia-smi must list it here), or set {setting}=cpu; DEVICE=auto uses one where there is one."
        )


def _cuda_devices() -> int:
    """Counted in a process of its own: CUDA that was touched here could not be used by the children that are forked."""
    question = "import ctranslate2; print(ctranslate2.get_cuda_device_count())"
    child = subprocess.run(  # noqa: S603
        (sys.executable, "-c", question), stdout=subprocess.PIPE, check=False, timeout=CUDA_TIMEOUT_S
    )
    return int(child.stdout or 0)


@signals.worker_before_create_process.connect
def _share_memory(**_: Any) -> None:
    """What is there now stays the collector's no more: it would write to each object, and every child have its copy."""
    gc.collect()
    gc.freeze()


@signals.worker_process_init.connect
def _forked(**_: Any) -> None:
    # sockets that the parent opened must not be used by two processes
    forget_engine()
    storage.cache_clear()
    if current_process().name != "MainProcess":  # which a pool of one process, solo, has instead of children
        _start(pulse.watch, os.getppid(), settings())
    sweep_scratch(settings().scratch_dir)  # of the child that this one replaces, if it was killed
    preload.prepare(app.amqp.queues.consume_from, _processes, settings())


@signals.task_prerun.connect
def _busy(**_: Any) -> None:
    preload.wake()


@signals.task_postrun.connect
def _idle(**_: Any) -> None:
    preload.rest(settings().model_idle_s)


@signals.worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    removed = sweep_scratch(settings().scratch_dir)
    queues = sorted(queue.name for queue in sender.task_consumer.queues)
    slots = sender.pool.limit or 1
    log.info("worker_ready", queues=queues, slots=slots, stale_folders_removed=removed)
    metrics.serve(settings())
    start_s = sender.app.conf.worker_proc_alive_timeout
    deafness = Deafness(rings_of(queues), slots, start_s, settings())
    _start(deafness.watch)
    _start(pulse.beat, settings().pulse_file, lambda: not deafness.is_deaf)
    global _watcher
    _watcher = _start(_watch, sender.hostname, queues, slots, deafness)


def _start(work: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True, name=work.__qualname__)
    thread.start()
    return thread


@signals.worker_shutting_down.connect
def _shutting_down(**_: Any) -> None:
    shutdown.tell()
    _ended.set()


@signals.worker_shutdown.connect
def _leave(sender: Any, **_: Any) -> None:
    """The last step of an orderly end: the pool is gone and nothing is held any more.

    To take apart what the libraries of the models have built up would cost the interpreter seconds, and gain nothing.
    """
    if _watcher.ident:
        _watcher.join(GOODBYE_S)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if not isinstance(sender.exitcode, str):  # else the reason of a refusal to start, which Python is to print
        os._exit(sender.exitcode or 0)


def _watch(name: str, queues: list[str], slots: int, deafness: Deafness) -> None:
    """Until the worker ends: show that it lives, and sweep, beside whatever its pool does.

    The sweep that beat rings for needs a free process. Were it the only one, a job whose worker was killed would wait
    until the long recordings of others are done.
    """
    interval_s = min(WATCH_S, settings().deaf_timeout_s / pulse.LOOKS)
    while not _ended.is_set():
        with no_fork():
            try:
                stock = inventory.stock(queues, _processes, settings())
                with session() as work:
                    fleet.show(work, name, queues, slots, deaf=deafness.is_deaf, stock=stock)
                    sweeps = fleet.has_turn(work, name, fleet.present_interval(work, interval_s))
                if sweeps:
                    sweep()
            except Exception as error:  # noqa: BLE001 - whatever is away may be back the next time
                log.warning("watch_failed", reason=type(error).__name__)
        _ended.wait(interval_s)
    with contextlib.suppress(DatabaseUnavailable), session() as work:
        fleet.leave(work, name)
