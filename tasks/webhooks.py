"""Emptying the outbox: claim what is due, send it, note what came of it. The rules: shared/webhooks/deliveries.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from shared.config import settings
from shared.db import session
from shared.egress import policy
from shared.egress.policy import Guard
from shared.errors import DatabaseUnavailable
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import WEBHOOK_ATTEMPTS
from shared.webhooks import deliveries
from shared.webhooks.deliveries import Errand
from tasks.app import app, ring
from tasks.signed_post import send
from tasks.worker.shutdown import shutting_down

log = get_logger(__name__)


@app.task(name="parley.deliver")
def deliver(_delivery_id: str = "", _shard: int = 0) -> None:
    """Send what is due, side by side; which delivery rang does not matter. Safe to run twice at once."""
    if shutting_down():
        return  # the sweep rings somebody else
    config = settings()
    try:
        with session() as work:
            errands = deliveries.claim(work, config.webhook_timeout_s)
        if not errands:
            return
        with ThreadPoolExecutor(len(errands), thread_name_prefix="webhook") as senders:
            guard, limits = policy.guard(config), (config.webhook_timeout_s, config.webhook_retry_s)
            futures = [senders.submit(_run, errand, guard, *limits) for errand in errands]
        for one in futures:
            one.result()
        with session() as work:
            more = deliveries.due(work)
        ring(more)
    except DatabaseUnavailable:
        log.warning("database_away")  # what was claimed is sent again when its claim has run out


def _run(errand: Errand, guard: Guard, timeout_s: float, first_retry_s: float) -> None:
    answer = send(errand, guard, timeout_s)
    try:
        with session() as work:
            state = deliveries.settle(work, errand, answer, first_retry_s)
    except DatabaseUnavailable:
        log.warning("database_away", delivery_id=str(errand.id))
        return
    if state:
        WEBHOOK_ATTEMPTS.labels(state).inc()
    log.info(
        "webhook_sent",
        delivery_id=str(errand.id),
        attempt=errand.attempt,
        status=answer.status,
        error=answer.error,
        state=state,
        duration_ms=round(1000 * answer.seconds),
    )
