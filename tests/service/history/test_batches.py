"""Batches: many recordings in one request, on a real gateway with real servers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import erasure, jobs, leases
from shared.models import Batch, Job, WebhookDelivery
from shared.repair import repair
from shared.storage import Storage, storage_of
from tests.service.gateway import Caller, Gateway, eventually, gateway_on, gateway_with, hand_in, work_on

ENDPOINT = "https://receiver.example/parley"
STAGES = ("download", "convert", "transcribe", "merge", "store")


gateway = gateway_with(MAX_BATCH_ITEMS="300")


def url(name: str = "") -> str:
    """A URL that nobody sent before; nothing fetches it here."""
    return f"https://media.example/{name or uuid.uuid4()}.mp3"


def send(caller: Caller, items: list[Any], headers: dict[str, str] | None = None, /, **common: Any) -> httpx.Response:
    return caller.http.post("/transcribe/batch", json={"items": items, **common}, headers=headers)


def batch_of(caller: Caller, count: int, **common: Any) -> tuple[str, list[uuid.UUID]]:
    """A fresh batch's path and its tasks."""
    answer = send(caller, [{"url": url()} for _ in range(count)], **common)
    assert answer.status_code == 202, answer.text
    return answer.json()["status_url"], [uuid.UUID(task["task_id"]) for task in answer.json()["tasks"]]


def look(caller: Caller, path: str) -> dict[str, Any]:
    answer = caller.http.get(path)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def do(task_id: uuid.UUID, storage: Storage) -> None:
    """The workers' part, to the end."""
    for stage in STAGES:
        hand_in(work_on(task_id, stage), storage)


def fail(task_id: uuid.UUID) -> None:
    claim = work_on(task_id, "download")
    with session() as work:
        leases.fail(work, claim, NoAudio("Nothing to hear."), max_attempts=3)


def rows(caller: Caller, table: type[Job] | type[Batch] | type[WebhookDelivery]) -> int:
    with session() as work:
        return work.scalar(select(func.count()).select_from(table).where(table.owner_id == caller.id)) or 0


def payloads(batch_path: str) -> list[dict[str, Any]]:
    """What the outbox says about the batch."""
    batch_id = uuid.UUID(batch_path.rpartition("/")[2])
    with session() as work:
        query = select(WebhookDelivery.payload).where(WebhookDelivery.batch_id == batch_id)
        return [dict(payload["data"]) for payload in work.scalars(query)]


def in_transaction(change: Callable[..., object], *arguments: object) -> None:
    with session() as work:
        change(work, *arguments)


def in_a_new_session(query: str) -> Any:
    """The query's first value. Within one transaction the statistics of others do not change."""
    with session() as work:
        return work.scalar(text(query))


def at_once(*deeds: Callable[[], None]) -> None:
    """Do all of them at the same moment, as far as threads can."""
    together = threading.Barrier(len(deeds))

    def do_one(deed: Callable[[], None]) -> None:
        together.wait(timeout=20)
        deed()

    with ThreadPoolExecutor(len(deeds)) as pool:
        list(pool.map(do_one, deeds))


# ---- submitting


def test_items_become_tasks_in_their_order(caller: Caller) -> None:
    """Common options and notes hold for every item that does not have its own; the batch's reference is kept, too."""
    items = [{"url": url("a")}, {"url": url("b"), "lang": "German", "tags": ["x", "y"], "reference": "mine"}]
    answer = send(caller, [*items, {"url": url("c"), "language": ""}], language="en", tags="all", reference="ours")
    body = answer.json()
    assert (answer.status_code, body["total"], len(body["tasks"])) == (202, 3, 3)
    assert answer.headers["Location"] == body["status_url"] == f"/batches/{body['batch_id']}"
    details = [look(caller, f"/tasks/{task['task_id']}") for task in body["tasks"]]
    assert [detail["file"]["url"] for detail in details] == [url("a"), url("b"), url("c")]
    assert [detail["options"]["language"] for detail in details] == ["en", "de", None]
    assert [detail["tags"] for detail in details] == [["all"], ["x", "y"], ["all"]]
    assert [detail["reference"] for detail in details] == ["ours", "mine", "ours"]
    assert {detail["batch_id"] for detail in details} == {body["batch_id"]}
    assert {task["batch_id"] for task in look(caller, "/history")["items"]} == {body["batch_id"]}
    other, _ = batch_of(caller, 1)
    for path, count in ((body["status_url"], 3), (other, 1)):
        assert len(look(caller, f"/history?batch_id={path.rpartition('/')[2]}")["items"]) == count
    batch = look(caller, body["status_url"])
    assert (batch["status"], batch["progress"], batch["reference"]) == ("queued", 0, "ours")
    assert batch["counts"] == dict.fromkeys(batch["counts"], 0) | {"queued": 3}


def test_uploads_are_items(gateway: Gateway, caller: Caller) -> None:
    """An item can be an upload in parts; one that is not there, or not complete, is named and nothing is made."""
    content = b"RIFF" * 100
    opened = caller.http.post("/uploads", json={"filename": "a.wav", "bytes": len(content)}).json()
    upload_id = opened["upload_id"]
    items = [{"url": url()}, {"upload_id": upload_id}]
    early = send(caller, items)
    assert (early.status_code, early.json()["detail"]["parameter"]) == (409, "items[1].upload_id")
    assert caller.http.put(f"/uploads/{upload_id}/parts/1", content=content).is_success
    assert caller.http.post(f"/uploads/{upload_id}/complete").is_success
    answer = send(caller, items)
    assert answer.status_code == 202, answer.text
    assert look(caller, answer.json()["tasks"][1]["status_url"].replace("status", "tasks"))["file"]["name"] == "a.wav"
    for unknown, status in ((str(uuid.uuid4()), 404), ("nonsense", 422)):
        refused = send(caller, [{"url": url()}, {"upload_id": unknown}])
        assert (refused.status_code, refused.json()["detail"]["parameter"]) == (status, "items[1].upload_id")
    stranger = send(gateway.caller(), items)
    assert stranger.status_code == 404
    assert rows(caller, Job) == 2


@pytest.mark.parametrize(
    ("item", "code", "parameter"),
    [
        ({"url": "http://10.0.0.1/a.mp3"}, "blocked_address", "items[1].url"),
        ({"url": "gopher://media.example/a"}, "invalid_url", "items[1].url"),
        ({"url": "https://media.example/a", "upload_id": str(uuid.uuid4())}, "invalid_request", "items[1].url"),
        ({}, "invalid_request", "items[1].url"),
        ({"url": "https://media.example/a", "model": "huge"}, "model_not_allowed", "items[1].model"),
        ({"url": "https://media.example/a", "speed": 2}, "invalid_request", "items[1].speed"),
        ({"url": "https://media.example/a", "wait": 2}, "invalid_request", "items[1].wait"),
        ({"url": "https://media.example/a", "refresh": "perhaps"}, "invalid_request", "items[1].refresh"),
        ({"url": "https://media.example/a", "diarization": {"yes": 1}}, "invalid_request", "items[1].diarization"),
        ("https://media.example/a", "invalid_request", "items[1]"),
    ],
)
def test_one_wrong_item_refuses_all(caller: Caller, item: Any, code: str, parameter: str) -> None:
    """The error is the item's own and says which item it is; no task is made of the others."""
    answer = send(caller, [{"url": url()}, item, {"url": url()}])
    assert (answer.json()["code"], answer.json()["detail"]["parameter"]) == (code, parameter), answer.text
    assert rows(caller, Job) == rows(caller, Batch) == 0


def test_what_is_wrong_with_the_whole_is_said_of_the_whole(caller: Caller) -> None:
    """No items, too many, and a wrong common option are not said of an item; other bodies than JSON are refused."""
    many = [{"url": url()}] * 301
    for items, common, parameter in (
        ([], {}, "items"),
        (many, {}, "items"),
        ([{"url": url()}], {"temperature": "hot"}, "temperature"),
        ([{"url": url()}], {"webhook_url": "http://10.0.0.1/"}, None),
        ([{"url": url()}], {"colour": "red"}, "colour"),
    ):
        answer = send(caller, items, **common)
        assert answer.status_code == 422
        assert (answer.json().get("detail") or {}).get("parameter") in (parameter, "webhook_url"), answer.text
    for body, kind in ((b"[]", "application/json"), (b"{", "application/json"), (b"items=1", "text/plain")):
        answer = caller.http.post("/transcribe/batch", content=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_equal_items_and_known_ones(gateway: Gateway, caller: Caller) -> None:
    """Items may be equal; what is known is done at once, and a batch of nothing else is over when it is made."""
    _, (task_id,) = batch_of(caller, 1)
    source_url = look(caller, f"/tasks/{task_id}")["file"]["url"]
    do(task_id, gateway.storage)
    answer = send(caller, [{"url": source_url}, {"url": source_url}], webhook_url=ENDPOINT).json()
    assert [task["status"] for task in answer["tasks"]] == ["done", "done"]
    batch = look(caller, answer["status_url"])
    assert (batch["status"], batch["progress"], batch["eta_seconds"]) == ("done", 100, 0)
    (event,) = payloads(answer["status_url"])
    assert (event["total"], event["done"]) == (2, 2)
    mixed = send(caller, [{"url": source_url}, {"url": url()}]).json()
    assert [task["status"] for task in mixed["tasks"]] == ["done", "queued"]
    assert look(caller, mixed["status_url"])["finished_at"] is None


def test_many_items(caller: Caller) -> None:
    """300 items are one request and one transaction."""
    path, ids = batch_of(caller, 300)
    assert (ids, rows(caller, Job)) == (sorted(ids), 300)
    task_ids: list[uuid.UUID] = []
    page = f"{path}/tasks?limit=100"
    while page:
        answer = caller.http.get(page)
        task_ids += [uuid.UUID(task["task_id"]) for task in answer.json()["items"]]
        page = answer.links.get("next", {}).get("url", "")
    assert task_ids == ids


# ---- once, and within limits


def test_a_repeated_request_gives_the_same_batch(caller: Caller) -> None:
    """20 at once make one batch and get one answer, also when limits are reached; another request is a conflict."""
    items, key = [{"url": url()}, {"url": url()}], {"Idempotency-Key": "batch"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: send(caller, items, key, reference="r"), range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19
    assert (rows(caller, Batch), rows(caller, Job)) == (1, 2)
    for other in (send(caller, items[::-1], key, reference="r"), send(caller, items, key)):
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
        assert other.json()["detail"] == {"batch_id": answers[0].json()["batch_id"]}
    single = caller.http.post("/transcribe", json=items[0], headers=key)
    assert (single.status_code, single.json()["code"]) == (409, "idempotency_conflict")
    assert caller.http.delete(answers[0].json()["status_url"]).is_success
    assert send(caller, items, key, reference="r").json()["batch_id"] != answers[0].json()["batch_id"]


def test_every_item_counts_towards_the_limits(gateway: Gateway, caller: Caller) -> None:
    """A batch for which there is no room is refused as a whole; a repeated one is not, it makes no tasks."""
    admin = gateway.caller("admin").http
    assert admin.patch(f"/admin/keys/{caller.id}", json={"max_queued": 5}).is_success
    items, key = [{"url": url()} for _ in range(3)], {"Idempotency-Key": "k"}
    first = send(caller, items, key)
    assert first.status_code == 202
    refused = send(caller, [{"url": url()} for _ in range(3)])
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_queued")
    assert int(refused.headers["Retry-After"]) >= 1
    never = send(caller, [{"url": url()} for _ in range(6)])
    assert (never.status_code, never.json()["code"]) == (422, "invalid_request")
    assert rows(caller, Job) == 3
    assert send(caller, [{"url": url()}, {"url": url()}]).status_code == 202
    assert send(caller, items, key).json() == first.json()


# ---- as a whole, and its end


def test_a_batch_is_seen_as_one(gateway: Gateway, caller: Caller) -> None:
    """Counts, progress that never falls, a forecast once a task has ended, and an end that is told once."""
    path, ids = batch_of(caller, 4, webhook_url=ENDPOINT, reference="r")
    views = [look(caller, path)]
    work_on(ids[0], "download")
    views.append(look(caller, path))
    do(ids[1], gateway.storage)
    views.append(look(caller, path))
    fail(ids[2])
    assert caller.http.post(f"/tasks/{ids[3]}/cancel").is_success
    views.append(look(caller, path))
    assert payloads(path) == []
    with session() as work:
        jobs.cancel(work, caller.id, ids[0])
    assert look(caller, path)["counts"]["cancelling"] == 1
    with session() as work:
        erasure.erase(work, caller.id, ids[0])
    views.append(look(caller, path))
    progress = [batch["progress"] for batch in views]
    assert progress == sorted(progress)
    assert [batch["status"] for batch in views] == ["queued", *["processing"] * 3, "done"]
    assert [batch["eta_seconds"] is None for batch in views] == [True, True, False, False, False]
    last = views[-1]
    ended = {"done": 1, "error": 1, "cancelled": 1, "deleted": 1}
    assert last["counts"] == dict.fromkeys(last["counts"], 0) | ended
    assert (last["progress"], last["eta_seconds"], last["finished_at"] is None) == (100, 0, False)
    (event,) = payloads(path)
    assert (event["batch_id"], event["reference"], event["total"]) == (path.rpartition("/")[2], "r", 4)
    with session() as work:  # the items' own webhook is another matter
        assert set(work.scalars(select(Job.webhook_url).where(Job.owner_id == caller.id))) == {None}


def test_of_two_last_tasks_one_sees_the_end(gateway: Gateway, caller: Caller) -> None:
    """When the last tasks of a batch end at the same moment, in whichever way, the end is noted and told once."""
    for _ in range(8):
        path, ids = batch_of(caller, 4, webhook_url=ENDPOINT)
        for task_id in ids[:2]:
            for stage in STAGES[:-1]:
                hand_in(work_on(task_id, stage), gateway.storage)
        first, second = (work_on(task_id, "store") for task_id in ids[:2])
        at_once(
            partial(hand_in, first, gateway.storage),
            partial(hand_in, second, gateway.storage),
            partial(in_transaction, jobs.cancel, caller.id, ids[2]),
            partial(in_transaction, erasure.erase, caller.id, ids[3]),
        )
        (event,) = payloads(path)
        assert (event["done"], event["cancelled"]) == (2, 1)
        assert look(caller, path)["status"] == "done"


def test_the_second_of_two_last_tasks_waits_for_the_first(caller: Caller) -> None:
    """A task that ends while the other's end is not yet committed waits, and then sees that it was the last."""
    path, (one, two) = batch_of(caller, 2, webhook_url=ENDPOINT)
    second = threading.Thread(target=lambda: caller.http.post(f"/tasks/{two}/cancel"))
    with session() as work:
        jobs.cancel(work, caller.id, one)
        second.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"
        eventually(lambda: in_a_new_session(waits), "the second waits for the first")
        assert payloads(path) == []
    second.join(timeout=20)
    (event,) = payloads(path)
    assert event["cancelled"] == 2


def test_a_batch_is_cancelled_as_a_whole(gateway: Gateway, caller: Caller) -> None:
    """What waits is cancelled at once, what runs when its worker lets go, what has ended stays."""
    path, ids = batch_of(caller, 3)
    do(ids[0], gateway.storage)
    running = work_on(ids[1], "download")
    answer = caller.http.post(f"{path}/cancel")
    counts = answer.json()["counts"]
    assert (counts["done"], counts["cancelling"], counts["cancelled"]) == (1, 1, 1)
    assert answer.json()["status"] == "processing"
    with session() as work:
        leases.give_back(work, running)
    assert caller.http.post(f"{path}/cancel").json()["status"] == "done"
    assert look(caller, path)["counts"]["cancelled"] == 2


def test_a_batch_is_deleted_with_its_tasks(gateway: Gateway, caller: Caller) -> None:
    """Tasks, their objects and the batch are gone, whatever state they were in; another batch stays."""
    path, ids = batch_of(caller, 3, webhook_url=ENDPOINT)
    other, _ = batch_of(caller, 1)
    do(ids[0], gateway.storage)
    work_on(ids[1], "download")
    assert gateway.objects(caller) != set()
    answer = caller.http.delete(path)
    assert (answer.status_code, answer.json()["tasks"], answer.json()["verified"]) == (200, 3, True)
    assert gateway.objects(caller) == set()
    assert [caller.http.get(f"/status/{task_id}").status_code for task_id in ids] == [404] * 3
    for method, target in (("GET", path), ("GET", f"{path}/tasks"), ("POST", f"{path}/cancel"), ("DELETE", path)):
        assert caller.http.request(method, target).status_code == 404
    assert [batch["tasks_url"] for batch in look(caller, "/batches")["items"]] == [f"{other}/tasks"]


def test_a_finished_batch_goes_with_its_last_task(environment: Settings, gateway: Gateway, caller: Caller) -> None:
    """However they are deleted; here their time is over and the sweep does it."""
    path, ids = batch_of(caller, 2, retention_seconds=60)
    for task_id in ids:
        do(task_id, gateway.storage)
    with session() as work:
        work.execute(update(Job).where(Job.id == ids[0]).values(expires_at=func.now()))
    repair(environment, gateway.storage, lambda _: None)
    assert look(caller, path)["counts"]["deleted"] == 1
    assert caller.http.delete(f"/tasks/{ids[1]}").is_success
    assert caller.http.get(path).status_code == 404


def test_batches_are_listed_newest_first(caller: Caller) -> None:
    """A page at a time, each as a whole."""
    paths = [batch_of(caller, count)[0] for count in (1, 2, 3)]
    first = caller.http.get("/batches", params={"limit": 2})
    assert [batch["total"] for batch in first.json()["items"]] == [3, 2]
    second = caller.http.get(first.links["next"]["url"])
    assert [batch["total"] for batch in second.json()["items"]] == [1]
    assert second.json()["next_cursor"] is None
    assert paths[0].endswith(second.json()["items"][0]["batch_id"])


def test_a_gateway_without_its_database_makes_nothing(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A transaction that is broken off in the middle of 300 items leaves no task and no batch; the answer is 503."""
    home = tmp_path_factory.mktemp("gateway")
    with gateway_on(servers, home, storage_of(environment)) as gateway:
        caller = gateway.caller()
        answers: list[httpx.Response] = []
        items = [{"url": url()} for _ in range(300)]
        sending = threading.Thread(target=lambda: answers.append(send(caller, items)))
        busy = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%WITH made%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"
        )
        with session() as work:
            work.execute(text("LOCK TABLE stages IN SHARE MODE"))  # behind which whoever writes to it waits
            sending.start()
            killed = eventually(lambda: bool(in_a_new_session(busy)), "the transaction is at work")
            sending.join(timeout=60)
        assert killed
        assert (answers[0].status_code, answers[0].json()["code"]) == (503, "database_unavailable")
        assert rows(caller, Job) == rows(caller, Batch) == 0
