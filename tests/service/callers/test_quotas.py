"""Quotas of an API key on a real gateway: what it keeps is bounded, also by many requests at once, and comes back."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text
from uuid_utils.compat import uuid7

from shared.callers import quotas
from shared.db import session
from shared.errors import Unauthorized
from shared.intake import uploads
from shared.intake.parts import layout
from shared.models import Artifact, StorageChange, WebhookDelivery
from shared.storage import Storage
from shared.webhooks.outbox import DeliveryState
from tests.service.gateway import NOTHING, Caller, Gateway, RawUpload, finish, gateway_with

AT_ONCE = 50
GIB = 1024**3
NOWHERE = "https://receiver.example/hook"


gateway = gateway_with()


def used(caller: Caller, name: str) -> int:
    return int(caller.http.get("/usage").json()["quotas"][name]["used"])


def at_once(call: Callable[[int], httpx.Response], count: int = AT_ONCE) -> Counter[int]:
    """The statuses of so many calls that begin together."""
    barrier = Barrier(count)

    def one(number: int) -> int:
        barrier.wait(60)
        return call(number).status_code

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def begin(caller: Caller, size: int) -> httpx.Response:
    return caller.http.post("/uploads", json={"bytes": size})


# ---- defaults


def test_no_quota_is_unlimited_by_default(gateway: Gateway) -> None:
    """GET /usage shows what a new key has of each quota: nothing, of a number that is not 0."""
    usage = gateway.caller().http.get("/usage").json()["quotas"]
    assert set(usage) == {
        "max_open_uploads",
        "max_announced_bytes",
        "max_stored_bytes",
        "max_waiting_deliveries",
        "webhook_tests_per_minute",
    }
    assert all(one["used"] == 0 and one["limit"] > 0 for one in usage.values())


def test_50_gib_cannot_be_announced_160_times(gateway: Gateway) -> None:
    """By default the open uploads of a key announce ten of the largest recordings, and no more."""
    caller = gateway.caller()
    answers = [begin(caller, 50 * GIB) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [201] * 10 + [403] * 2
    assert problem(answers[-1]) == (403, "storage_quota_exceeded")
    assert answers[-1].json()["detail"] == {"max_announced_bytes": 500 * GIB}


# ---- uploads


def test_50_uploads_at_once_do_not_pass_the_number(gateway: Gateway) -> None:
    """Exactly as many are opened as may be; an aborted one makes room for another."""
    caller = gateway.limited(max_open_uploads=3)
    assert at_once(lambda _: begin(caller, 1000)) == {201: 3, 429: AT_ONCE - 3}
    refused = begin(caller, 1000)
    assert problem(refused) == (429, "too_many_uploads")
    assert int(refused.headers["Retry-After"]) > 0
    assert used(caller, "max_open_uploads") == 3
    first = caller.http.get("/uploads").json()["items"][0]["upload_id"]
    assert caller.http.delete(f"/uploads/{first}").status_code in (200, 202)
    assert begin(caller, 1000).status_code == 201


def test_50_uploads_at_once_do_not_pass_the_bytes(gateway: Gateway) -> None:
    """What they announce together stays within the limit; completing one gives its share back."""
    caller = gateway.limited(max_announced_bytes=4000)
    assert at_once(lambda _: begin(caller, 1000)) == {201: 4, 403: AT_ONCE - 4}
    assert used(caller, "max_announced_bytes") == 4000
    upload = caller.http.get("/uploads").json()["items"][0]["upload_id"]
    assert caller.http.put(f"/uploads/{upload}/parts/1", content=os.urandom(1000)).status_code == 200
    assert caller.http.post(f"/uploads/{upload}/complete").status_code == 200
    assert (used(caller, "max_announced_bytes"), used(caller, "max_stored_bytes")) == (3000, 1000)
    assert begin(caller, 1000).status_code == 201


def test_a_key_that_is_revoked_begins_nothing(gateway: Gateway) -> None:
    """A request that was let in a moment before the revocation adds no upload any more."""
    caller = gateway.caller()
    assert gateway.caller("admin").http.delete(f"/admin/keys/{caller.id}").status_code == 204
    with pytest.raises(Unauthorized), session() as work:
        uploads.begin(
            work, upload_id=uuid7(), owner_id=caller.id, filename=None, cut=layout(10, None), sha256=None, ttl_s=60
        )


# ---- what is stored


@pytest.mark.parametrize("path", ["/transcribe", "/api/audio"])
def test_50_recordings_at_once_do_not_pass_what_may_be_stored(gateway: Gateway, path: str) -> None:
    """Recordings are taken up to the limit, nothing stays of the others, and what is erased makes room again."""
    caller = gateway.limited(max_stored_bytes=5 * 10_000)

    def send(_: int) -> httpx.Response:
        with httpx.Client(base_url=gateway.url, headers=caller.http.headers, timeout=120) as http:
            return http.post(path, files={"file": ("call.wav", os.urandom(10_000))})

    counts = at_once(send, 40)
    successes = counts[202] + counts[200]
    assert counts.total() == successes + counts[403]
    assert successes == 5, counts
    assert len(gateway.objects(caller)) == successes
    assert gateway.left_behind(caller)[1:] == NOTHING[1:]
    assert used(caller, "max_stored_bytes") == successes * 10_000
    refused = send(0)
    assert problem(refused) == (403, "storage_quota_exceeded")
    assert refused.json()["detail"] == {"max_stored_bytes": 50_000}
    kind, ids = (
        ("/tasks/", [item["task_id"] for item in caller.http.get("/history").json()["items"]])
        if path == "/transcribe"
        else ("/uploads/", [item["upload_id"] for item in caller.http.get("/uploads").json()["items"]])
    )
    for one in ids[:2]:
        assert caller.http.delete(f"{kind}{one}").status_code in (200, 202)
    assert used(caller, "max_stored_bytes") == (successes - 2) * 10_000
    assert send(0).status_code in (200, 202)


def test_what_cannot_be_stored_is_refused_before_it_is_sent(gateway: Gateway) -> None:
    """The Content-Length alone is enough, and other calls of the key go on."""
    caller = gateway.limited(max_stored_bytes=1000)
    status, answer = RawUpload(gateway, caller.key, GIB).answer()
    assert (status, '"storage_quota_exceeded"' in answer) == (403, True)
    assert problem(begin(caller, 1001)) == (403, "storage_quota_exceeded")
    assert caller.http.get("/history").status_code == 200
    assert gateway.left_behind(caller) == NOTHING


def test_the_same_recording_counts_once(gateway: Gateway) -> None:
    """A key at its limit may send again what it has, in as many tasks as it likes."""
    caller = gateway.limited(max_stored_bytes=3000)
    recording = os.urandom(1500)
    assert caller.submit(recording).status_code == 202
    again = caller.submit(recording, language="de")
    assert again.status_code == 202, again.text
    assert used(caller, "max_stored_bytes") == 1500


def test_what_is_counted_is_what_is_stored(gateway: Gateway, bucket: Storage) -> None:
    """After tasks were made, worked on, swept and erased, the count is the sum of the rows, for every key."""
    caller = gateway.caller()
    tasks = [caller.task() for _ in range(3)]
    for task in tasks:
        finish(task, bucket)
    with session() as work:
        quotas.sweep(work)
    assert caller.http.delete(f"/tasks/{tasks[0]}").status_code in (200, 202)
    with session() as work:
        query = select(func.sum(Artifact.bytes)).where(Artifact.owner_id == caller.id)
        assert work.scalar(select(func.count()).select_from(StorageChange)) is not None
        assert used(caller, "max_stored_bytes") == work.scalar(query)
        wrong = text(
            "SELECT owner_id FROM (SELECT owner_id, bytes FROM key_storage"
            " UNION ALL SELECT owner_id, bytes FROM storage_changes"
            " UNION ALL SELECT owner_id, -bytes FROM artifacts) AS all_of_them GROUP BY owner_id HAVING sum(bytes) <> 0"
        )
        assert not work.execute(wrong).all()


# ---- webhooks


def endpoint(caller: Caller) -> str:
    answer = caller.http.post("/webhooks/endpoints", json={"url": NOWHERE})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_50_tests_at_once_do_not_pass_the_number_per_minute(gateway: Gateway) -> None:
    """Ten webhooks are tested in a minute, the others are 429 with the rest of the minute; so are replays."""
    caller = gateway.caller()
    where = endpoint(caller)
    counts = at_once(lambda _: caller.http.post(f"/webhooks/endpoints/{where}/test"))
    assert 10 <= counts[202] <= 20, counts  # a minute may end meanwhile
    assert counts[202] + counts[429] == AT_ONCE
    delivery = caller.http.get("/webhooks/deliveries").json()["items"][0]["id"]
    answers: list[httpx.Response] = []

    def replay(_: int) -> httpx.Response:
        answers.append(caller.http.post(f"/webhooks/deliveries/{delivery}/replay"))
        return answers[-1]

    counts = at_once(replay)
    assert counts[202] <= 40 and counts[202] + counts[429] == AT_ONCE, counts  # a minute may end meanwhile
    refused = next(answer for answer in answers if answer.status_code != 202)
    assert problem(refused) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_50_tasks_at_once_do_not_pass_the_webhooks_that_may_wait(gateway: Gateway) -> None:
    """Tasks that will be told of count with those that wait; a task that is refused leaves nothing, and when the
    webhooks are sent there is room again."""
    caller = gateway.limited(max_waiting_deliveries=4)

    def submit(_: int) -> httpx.Response:
        return caller.submit(webhook_url=NOWHERE)

    counts = at_once(submit, 30)
    assert counts == {202: 4, 429: 26}
    refused = submit(0)
    assert problem(refused) == (429, "too_many_deliveries")
    assert refused.json()["detail"]["max_waiting_deliveries"] == 4
    assert len(gateway.objects(caller)) == 4
    assert caller.submit().status_code == 202  # nobody is told of it
    tasks = [item["task_id"] for item in caller.http.get("/history").json()["items"]]
    for task in tasks[1:3]:
        finish(uuid.UUID(task), gateway.storage)
    assert used(caller, "max_waiting_deliveries") == 2
    assert submit(0).status_code == 429
    with session() as work:
        for row in work.scalars(select(WebhookDelivery).where(WebhookDelivery.owner_id == caller.id)):
            row.state, row.next_at = DeliveryState.DELIVERED, None
    assert [submit(0).status_code for _ in range(3)] == [202, 202, 429]


def test_endpoints_count_for_every_task_that_they_are_told_of(gateway: Gateway) -> None:
    """With four tasks unfinished and room for eight webhooks, the third endpoint is refused, and so is a batch."""
    caller = gateway.limited(max_waiting_deliveries=8)
    for _ in range(4):
        caller.task()
    first, second = endpoint(caller), endpoint(caller)
    third = caller.http.post("/webhooks/endpoints", json={"url": NOWHERE})
    assert problem(third) == (429, "too_many_deliveries")
    assert len(caller.http.get("/webhooks/endpoints").json()["items"]) == 2
    batch: dict[str, Any] = {"items": [{"url": "https://media.example/1.mp3"}]}
    assert problem(caller.http.post("/transcribe/batch", json=batch)) == (429, "too_many_deliveries")
    assert problem(caller.submit()) == (429, "too_many_deliveries")
    assert caller.http.patch(f"/webhooks/endpoints/{second}", json={"enabled": False}).status_code == 200
    assert caller.http.post("/transcribe/batch", json=batch).status_code == 202
    assert caller.http.get(f"/webhooks/endpoints/{first}").status_code == 200


# ---- administration


def test_quotas_are_set_by_an_operator(gateway: Gateway) -> None:
    """PATCH takes sizes beyond 32 bits, null gives the server's default back, 0 is no limit, nonsense is 422."""
    admin, caller = gateway.caller("admin").http, gateway.caller()
    path = f"/admin/keys/{caller.id}"
    changed = admin.patch(path, json={"max_stored_bytes": 5 * 1024**4, "max_open_uploads": 0}).json()
    assert (changed["max_stored_bytes"], changed["max_open_uploads"]) == (5 * 1024**4, 0)
    usage = caller.http.get("/usage").json()["quotas"]
    assert usage["max_stored_bytes"] == {"used": 0, "limit": 5 * 1024**4}
    assert usage["max_open_uploads"]["limit"] == 0
    assert admin.patch(path, json={"max_stored_bytes": None}).json()["max_stored_bytes"] is None
    assert caller.http.get("/usage").json()["quotas"]["max_stored_bytes"]["limit"] == 1024**4
    for nonsense in ({"max_stored_bytes": -1}, {"max_stored_bytes": 2**64}, {"max_open_uploads": 2**31}):
        assert admin.patch(path, json=nonsense).status_code == 422, nonsense
