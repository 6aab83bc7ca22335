"""Is it alive, is it ready, does somebody work? No key is needed, and nothing is told but that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import anyio
import redis
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Response
from sqlalchemy import text

from api import VERSION
from api.bodies.tasks import AsyncHealth, Health, Live, QueueHealth
from api.dependencies import SettingsDep, StorageDep
from shared import db
from shared.config import Settings
from shared.errors import ParleyError, StorageFull
from shared.kernel.fleet import crews
from shared.ledger import counts
from shared.live import crowd
from shared.live.sessions import QUEUE as LIVE_QUEUE
from shared.stages import STAGES
from shared.states import StageState
from shared.storage import Storage
from shared.telemetry.logs import get_logger

log = get_logger(__name__)
router = APIRouter(prefix="/health", tags=["health"])

CHECK_TIMEOUT_S = 2.0
THREADS = CapacityLimiter(16)
"""Checks of a server that hangs hold their threads longer than the request; these are not the routes' threads."""


@router.get("/live", response_model=Live, summary="The process is alive")
async def live() -> Live:
    """Needs no server and no thread: false only when the process is to be restarted."""
    return Live()


@router.get(
    "/ready",
    response_model=Health,
    summary="Ready to accept and process recordings",
    responses={503: {"model": Health, "description": "A dependency is missing"}},
)
async def ready(response: Response, config: SettingsDep, storage: StorageDep) -> Health:
    """PostgreSQL, broker and storage answer, and a worker that takes work was heard from in the last 30 s."""
    health = await _health(config, storage)
    response.status_code = 200 if health.status == "ok" else 503
    return health


@router.get("", response_model=Health, summary="Summary for people")
async def summary(config: SettingsDep, storage: StorageDep) -> Health:
    """The same as /health/ready, but always 200."""
    return await _health(config, storage)


@router.get(
    "/async",
    response_model=AsyncHealth,
    summary="Workers per queue",
    responses={503: {"model": AsyncHealth, "description": "A queue has no worker"}},
)
async def workers(response: Response) -> AsyncHealth:
    """Workers that take work, deaf ones, and waiting stages per queue. `live` is among them where a live worker runs or
    has fallen silent; what waits there are sessions that nobody listens to."""
    results: list[AsyncHealth] = []
    await _checked("database", lambda: results.append(_queues()))
    if not results:
        response.status_code = 503
        return AsyncHealth(status="degraded", queues={})
    response.status_code = 200 if results[0].status == "ok" else 503
    return results[0]


async def _health(config: Settings, storage: Storage) -> Health:
    checks: dict[str, Callable[[], object]] = {
        "database": _check_database,
        "broker": lambda: check_broker(config),
        "storage": lambda: _check_storage(storage),
        "workers": _check_workers,
    }
    answers: dict[str, str] = {}

    async def check(name: str) -> None:
        answers[name] = await _checked(name, checks[name])

    async with anyio.create_task_group() as group:
        for name in checks:
            group.start_soon(check, name)
    is_fine = all(word == "ok" for word in answers.values())
    return Health(
        status="ok" if is_fine else "degraded", version=VERSION, checks={name: answers[name] for name in checks}
    )


async def _checked(name: str, check: Callable[[], object]) -> str:
    """`ok`, or in a few words what is wrong; within CHECK_TIMEOUT_S."""
    try:
        with anyio.fail_after(CHECK_TIMEOUT_S):
            await to_thread.run_sync(check, limiter=THREADS, abandon_on_cancel=True)
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except _NoWorker:
        return "none heard from"
    except StorageFull:
        return "full"
    except (ParleyError, redis.RedisError):
        return "unavailable"
    except Exception:  # a check that fails in a new way is a failed check, not a failed call
        log.exception("health_check_failed", check=name)
        return "failed"
    return "ok"


class _NoWorker(Exception):
    """Nobody would do the work."""


def _check_database() -> None:
    with db.session() as work:
        work.execute(text("SELECT 1"))


def check_broker(config: Settings) -> None:
    """Raises redis.RedisError unless the broker can be used."""
    with redis.Redis.from_url(
        config.redis_url.get_secret_value(), socket_timeout=CHECK_TIMEOUT_S, socket_connect_timeout=CHECK_TIMEOUT_S
    ) as client:
        client.ping()


def _check_storage(storage: Storage) -> None:
    storage.check()
    storage.fullness.check()


def _check_workers() -> None:
    with db.session() as work:
        if not any(crew.workers for crew in crews(work).values()):
            raise _NoWorker


def _queues() -> AsyncHealth:
    with db.session() as work:
        serving = crews(work, LIVE_QUEUE)
        stages = counts.stages(work)
        live = crowd.of(work)
    totals: Counter[tuple[str, str]] = Counter()
    for (name, _, state), count in stages.items():
        if name in STAGES:  # not one of a newer release
            totals[STAGES[name].queue, state] += count
    totals[LIVE_QUEUE, StageState.QUEUED], totals[LIVE_QUEUE, StageState.RUNNING] = live.waiting, live.running
    queues = {
        queue: QueueHealth(
            workers=crew.workers,
            deaf=crew.deaf,
            queued=totals[queue, StageState.QUEUED],
            running=totals[queue, StageState.RUNNING],
        )
        for queue, crew in serving.items()
        if queue != LIVE_QUEUE or crew.workers or crew.deaf or live.waiting  # live workers need not be
    }
    return AsyncHealth(status="ok" if all(q.workers for q in queues.values()) else "degraded", queues=queues)
