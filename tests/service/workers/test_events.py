"""Celery's events, of which a worker sends some only while somebody asks for them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from celery import Celery

from scripts.local.apps import API, worker
from tasks.worker.celery_events import LISTENED_S, LOOK_S
from tests.faults.rig import PATIENCE_S, Rig, eventually, start

HEARTBEAT_S = 2.0
"""Celery's, while it sends events."""

SURE_S = 4 * HEARTBEAT_S


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One worker for everything, and no Flower."""
    with start(tmp_path_factory.mktemp("events"), (API, worker("all", "io,cpu,asr,diarize", 1, 1))) as running:
        yield running


def events(rig: Rig, seconds: float) -> list[bytes]:
    """What any worker publishes for monitors in this time."""
    client = redis.Redis.from_url(rig.stack.env["REDIS_URL"], socket_timeout=PATIENCE_S)
    found = []
    with client.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.psubscribe("*celeryev*")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = listener.get_message(ignore_subscribe_messages=True, timeout=left)
            if message:
                found.append(base64.b64decode(json.loads(message["data"])["body"]))
    return found


def test_a_worker_that_nobody_listens_to_is_silent(rig: Rig) -> None:
    """Half a minute after its start it sends nothing, not even for a task; once it is asked it tells of each ring."""
    eventually(lambda: not events(rig, SURE_S), "silence", LISTENED_S + LOOK_S + 2 * SURE_S)
    task = rig.submit()
    assert not events(rig, SURE_S)
    assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"

    Celery(broker=rig.stack.env["REDIS_URL"]).control.enable_events()
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(events, rig, SURE_S)
        task = rig.submit()
        told = b"".join(heard.result())
    assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"
    assert b"worker-heartbeat" in told
    assert b"parley.transcribe" in told
