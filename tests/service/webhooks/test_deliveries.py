"""The rules of the outbox on a real database, and one attempt against receivers that take their time."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, update

from shared.db import session
from shared.egress.policy import Guard
from shared.kernel import jobs
from shared.kernel.orders import JobOrder, RemoteSource
from shared.kernel.submission import new_jobs
from shared.models import Batch, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from shared.options import JobOptions
from shared.webhooks import deliveries, endpoints, outbox
from shared.webhooks.deliveries import AT_ONCE, JITTER, KEPT, RETRY_AFTER_S, Answer, Errand
from shared.webhooks.outbox import DeliveryState, Event
from tasks.signed_post import send

URL = "https://intranet.example/parley"
FAILED = Answer(503, None, 0.1)
PATIENCE_S = 20


@pytest.fixture
def owner(owner: uuid.UUID) -> uuid.UUID:
    """The only one with deliveries: a claim takes a few of all that are due, those of other tests first."""
    with session() as work:
        work.execute(delete(WebhookDelivery))
    return owner


def an_endpoint(owner: uuid.UUID) -> WebhookEndpoint:
    with session() as work:
        return endpoints.create(work, owner, URL, Event, None)[0]


def announced(endpoint: WebhookEndpoint, count: int = 1) -> list[uuid.UUID]:
    with session() as work:
        return [outbox.announce_test(work, endpoint)[0].id for _ in range(count)]


def claimed(owner: uuid.UUID, timeout_s: float = 60) -> list[Errand]:
    """What of this owner's can be claimed now."""
    with session() as work:
        own_ids = set(work.scalars(select(WebhookDelivery.id).where(WebhookDelivery.owner_id == owner)))
        return [errand for errand in deliveries.claim(work, timeout_s) if errand.id in own_ids]


def settled(errand: Errand, answer: Answer, first_retry_s: float = 5) -> DeliveryState | None:
    with session() as work:
        return deliveries.settle(work, errand, answer, first_retry_s)


def row(delivery_id: uuid.UUID) -> WebhookDelivery:
    with session() as work:
        return work.get_one(WebhookDelivery, delivery_id)


def make_due(delivery_id: uuid.UUID) -> None:
    with session() as work:
        work.execute(update(WebhookDelivery).where(WebhookDelivery.id == delivery_id).values(next_at=func.now()))


def test_a_delivery_is_given_up_after_three_days(owner: uuid.UUID) -> None:
    """Each failure is followed by the planned wait, give or take the jitter; behind the last one it has failed.

    All waits are ten times as long here, so that none ends before it is looked at.
    """
    (delivery_id,) = announced(an_endpoint(owner))
    for number, planned_s in enumerate(RETRY_AFTER_S, start=1):
        (errand,) = claimed(owner)
        assert (errand.id, errand.attempt) == (delivery_id, number)
        before = datetime.now(UTC)
        assert settled(errand, FAILED, 10 * RETRY_AFTER_S[0]) == "pending"
        after = datetime.now(UTC)
        assert claimed(owner) == []
        planned, next_at = timedelta(seconds=10 * planned_s), row(delivery_id).next_at
        assert next_at is not None
        assert before + (1 - JITTER) * planned <= next_at <= after + (1 + JITTER) * planned
        make_due(delivery_id)
    assert settled(claimed(owner)[0], FAILED) == "failed"
    over = row(delivery_id)
    assert (over.next_at, over.attempts) == (None, len(RETRY_AFTER_S) + 1)
    assert timedelta(days=2.5) < timedelta(seconds=sum(RETRY_AFTER_S)) < timedelta(days=3.5)


def test_only_one_worker_sends_for_a_key(owner: uuid.UUID) -> None:
    """A claim takes a few of what is due; until those are settled nobody else takes more of this key's."""
    delivery_ids = announced(an_endpoint(owner), AT_ONCE + 2)
    first = claimed(owner)
    assert [errand.id for errand in first] == delivery_ids[:AT_ONCE]
    assert claimed(owner) == []
    for errand in first:
        assert settled(errand, Answer(200, None, 0.1)) == "delivered"
    assert [errand.id for errand in claimed(owner)] == delivery_ids[AT_ONCE:]


def test_a_claim_that_ran_out_is_worth_nothing(owner: uuid.UUID) -> None:
    """Who comes back late changes nothing: somebody else has the delivery, and the log has the lost attempt."""
    announced(an_endpoint(owner))
    (late,) = claimed(owner, timeout_s=0)
    (current,) = claimed(owner)
    assert (current.id, current.attempt) == (late.id, 2)
    assert settled(late, Answer(200, None, 0.1)) is None
    assert settled(current, Answer(204, None, 0.1)) == "delivered"
    assert settled(current, FAILED) is None
    with session() as work:
        log = deliveries.attempts(work, late.id)
    assert [(attempt.attempt, attempt.status, attempt.error) for attempt in log] == [
        (1, None, deliveries.LOST),
        (2, 204, None),
    ]


def test_what_waits_follows_its_endpoint(owner: uuid.UUID) -> None:
    """To its new URL; and nowhere when the endpoint was disabled, though a worker had claimed it before."""
    endpoint = an_endpoint(owner)
    announced(endpoint)
    with session() as work:
        record = endpoints.get(work, owner, endpoint.id, lock=True)
        endpoints.change(work, record, url="https://elsewhere.example/")
    (errand,) = claimed(owner, timeout_s=0)
    assert errand.url == "https://elsewhere.example/"
    with session() as work:
        endpoints.disable(work, endpoints.get(work, owner, endpoint.id, lock=True), "a test")
    assert claimed(owner) == []
    assert row(errand.id).state == "failed"


def test_the_end_of_a_batch_is_told_once(owner: uuid.UUID) -> None:
    """To its webhook_url, in the transaction that ends its last task, with how many ended in which way."""
    with session() as work:
        batch = Batch(owner_id=owner, total=2, webhook_url=URL, reference="a pile")
        work.add(batch)
        work.flush()
        batch_jobs = [
            new_jobs.submit(
                work,
                JobOrder(
                    job_id=uuid.uuid4(),
                    owner_id=owner,
                    source=RemoteSource(f"{URL}/{number}", str(uuid.uuid4())),
                    options=JobOptions(),
                    batch_id=batch.id,
                ),
            )[0]
            for number in range(2)
        ]
        for job in batch_jobs:
            jobs.cancel(work, owner, job.id)
        (delivery,) = work.scalars(select(WebhookDelivery).where(WebhookDelivery.batch_id == batch.id))
    data = delivery.payload["data"]
    assert (delivery.event, delivery.url, data["reference"]) == ("batch.completed", URL, "a pile")
    assert {name: data[name] for name in ("total", "done", "error", "cancelled", "deleted")} == {
        "total": 2,
        "done": 0,
        "error": 0,
        "cancelled": 2,
        "deleted": 0,
    }


def test_the_log_forgets(owner: uuid.UUID) -> None:
    """What ended and is older than the log remembers, with its attempts; what still waits stays, however old."""
    endpoint = an_endpoint(owner)
    old = uuid.UUID(int=int((datetime.now(UTC) - KEPT - timedelta(hours=1)).timestamp() * 1000) << 80)
    ended, waiting = old, uuid.UUID(int=old.int + 1)
    with session() as work:
        for delivery_id, state in ((ended, "delivered"), (waiting, "pending")):
            work.add(
                WebhookDelivery(
                    id=delivery_id, owner_id=owner, endpoint_id=endpoint.id, url=URL, event="x", payload={}, state=state
                )
            )
        work.flush()
        work.add(WebhookAttempt(delivery_id=ended, attempt=1, status=200, seconds=0.1))
    (recent,) = announced(endpoint)
    with session() as work:
        deliveries.sweep(work)
        remaining = set(work.scalars(select(WebhookDelivery.id).where(WebhookDelivery.owner_id == owner)))
    assert remaining == {waiting, recent}


# ---- one attempt


@contextmanager
def slow_receiver(pieces: Iterator[bytes]) -> Iterator[str]:
    """Sends each connection these pieces, ten a second, from the moment that something has arrived."""
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        visitor, _ = listener.accept()
        with visitor:
            visitor.recv(65536)
            for piece in pieces:
                try:
                    visitor.sendall(piece)
                except OSError:  # the sender has had enough
                    return
                if over.wait(0.1):
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    over.set()
    thread.join(10)
    listener.close()


def endless(start: bytes, more: bytes) -> Iterator[bytes]:
    yield start
    while True:
        yield more


@pytest.mark.parametrize("more", [b"x", b"\r\nx: y"], ids=["one header", "many headers"])
def test_a_receiver_that_drips_is_left(more: bytes) -> None:
    """An answer whose headers never end is given up when its time is over, though it is never silent."""
    began = time.monotonic()
    with slow_receiver(endless(b"HTTP/1.1 200 OK\r\nx: y", more)) as url:
        answer = send(Errand(uuid.uuid4(), 1, url, {}, ()), Guard(allow_hosts=frozenset({"127.0.0.1"})), 0.5)
    assert (answer.status, answer.error) == (None, "No answer within 0.5 s.")
    assert time.monotonic() - began < PATIENCE_S


def test_the_body_of_an_answer_is_not_read() -> None:
    """The status is all that counts; a body without an end is left alone."""
    with slow_receiver(endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", bytes(1000))) as url:
        answer = send(Errand(uuid.uuid4(), 1, url, {}, ()), Guard(allow_hosts=frozenset({"127.0.0.1"})), PATIENCE_S)
    assert (answer.status, answer.error) == (200, None)
    assert answer.seconds < PATIENCE_S
