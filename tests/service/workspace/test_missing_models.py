"""A model whose weights no worker has: refused when a recording is submitted, not when it is its turn."""

from __future__ import annotations

import os
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import delete, func, update

from shared.db import session
from shared.models import Worker
from shared.stages import queues
from tests.service.gateway import NOTHING, Caller, Gateway, finish

HERE, ABSENT = "tiny", "medium"


@pytest.fixture
def a_worker(gateway: Gateway) -> Iterator[None]:
    """The only one, and it has the weights of one model."""
    with session() as work:
        work.execute(delete(Worker))
        seen_at = func.now() + func.make_interval(0, 0, 0, 1)  # however long the test takes: one that is silent is none
        work.add(Worker(name="w@test", queues=list(queues()), installed=[HERE], loaded=[], seen_at=seen_at))
    yield
    with session() as work:
        work.execute(delete(Worker))


def refused(answer: httpx.Response) -> bool:
    body = answer.json()
    return (answer.status_code, body.get("code"), body.get("detail")) == (
        422,
        "model_not_installed",
        {"parameter": "model"},
    )


def test_what_no_worker_could_do_is_refused_at_once(gateway: Gateway, caller: Caller, a_worker: None) -> None:
    """By file, by URL and in a batch, and nothing of it stays; other models and the default are taken."""
    url = {"url": "https://media.example/a.mp3"}
    assert refused(caller.submit(model=ABSENT))
    assert refused(caller.http.post("/transcribe", json={**url, "model": ABSENT}))
    assert refused(caller.http.post("/transcribe/batch", json={"items": [url, {**url, "model": ABSENT}]}))
    files = {"file": ("a.wav", os.urandom(64))}
    answer = caller.http.post("/v1/audio/transcriptions", files=files, data={"model": ABSENT})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert gateway.left_behind(caller) == NOTHING
    assert caller.newest() is None
    caller.task(model=HERE)
    caller.task()


def test_what_is_known_needs_no_model(gateway: Gateway, caller: Caller, a_worker: None) -> None:
    """A transcript that a model has made answers its recording when the model is gone; a retry needs it."""
    recording = os.urandom(64)
    with session() as work:
        work.execute(update(Worker).values(installed=None))
    finish(caller.task(recording, model=ABSENT), gateway.storage)
    stopped = caller.task(model=ABSENT)
    caller.http.post(f"/tasks/{stopped}/cancel").raise_for_status()
    with session() as work:
        work.execute(update(Worker).values(installed=[HERE]))
    answer = caller.submit(recording, model=ABSENT)
    assert (answer.status_code, answer.json()["status"]) == (202, "done")
    assert refused(caller.http.post(f"/tasks/{stopped}/retry"))


def test_while_it_is_unknown_what_there_is_all_is_taken(gateway: Gateway, caller: Caller, a_worker: None) -> None:
    """Without a worker, and with one of a release that does not report its models."""
    with session() as work:
        work.add(Worker(name="old@test", queues=list(queues())))
    caller.task(model=ABSENT)
    with session() as work:
        work.execute(delete(Worker))
    caller.task(model=ABSENT)
