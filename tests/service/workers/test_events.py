"""Celery's events, of which a worker sends some only while somebody asks for them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


@contextmanager
def ear(rig: Rig) -> Iterator[Callable[[float], Iterator[bytes]]]:
    """From now on, what any worker publishes for monitors within so many seconds."""
    client = redis.Redis.from_url(rig.stack.env["REDIS_URL"], socket_timeout=PATIENCE_S)
    with client.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.psubscribe("*celeryev*")
        assert listener.get_message(timeout=PATIENCE_S)["type"] == "psubscribe"

        def messages(seconds: float) -> Iterator[bytes]:
            end = time.monotonic() + seconds
            while (rest_s := end - time.monotonic()) > 0:
                message = listener.get_message(ignore_subscribe_messages=True, timeout=rest_s)
                if message:
                    yield base64.b64decode(json.loads(message["data"])["body"])

        yield messages


def events(rig: Rig, seconds: float) -> list[bytes]:
    with ear(rig) as messages:
        return list(messages(seconds))


def test_a_worker_that_nobody_listens_to_is_silent(rig: Rig) -> None:
    """Half a minute after its start it sends nothing, not even for a task; once it is asked it tells of each ring."""
    eventually(lambda: not events(rig, SURE_S), "silence", LISTENED_S + LOOK_S + 2 * SURE_S)
    task = rig.submit()
    assert not events(rig, SURE_S)
    assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"

    missing = {b"worker-heartbeat", b"parley.transcribe"}
    with ear(rig) as messages:
        Celery(broker=rig.stack.env["REDIS_URL"]).control.enable_events()
        task = rig.submit()
        for event in messages(PATIENCE_S):
            missing -= {word for word in missing if word in event}
            if not missing:
                break
    assert missing == set()
    assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"
