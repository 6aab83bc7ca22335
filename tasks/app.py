"""The Celery app: queues, limits, the schedule of the sweep, and `ring`, the only thing the gateway needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from celery import Celery, signals
from kombu import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from shared.config import settings
from shared.rings import LEVELS, Ring
from shared.stages import queues
from shared.telemetry.logs import get_logger
from tasks import logs as logs  # its receivers have to be there before a program of Celery's begins

log = get_logger(__name__)

VISIBILITY_TIMEOUT_S = 24 * 3600
"""Messages are acknowledged when they arrive, so redelivery never matters; a day keeps Redis from trying."""


SEPARATOR = ":"


def make_app() -> Celery:
    """The app, from the environment's settings."""
    config = settings()
    app = Celery(
        "parley",
        broker=config.redis_url.get_secret_value(),
        include=["tasks.pipeline", "tasks.sweep", "tasks.webhooks", "tasks.worker.process"],
    )
    app.conf.update(
        task_queues=[Queue(name) for name in queues()],
        task_default_queue="io",
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # a message is only a doorbell: it is acknowledged at once, and the lease in PostgreSQL guards the work
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        # for Flower, while it runs: tasks/worker/celery_events.py
        worker_send_task_events=False,
        task_send_sent_event=False,
        broker_connection_timeout=3,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "health_check_interval": 10,
            # lists per queue, `asr`, `asr:1` .. `asr:5`, of which workers empty the first ones first
            "priority_steps": list(range(LEVELS)),
            "sep": SEPARATOR,
            # of the connection behind a single ring, which would else be tried for 6 s; workers have their own loop
            "max_retries": 0,
        },
        beat_scheduler="tasks.beat:Schedule",
        beat_schedule={
            "sweep": {
                "task": "parley.sweep",
                "schedule": config.sweep_interval_s,
                # a sweep that nobody fetched in time is not worth doing twice
                "options": {"queue": "io", "expires": config.sweep_interval_s * 2},
            }
        },
        beat_max_loop_interval=config.sweep_interval_s,
    )
    return app


@signals.import_modules.connect
def _without_tasks(sender: Celery, **_: Any) -> None:
    """Beat and Flower name tasks and run none: theirs would bring the database, storage and 40 MB along."""
    if logs.asked_program() in ("beat", "flower"):
        sender.conf.include = []


app = make_app()


def rings_of(queues: Iterable[str]) -> tuple[str, ...]:
    """Names of the broker's lists in which the rings of these queues lie."""
    return tuple(f"{queue}{SEPARATOR}{level}" if level else queue for queue in queues for level in range(LEVELS))


def ring(rings: Sequence[Ring]) -> None:
    """Tell the workers that these stages can be claimed. Call after the commit.

    A broker that is away is no error: the stages are safe in PostgreSQL and the sweep rings again.
    """
    for bell in rings:
        try:
            app.send_task(
                f"parley.{bell.stage}",
                args=[str(bell.job_id), bell.shard],
                argsrepr=_arguments_text(bell),
                queue=bell.queue,
                priority=bell.level,
                retry=False,
            )
        except (OperationalError, RedisError, OSError) as error:
            log.warning("ring_failed", job_id=str(bell.job_id), stage=bell.stage, reason=type(error).__name__)
            return


def _arguments_text(bell: Ring) -> str:
    """What Flower and the message have beside the arguments: ids alone, as both outlive an erasure.

    Flower's search finds the id. The name stays the stage's: metrics go by it.
    """
    if bell.stage == "deliver":
        return f"delivery {bell.job_id}"
    shard = f", shard {bell.shard}" if bell.shard else ""
    return f"job {bell.job_id}, {bell.stage}{shard}"
