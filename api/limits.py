"""Limits at the door: requests per minute of each key, and whether a key may submit one more task.

The cheapest check comes first and all of them before the body is read: the key (one row), its requests in Valkey, then
its tasks in PostgreSQL.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cache

from anyio import to_thread
from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from api.intake.form import MAX_FORM_BYTES
from shared import db
from shared.callers import quotas
from shared.callers.keys import Caller
from shared.callers.limits import check_room, is_roomy
from shared.callers.quotas import Usage
from shared.config import settings
from shared.errors import (
    ParleyError,
    QuotaExceeded,
    RateLimited,
    ServiceBusy,
    StorageQuotaExceeded,
    TooManyDeliveries,
    TooManyQueued,
)
from shared.kernel import idempotency
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

PAUSE_S = 5.0
"""While Valkey is away, it is asked once in so long, so that only one request pays for it."""

WINDOW_S = 60
REFUSALS: tuple[type[ParleyError], ...] = (
    TooManyQueued,
    QuotaExceeded,
    StorageQuotaExceeded,
    TooManyDeliveries,
    ServiceBusy,
)
"""Why `admit` takes no further task, for OpenAPI."""

POLICY = "requests"
"""The policy's name in the RateLimit fields, as draft-ietf-httpapi-ratelimit-headers-10 defines them."""


@dataclass
class Meter:
    """Counts the requests of keys. While Valkey is away everything is let through: a limit is not worth an outage."""

    limiter: SlidingWindowCounterRateLimiter
    away_until: float = field(default=0.0)

    def spend(self, request: HTTPConnection, caller: Caller, per_minute: int) -> None:
        """Count one request and note the RateLimit fields for the answer. Raises RateLimited."""
        if time.monotonic() < self.away_until:
            return
        limit = RateLimitItemPerMinute(per_minute)
        try:
            is_allowed = self.limiter.hit(limit, str(caller.id))
            stats = self.limiter.get_window_stats(limit, str(caller.id))
        except (RedisError, OSError) as error:
            self.away_until = time.monotonic() + PAUSE_S
            log.warning("rate_limit_off", reason=type(error).__name__, next_attempt_s=PAUSE_S)
            return
        reset_s = max(0.0, stats.reset_time - time.time())
        request.state.answer_headers = {
            "RateLimit-Policy": f'"{POLICY}";q={per_minute};w={WINDOW_S}',
            "RateLimit": f'"{POLICY}";r={stats.remaining};t={math.ceil(reset_s)}',
        }
        if not is_allowed:
            raise RateLimited(
                f"This API key may send {per_minute} requests per minute.",
                requests_per_minute=per_minute,
                # the window slides: at the reset it begins to, and a request's share later there is room for one
                retry_after_s=math.ceil(reset_s + WINDOW_S / per_minute),
            )


@cache
def meter() -> Meter:
    """This process's meter. It connects with the first request that is counted. Counting takes 0.2 ms: a server that
    needs longer than LIMITS_TIMEOUT_S is away."""
    config = settings()
    url = config.redis_url.get_secret_value()
    # the annotation of the options knows neither None nor objects
    options: dict[str, object] = {
        "socket_timeout": config.limits_timeout_s,
        "socket_connect_timeout": config.limits_timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    return Meter(SlidingWindowCounterRateLimiter(RedisStorage(url, key_prefix="parley:limits", **options)))  # type: ignore[arg-type]


def spend_request(request: HTTPConnection, caller: Caller) -> None:
    """Count this request of the caller, if it has a limit. Raises RateLimited."""
    if per_minute := caller.limits.value("requests_per_minute", settings()):
        meter().spend(request, caller, per_minute)


def admit(session: Session, caller: Caller, idempotency_key: str | None = None, size: int = 0) -> None:
    """Raises TooManyQueued, QuotaExceeded, ServiceBusy, StorageQuotaExceeded or TooManyDeliveries when no further task
    is taken of this caller now. `size` is what the body announces.

    A request that repeats another makes no task and is let in. Whether it does only its body tells; if it does not, it
    ends as a conflict.
    """
    if not (idempotency_key and idempotency.is_known(session, caller.id, idempotency_key)):
        check_room(session, caller.id, caller.limits, settings())
        quotas.check_door(quotas.of(session, caller.id), caller.limits, settings(), size)


async def admit_request(request: Request, caller: Caller, usage: Usage, idempotency_key: str | None) -> None:
    """The same of a caller whose `usage` was read with its key, in the event loop; a thread is needed by few."""
    size = announced_bytes(request)
    if idempotency_key or not is_roomy(caller.limits, settings()):
        await to_thread.run_sync(_admit, caller, idempotency_key, size)
    else:
        quotas.check_door(usage, caller.limits, settings(), size)


def _admit(caller: Caller, idempotency_key: str | None, size: int) -> None:
    with db.session(is_reading=True) as work:
        admit(work, caller, idempotency_key, size)


def announced_bytes(request: Request) -> int:
    """What a form's recording has at least, by the length of the body; 0 when that is not known."""
    announced = request.headers.get("content-length", "")
    return max(0, int(announced) - MAX_FORM_BYTES) if announced.isdecimal() else 0
