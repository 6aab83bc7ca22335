"""Webhooks, the whole way: tasks end in a real stack, and a receiver on loopback verifies what it is told of them."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from scripts.bench.soak.caller import noise
from scripts.local.apps import API, BEAT, worker
from scripts.local.processes import kill_session
from tests.faults.rig import Rig, long_recording, start
from tests.service.gateway import eventually
from tests.service.webhooks.receiver import Receiver
from tests.unit.intake.outside import Canary, hits


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.close()


@pytest.fixture(scope="module")
def canary() -> Iterator[Canary]:
    """Listens on a port that URLs may name, at addresses that they may not."""
    listener = Canary()
    yield listener
    listener.close()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, canary: Canary) -> Iterator[Rig]:
    """A stack that may reach `receiver`, and tries again a moment after a failure."""
    settings = {
        "egress_allow_hosts": receiver.host,
        "egress_ports": f"80,443,{canary.port}",
        "webhook_retry_s": 0.05,
        "webhook_timeout_s": 15,
        "sweep_interval_s": 0.3,
        "sleeper_seconds": 0.5,
    }
    apps = (API, worker("all", "io,cpu,asr,diarize", concurrency=2, threads=1), BEAT)
    with start(tmp_path_factory.mktemp("webhooks"), apps, **settings) as running:
        yield running


@pytest.fixture
def http(rig: Rig) -> Iterator[httpx.Client]:
    """A client with an API key of its own."""
    with key_of_its_own(rig) as client:
        yield client


def key_of_its_own(rig: Rig) -> httpx.Client:
    key = rig.caller.http.post("/admin/keys", json={"name": "webhooks"}).json()["key"]
    return httpx.Client(base_url=rig.stack.url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


@pytest.fixture
def address(receiver: Receiver) -> str:
    """A URL at the receiver that nobody used before."""
    return receiver.url(f"/{uuid.uuid4()}")


def path_of(url: str) -> str:
    return httpx.URL(url).path


def submit(http: httpx.Client, recording: bytes | None = None, **fields: str) -> str:
    files = {"file": ("call.wav", noise() if recording is None else recording)}
    answer = http.post("/transcribe", files=files, data=fields)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def secret_of(http: httpx.Client) -> str:
    return str(http.get("/webhooks/secret").json()["secret"])


def endpoint(http: httpx.Client, url: str, **more: object) -> dict[str, Any]:
    answer = http.post("/webhooks/endpoints", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def send_test(http: httpx.Client, endpoint_id: str) -> str:
    answer = http.post(f"/webhooks/endpoints/{endpoint_id}/test")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def delivery(http: httpx.Client, delivery_id: str) -> dict[str, Any]:
    record: dict[str, Any] = http.get(f"/webhooks/deliveries/{delivery_id}").json()
    return record


def delivered(http: httpx.Client, delivery_id: str) -> dict[str, Any]:
    """The delivery, once it is delivered."""

    def look() -> dict[str, Any] | None:
        record = delivery(http, delivery_id)
        return record if record["state"] == "delivered" else None

    record: dict[str, Any] = eventually(look, f"{delivery_id} is delivered")
    return record


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# ---- what is told


def test_the_end_of_a_task_is_told(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """To its webhook_url, signed, without a word of what was said; also one that was known. Deleting forgets it."""
    recording, notes = noise(), {"webhook_url": address, "reference": "case 7", "tags": "a,b"}
    first = submit(http, recording, **notes)
    requests = receiver.requests[path_of(address)]
    eventually(lambda: len(requests) == 1, "the first is told")
    event = requests[0].verified(secret_of(http))
    assert set(event) == {"type", "timestamp", "data"}
    data = event["data"]
    assert (event["type"], data["task_id"], data["status"]) == ("task.completed", first, "done")
    assert (data["reference"], data["tags"], data["error"]) == ("case 7", ["a", "b"], None)
    assert data["duration"] == pytest.approx(0.25, abs=0.1)
    assert http.get(data["result_url"]).json()["text"] not in requests[0].body.decode()
    assert not {"text", "full_text", "segments", "filename"} & set(data)
    second = submit(http, recording, **notes)
    eventually(lambda: len(requests) == 2, "the second is told")
    data = requests[1].verified(secret_of(http))["data"]
    assert (data["task_id"], data["cached"]) == (second, True)
    log = http.get("/webhooks/deliveries", params={"task_id": second}).json()["items"]
    assert [(one["id"], one["url"], one["event"]) for one in log] == [(requests[1].id, address, "task.completed")]
    http.delete(f"/tasks/{second}").raise_for_status()
    assert http.get("/webhooks/deliveries", params={"task_id": second}).json()["items"] == []


def test_each_end_has_its_event(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """A failure comes with its error, a cancellation as such; an endpoint hears what its filter names and no more."""
    failures = endpoint(http, address + "-failures", events=["task.failed"])
    everything = endpoint(http, address)
    broken, stopped = submit(http, b"no sound"), submit(http, long_recording())
    http.post(f"/tasks/{stopped}/cancel")
    requests = receiver.requests[path_of(address)]
    eventually(lambda: len(requests) == 2, "both are told")
    events = {one["data"]["task_id"]: one for one in (request.verified(everything["secret"]) for request in requests)}
    assert events[broken]["type"] == "task.failed"
    assert events[broken]["data"]["error"]["code"] == http.get(f"/status/{broken}").json()["error"]["code"]
    assert events[broken]["data"]["result_url"] is None
    assert (events[stopped]["type"], events[stopped]["data"]["status"]) == ("task.cancelled", "cancelled")
    failure_requests = receiver.requests[path_of(address) + "-failures"]
    eventually(lambda: failure_requests, "the failure is told")
    assert [one.verified(failures["secret"])["data"]["task_id"] for one in failure_requests] == [broken]
    query = {"endpoint_id": failures["id"], "state": "delivered"}
    log = eventually(lambda: http.get("/webhooks/deliveries", params=query).json()["items"], "the log has it")
    assert [one["task_id"] for one in log] == [broken]


def test_the_log_comes_in_pages(http: httpx.Client, address: str) -> None:
    """Newest first, each delivery once, until there is no next cursor."""
    new_endpoint = endpoint(http, address)
    delivery_ids = [send_test(http, new_endpoint["id"]) for _ in range(3)]
    ids: list[str] = []
    path = "/webhooks/deliveries?limit=2"
    while path:
        answer = http.get(path)
        ids += [one["id"] for one in answer.json()["items"]]
        path = answer.links.get("next", {}).get("url", "")
    assert ids == delivery_ids[::-1]


# ---- secrets


def test_a_secret_is_rotated(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """The one before goes on signing beside the new one; after another rotation it is void."""
    new_endpoint = endpoint(http, address)
    view = http.get(f"/webhooks/endpoints/{new_endpoint['id']}").json()
    assert "secret" not in view and view["enabled"]
    secrets = [new_endpoint["secret"]]
    for _ in range(2):
        answer = http.post(f"/webhooks/endpoints/{new_endpoint['id']}/rotate").json()
        assert answer["previous_valid_until"] > answer["created_at"]
        secrets.append(answer["secret"])
        delivery_id = send_test(http, new_endpoint["id"])
        delivered(http, delivery_id)
        request = receiver.requests[path_of(address)][-1]
        assert request.id == delivery_id
        assert len(request.headers["webhook-signature"].split()) == 2
        for secret in secrets[-2:]:
            assert request.verified(secret)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        request.verified(secrets[0])


def test_the_secret_of_a_key_is_rotated(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """What goes to a webhook_url carries the signatures of the key's old and new secret."""
    before = secret_of(http)
    assert secret_of(http) == before
    after = http.post("/webhooks/secret/rotate").json()["secret"]
    assert secret_of(http) == after != before
    submit(http, b"no sound", webhook_url=address)
    requests = eventually(lambda: receiver.requests[path_of(address)], "it is told")
    assert requests[0].verified(before) == requests[0].verified(after)


# ---- receivers with bad manners


def test_gone_means_no_more(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """410 disables the endpoint and says why; nothing that waits is sent until its owner enables it."""
    new_endpoint = endpoint(http, address)
    receiver.answers[path_of(address)] = [410]
    delivery_id = send_test(http, new_endpoint["id"])
    one = f"/webhooks/endpoints/{new_endpoint['id']}"
    eventually(lambda: not http.get(one).json()["enabled"], "it is disabled")
    assert http.get(one).json()["disabled_reason"] == "The receiver answered 410 Gone."
    record = delivery(http, delivery_id)
    assert (record["state"], [attempt["status"] for attempt in record["log"]]) == ("failed", [410])
    assert problem(http.post(f"{one}/test")) == problem(http.post(f"/webhooks/deliveries/{delivery_id}/replay"))
    assert problem(http.post(f"{one}/test")) == (409, "wrong_state")
    receiver.answers[path_of(address)] = [204]
    assert http.patch(one, json={"enabled": True}).json()["disabled_reason"] is None
    http.post(f"/webhooks/deliveries/{delivery_id}/replay").raise_for_status()
    assert delivered(http, delivery_id)["attempts"] == 2
    assert {request.id for request in receiver.requests[path_of(address)]} == {delivery_id}


def test_redirects_are_not_followed(http: httpx.Client, receiver: Receiver, canary: Canary, address: str) -> None:
    """One is a failed attempt: where it leads to is never asked."""
    receiver.location = f"http://127.0.0.1:{canary.port}/"
    receiver.answers[path_of(address)] = [302, 307, 204]
    delivery_id = send_test(http, endpoint(http, address)["id"])
    log = delivered(http, delivery_id)["log"]
    assert [attempt["status"] for attempt in log] == [302, 307, 204]
    assert log[0]["error"] == "The receiver redirects, which is not followed."
    assert hits(canary) == 0


def test_private_addresses_are_refused(http: httpx.Client, canary: Canary) -> None:
    """At once where the URL says it, when connecting where only DNS does; nothing reaches the address."""
    wrong = {
        f"http://127.0.0.1:{canary.port}/": "blocked_address",
        f"http://[::1]:{canary.port}/": "blocked_address",
        "http://169.254.169.254/latest/meta-data": "blocked_address",
        "ftp://files.example/": "invalid_url",
        "nonsense": "invalid_url",
    }
    new_endpoint = endpoint(http, f"http://localhost:{canary.port}/")
    for url, code in wrong.items():
        fields: dict[str, tuple[str | None, bytes | str]] = {"file": ("call.wav", b"x"), "webhook_url": (None, url)}
        answer = http.post("/transcribe", files=fields)
        assert problem(answer) == (422, code), url
        assert answer.json()["detail"] == {"parameter": "webhook_url"}
        assert problem(http.post("/webhooks/endpoints", json={"url": url})) == (422, code), url
        assert problem(http.patch(f"/webhooks/endpoints/{new_endpoint['id']}", json={"url": url})) == (422, code), url
    delivery_id = send_test(http, new_endpoint["id"])
    log = eventually(lambda: delivery(http, delivery_id)["log"], "it is tried")
    assert (log[0]["status"], log[0]["error"]) == (None, "The address is not a public one.")
    assert hits(canary) == 0


# ---- failures


def test_a_receiver_that_was_away_hears_of_everything(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """What ends while it is down is tried again, and told once under one id each when it is back."""
    endpoint(http, address)
    receiver.close()
    try:
        tasks = {submit(http, os.urandom(32)) for _ in range(3)}

        def tried() -> bool:
            log = http.get("/webhooks/deliveries").json()["items"]
            return len(log) == 3 and all(one["attempts"] >= 2 for one in log)

        eventually(tried, "each is tried twice")
    finally:
        receiver.open()
    log = http.get("/webhooks/deliveries").json()["items"]
    for one in log:
        assert delivered(http, one["id"])["log"][0]["error"].startswith("The connection failed")
    requests = receiver.requests[path_of(address)]
    assert sorted(request.id for request in requests) == sorted(one["id"] for one in log)
    assert {one["task_id"] for one in log} == tasks


def test_a_killed_worker_loses_nothing(http: httpx.Client, rig: Rig, receiver: Receiver, address: str) -> None:
    """What it was sending when it died is sent again, under the same id; the log shows the lost attempt."""
    path = path_of(address)
    receiver.held[path] = threading.Event()
    delivery_id = send_test(http, endpoint(http, address)["id"])
    eventually(lambda: receiver.requests[path], "it is being sent")
    main = rig.stack.pid("worker-all")
    assert main is not None
    kill_session(main)  # those that end by themselves when their parent has are gone already
    receiver.held.pop(path).set()
    log = delivered(http, delivery_id)["log"]
    assert [request.id for request in receiver.requests[path]] == [delivery_id, delivery_id]
    assert [(attempt["attempt"], attempt["status"]) for attempt in log] == [(1, None), (2, 204)]
    assert log[0]["error"] == "The worker that sent this was lost."


def test_a_delivery_is_sent_again_on_demand(http: httpx.Client, receiver: Receiver, address: str) -> None:
    """Under the same id and with the same payload, though it had arrived."""
    delivery_id = send_test(http, endpoint(http, address)["id"])
    delivered(http, delivery_id)
    http.post(f"/webhooks/deliveries/{delivery_id}/replay").raise_for_status()
    requests = receiver.requests[path_of(address)]
    eventually(lambda: len(requests) == 2, "it is sent again")
    assert (requests[0].id, requests[0].body) == (requests[1].id, requests[1].body)
    eventually(lambda: delivery(http, delivery_id)["attempts"] == 2, "the second attempt is noted")


# ---- other keys


def test_another_key_has_no_part_in_it(http: httpx.Client, rig: Rig, address: str) -> None:
    """Its endpoints, deliveries and secrets are its own: the first key's are 404 and in no list."""
    new_endpoint = endpoint(http, address)
    delivery_id = send_test(http, new_endpoint["id"])
    delivered(http, delivery_id)
    one, log = f"/webhooks/endpoints/{new_endpoint['id']}", f"/webhooks/deliveries/{delivery_id}"
    with key_of_its_own(rig) as stranger:
        for method, path in (
            ("GET", one),
            ("PATCH", one),
            ("DELETE", one),
            ("POST", f"{one}/rotate"),
            ("POST", f"{one}/test"),
            ("GET", log),
            ("POST", f"{log}/replay"),
        ):
            body = {"enabled": False} if method == "PATCH" else None
            assert problem(stranger.request(method, path, json=body)) == (404, "not_found"), (method, path)
        assert stranger.get("/webhooks/endpoints").json()["items"] == []
        assert stranger.get("/webhooks/deliveries", params={"endpoint_id": new_endpoint["id"]}).json()["items"] == []
        assert secret_of(stranger) != secret_of(http)
    assert http.get(one).json()["enabled"]
    assert http.delete(one).status_code == 204
    assert problem(http.get(log)) == (404, "not_found")
