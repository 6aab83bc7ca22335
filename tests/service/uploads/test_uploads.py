"""Uploads in parts on a real gateway over real SeaweedFS: they end as one recording, or as nothing."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update

from cli.client import Server
from cli.parts import send as send_in_parts
from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.intake import uploads
from shared.intake.parts import MIN_PART_BYTES, USUAL_PART_BYTES
from shared.models import Upload
from shared.storage import storage_of
from tests.service.gateway import PATIENCE_S, Caller, Gateway, eventually, finish, gateway_on, gateway_with

SIZE = 2 * MIN_PART_BYTES + 1000
"""Three parts, the last one small."""

MAX_RESUMABLE_BYTES = 40 * 1024**2


gateway = gateway_with(MAX_RESUMABLE_BYTES=str(MAX_RESUMABLE_BYTES))


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def begin(caller: Caller, size: int = SIZE, **fields: Any) -> dict[str, Any]:
    body = {"bytes": size, "part_bytes": MIN_PART_BYTES, "filename": "talk.wav"} | fields
    answer = caller.http.post("/uploads", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/uploads/{answer.json()['upload_id']}"
    return dict(answer.json())


def piece(content: bytes, number: int) -> bytes:
    return content[(number - 1) * MIN_PART_BYTES : number * MIN_PART_BYTES]


def send(caller: Caller, upload: dict[str, Any], content: bytes, *numbers: int) -> None:
    for number in numbers or range(1, upload["part_count"] + 1):
        answer = caller.http.put(f"/uploads/{upload['upload_id']}/parts/{number}", content=piece(content, number))
        assert answer.status_code == 200, answer.text


def complete(caller: Caller, upload: dict[str, Any]) -> httpx.Response:
    return caller.http.post(f"/uploads/{upload['upload_id']}/complete")


def look(caller: Caller, upload: dict[str, Any], **query: Any) -> dict[str, Any]:
    answer = caller.http.get(f"/uploads/{upload['upload_id']}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def whole(caller: Caller, content: bytes, **fields: Any) -> dict[str, Any]:
    """An upload that is complete."""
    upload = begin(caller, len(content), **fields)
    send(caller, upload, content)
    answer = complete(caller, upload)
    assert answer.status_code == 200, answer.text
    return upload


def repair(gateway: Gateway) -> None:
    gateway.caller("admin").http.post("/jobs/repair").raise_for_status()


# ---- sending


def test_a_recording_in_parts_becomes_a_task(gateway: Gateway, caller: Caller) -> None:
    """Parts come in any order, through the gateway or past it; the upload serves any number of tasks."""
    content = os.urandom(SIZE)
    digest = hashlib.sha256(content).hexdigest()
    upload = begin(caller, sha256=digest.upper())
    assert (upload["state"], upload["part_count"], upload["received_parts"]) == ("open", 3, 0)
    assert [part["bytes"] for part in upload["parts"]] == [MIN_PART_BYTES, MIN_PART_BYTES, 1000]
    send(caller, upload, content, 3, 1)
    past = httpx.put(upload["parts"][1]["url"], content=piece(content, 2), timeout=PATIENCE_S)
    assert past.status_code == 200, past.text
    completion = complete(caller, upload)
    assert (completion.status_code, completion.json()["state"], completion.json()["sha256"]) == (
        200,
        "complete",
        digest,
    )
    key = f"{caller.id}/{upload['upload_id']}/upload"
    assert gateway.left_behind(caller) == ({key}, 0, 0)
    assert hashlib.sha256(gateway.storage.get(key)).hexdigest() == digest
    bodies: tuple[dict[str, Any], ...] = (
        {"json": {"upload_id": upload["upload_id"], "diarization": True}},
        {"data": {"upload_id": upload["upload_id"], "language": "en"}},
        {"files": {"upload_id": (None, upload["upload_id"])}},
    )
    for body in bodies:
        answer = caller.http.post("/transcribe", **body)
        assert answer.status_code == 202, answer.text
        file = caller.http.get(f"/tasks/{answer.json()['task_id']}").json()["file"]
        assert file == {"name": "talk.wav", "bytes": SIZE, "sha256": digest, "url": None}
    assert gateway.objects(caller) == {key}


def test_lost_parts_are_found_again(caller: Caller) -> None:
    """The upload says which parts it has; only the others have URLs; completing too early names them."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content, 2)
    early = complete(caller, upload)
    assert problem(early) == (409, "missing_parts")
    assert early.json()["detail"] == {"missing": [1, 3], "wrong_size": []}
    view = look(caller, upload)
    assert (view["state"], view["received_parts"], view["received_bytes"]) == ("open", 1, MIN_PART_BYTES)
    assert [part["url"] is None for part in view["parts"]] == [False, True, False]
    assert view["parts"][1]["etag"] == hashlib.md5(piece(content, 2)).hexdigest()
    assert view["error"]["code"] == "missing_parts"
    first = look(caller, upload, missing="true", limit=1)
    assert ([part["number"] for part in first["parts"]], first["next_part"]) == ([1], 3)
    second = look(caller, upload, missing="true", limit=1, first_part=3)
    assert ([part["number"] for part in second["parts"]], second["next_part"]) == ([3], None)
    send(caller, upload, content, 1, 3)
    completion = complete(caller, upload).json()
    assert (completion["sha256"], completion["error"]) == (hashlib.sha256(content).hexdigest(), None)


def test_another_content_than_announced_is_refused(gateway: Gateway, caller: Caller) -> None:
    """Nothing of it stays; all parts can be sent again, and the right ones are taken."""
    content, other = os.urandom(SIZE), os.urandom(SIZE)
    upload = begin(caller, sha256=hashlib.sha256(content).hexdigest())
    send(caller, upload, other)
    refused = complete(caller, upload)
    assert problem(refused) == (422, "checksum_mismatch")
    assert refused.json()["detail"]["sha256"] == hashlib.sha256(other).hexdigest()
    view = look(caller, upload)
    assert (view["state"], view["received_parts"], view["error"]["code"]) == ("open", 0, "checksum_mismatch")
    assert gateway.objects(caller) == set()
    send(caller, upload, content)
    assert complete(caller, upload).json()["state"] == "complete"


def test_known_bytes_need_not_be_sent(gateway: Gateway, caller: Caller) -> None:
    """With their SHA-256 an upload is complete at once; sent without it, the second object is removed."""
    content = os.urandom(SIZE)
    first = whole(caller, content)
    objects = {f"{caller.id}/{first['upload_id']}/upload"}
    second = begin(caller, sha256=hashlib.sha256(content).hexdigest())
    assert (second["state"], second["received_parts"], second["parts"]) == ("complete", 3, [])
    whole(caller, content)
    assert gateway.objects(caller) == objects
    again = caller.http.post("/transcribe", json={"upload_id": second["upload_id"]})
    assert again.status_code == 202
    stranger = gateway.caller()
    assert begin(stranger, sha256=hashlib.sha256(content).hexdigest())["state"] == "open"


def test_uploads_are_listed_a_page_at_a_time(gateway: Gateway, caller: Caller) -> None:
    """Newest first, this key's only, by state if asked."""
    ids = [begin(caller)["upload_id"] for _ in range(3)]
    first = caller.http.get("/uploads", params={"limit": 2})
    assert [item["upload_id"] for item in first.json()["items"]] == ids[:0:-1]
    assert 'rel="next"' in first.headers["Link"]
    rest = caller.http.get("/uploads", params={"limit": 2, "cursor": first.json()["next_cursor"]}).json()
    assert ([item["upload_id"] for item in rest["items"]], rest["next_cursor"]) == (ids[:1], None)
    assert caller.http.get("/uploads", params={"state": "complete"}).json()["items"] == []
    assert gateway.caller().http.get("/uploads").json()["items"] == []


# ---- what no well-behaved client sends


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"bytes": 0}, 422),
        ({"bytes": -1}, 422),
        ({"bytes": 2**80}, 413),
        ({"bytes": MAX_RESUMABLE_BYTES + 1}, 413),
        ({"bytes": 10, "part_bytes": MIN_PART_BYTES - 1}, 422),
        ({"bytes": 10, "part_bytes": 2**63}, 422),
        ({"bytes": 10, "sha256": "abc"}, 422),
        ({"bytes": 10, "sha256": "0" * 64 + "\n"}, 422),
        ({"bytes": 10, "filename": ["a"]}, 422),
        ({"bytes": 10, "key": "other/upload"}, 422),
    ],
)
def test_nonsense_is_refused_at_the_beginning(caller: Caller, body: dict[str, Any], status: int) -> None:
    """With an error that names the field, and no upload."""
    answer = caller.http.post("/uploads", json=body)
    assert answer.status_code == status, answer.text
    assert caller.http.get("/uploads").json()["items"] == []


def test_a_filename_is_only_shown(caller: Caller) -> None:
    """Paths, control characters and null characters are left out; a name of which nothing stays is none."""
    assert begin(caller, filename="../../etc/\x00pass\nwd\u202egpj.wav")["filename"] == "passwdgpj.wav"
    assert begin(caller, filename="../..")["filename"] is None


def test_a_part_has_its_number_and_its_size(gateway: Gateway, caller: Caller) -> None:
    """Other numbers are 404; other sizes are refused by the gateway and, at a presigned URL, by storage."""
    upload = begin(caller)
    path = f"/uploads/{upload['upload_id']}/parts"
    for number in ("0", "4", "-1", "10001", "1e3", "x", "9" * 30):
        assert problem(caller.http.put(f"{path}/{number}", content=b"x")) == (404, "not_found")

    def drip(size: int) -> Iterator[bytes]:  # chunked: no Content-Length
        yield b"x" * size

    for content in (b"", b"x", b"x" * 1001, drip(999), drip(1001)):
        assert problem(caller.http.put(f"{path}/3", content=content)) == (422, "invalid_request")
    for size in (999, 1001):
        refused = httpx.put(upload["parts"][2]["url"], content=b"x" * size, timeout=PATIENCE_S)
        assert refused.status_code == 403
    assert look(caller, upload)["received_parts"] == 0
    assert caller.http.put(f"{path}/3", content=drip(1000)).status_code == 200


def broken_off(gateway: Gateway, caller: Caller, upload: dict[str, Any], *numbers: int) -> None:
    """Parts whose clients leave in the middle; returns when the gateway has noticed."""
    for number in numbers:
        host, port = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as line:
            line.sendall(
                f"PUT /uploads/{upload['upload_id']}/parts/{number} HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {caller.key}\r\nContent-Length: {MIN_PART_BYTES}\r\n\r\n".encode()
            )
            line.sendall(b"x" * 2 * 1024**2)
    path = f"/uploads/{upload['upload_id']}/parts/"

    def statuses() -> list[int]:
        lines = [json.loads(line) for line in gateway.log().splitlines() if path in line]
        return [line["status"] for line in lines if line["event"] == "request"]

    eventually(lambda: statuses().count(400) == len(numbers), "all requests have ended")


def test_a_part_that_breaks_off_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """The part is as missing as before, and what was there stays."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content, 2)
    broken_off(gateway, caller, upload, 1, 2)
    view = look(caller, upload)
    assert [part["received_bytes"] for part in view["parts"]] == [None, MIN_PART_BYTES, None]
    assert view["parts"][1]["etag"] == hashlib.md5(piece(content, 2)).hexdigest()


def test_an_upload_that_is_not_complete_cannot_be_transcribed(gateway: Gateway, caller: Caller) -> None:
    """Nor one that is none, another key's, or named beside a file or a URL."""
    upload = begin(caller)
    fields = {"upload_id": upload["upload_id"]}
    assert problem(caller.http.post("/transcribe", json=fields)) == (409, "wrong_state")
    assert problem(gateway.caller().http.post("/transcribe", json=fields)) == (404, "not_found")
    assert problem(caller.http.post("/transcribe", json={"upload_id": "x"})) == (404, "not_found")
    both = {**fields, "url": "https://media.example/a.mp3"}
    for answer in (
        caller.http.post("/transcribe", json=both),
        caller.http.post("/transcribe", data=fields, files={"file": ("a.wav", b"x")}),
        caller.http.post("/transcribe", json=fields | {"refresh": True}),
    ):
        assert problem(answer) == (422, "invalid_request")
    assert gateway.announcements(caller) == 0


# ---- completing, more than once and at once


def test_completing_at_once_gives_one_recording(gateway: Gateway, caller: Caller) -> None:
    """All calls get the same answer, and so does one that comes later."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: complete(caller, upload), range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in (*answers, complete(caller, upload))} == {answers[0].text}
    assert gateway.objects(caller) == {f"{caller.id}/{upload['upload_id']}/upload"}
    late = caller.http.put(f"/uploads/{upload['upload_id']}/parts/1", content=piece(content, 1))
    assert problem(late) == (409, "wrong_state")


@pytest.mark.parametrize("is_joined", [False, True])
def test_a_check_that_died_is_taken_up(gateway: Gateway, caller: Caller, is_joined: bool) -> None:
    """Before the parts were joined or after: the next call waits for the lease to end and goes on from there."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content)
    upload_id = uuid.UUID(upload["upload_id"])
    with session() as work:
        row = uploads.claim(work, caller.id, upload_id)
        assert row is not None
    if is_joined:
        assert row.storage_id
        parts = gateway.storage.parts(row.key, row.storage_id)
        gateway.storage.join(row.key, row.storage_id, (parts[number] for number in sorted(parts)))
    assert look(caller, upload)["state"] == "checking"
    with session() as work:
        its_end = func.now() + timedelta(seconds=1)
        work.execute(update(Upload).where(Upload.id == upload_id).values(checking_until=its_end))
    completion = complete(caller, upload)
    assert (completion.status_code, completion.json().get("sha256")) == (200, hashlib.sha256(content).hexdigest()), (
        completion.text
    )


def test_parts_and_completions_at_once_never_mix(caller: Caller) -> None:
    """While parts are replaced, what is complete is one of the contents that were sent for each part."""
    first, second = os.urandom(SIZE), os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, first)
    path = f"/uploads/{upload['upload_id']}/parts"
    with ThreadPoolExecutor(4) as pool:
        puts = [pool.submit(caller.http.put, f"{path}/{n}", content=piece(second, n)) for n in (1, 2, 3)]
        ended = pool.submit(complete, caller, upload)
    assert {put.result().status_code for put in puts} <= {200, 404, 409, 503}
    answer = ended.result()
    if answer.status_code == 409:  # a part was replaced while they were joined
        answer = complete(caller, upload)
    mixed = [
        hashlib.sha256(b"".join(piece((first, second)[choice], n + 1) for n, choice in enumerate(choices))).hexdigest()
        for choices in itertools.product((0, 1), repeat=3)
    ]
    assert answer.json()["sha256"] in mixed


def test_a_client_that_leaves_changes_nothing(gateway: Gateway, caller: Caller) -> None:
    """The upload becomes complete although nobody waits for the answer."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content)
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(
            f"POST /uploads/{upload['upload_id']}/complete HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {caller.key}\r\nContent-Length: 0\r\n\r\n".encode()
        )
    eventually(lambda: look(caller, upload)["state"] == "complete", "it is complete")


def test_the_command_line_goes_on_where_it_broke_off(gateway: Gateway, caller: Caller, tmp_path: Path) -> None:
    """Parts that have arrived are not sent again, by whichever run; the task keeps the recording."""
    content = os.urandom(2 * USUAL_PART_BYTES)
    path = tmp_path / "long.wav"
    path.write_bytes(content[:-1])
    digest = hashlib.sha256(content[:-1]).hexdigest()
    progress: list[int] = []

    def break_off(byte_count: int) -> None:
        progress.append(byte_count)
        raise KeyboardInterrupt

    with Server(gateway.url, caller.key) as server:
        with pytest.raises(KeyboardInterrupt):
            send_in_parts(server, path, digest, break_off)
        (unfinished,) = caller.http.get("/uploads").json()["items"]
        assert send_in_parts(server, path, digest, progress.append) == unfinished["upload_id"]
        assert progress == [USUAL_PART_BYTES, 2 * USUAL_PART_BYTES - 1]
        submitted = server.submit_upload(unfinished["upload_id"], {"diarization": "true"}, "a-key")
        server.delete_upload(unfinished["upload_id"])
        assert send_in_parts(server, path, digest, progress.append) != unfinished["upload_id"]  # known: nothing is sent
    assert len(progress) == 2
    file = caller.http.get(f"/tasks/{submitted.task_id}").json()["file"]
    assert (file["sha256"], file["name"]) == (digest, "long.wav")


# ---- deleting


def test_aborting_leaves_nothing(gateway: Gateway, caller: Caller) -> None:
    """Parts are gone from storage, the upload is 404 and takes no more of them."""
    upload = begin(caller)
    send(caller, upload, os.urandom(SIZE), 1, 2)
    path = f"/uploads/{upload['upload_id']}"
    url = upload["parts"][2]["url"]
    assert problem(gateway.caller().http.delete(path)) == (404, "not_found")
    receipt = caller.http.delete(path)
    assert (receipt.status_code, receipt.json()["verified"], receipt.json()["upload_id"]) == (200, True, path[9:])
    assert (gateway.objects(caller), gateway.unfinished_uploads(caller)) == (set(), 0)
    for answer in (
        caller.http.delete(path),
        caller.http.get(path),
        caller.http.put(f"{path}/parts/3", content=b"x" * 1000),
        caller.http.post(f"{path}/complete"),
    ):
        assert problem(answer) == (404, "not_found")
    assert httpx.put(url, content=b"x" * 1000, timeout=PATIENCE_S).status_code == 404


def test_a_recording_stays_while_an_upload_or_a_task_has_it(gateway: Gateway, caller: Caller) -> None:
    """Whichever is deleted first, the other goes on; with the last of them the object goes."""
    content = os.urandom(SIZE)
    for is_upload_first in (True, False):
        upload = whole(caller, content)
        task_id = caller.http.post("/transcribe", json={"upload_id": upload["upload_id"]}).json()["task_id"]
        key = f"{caller.id}/{upload['upload_id']}/upload"
        paths = [f"/uploads/{upload['upload_id']}", f"/tasks/{task_id}"]
        first, last = paths if is_upload_first else reversed(paths)
        assert caller.http.delete(first).json()["verified"]
        assert gateway.objects(caller) == {key}
        if is_upload_first:
            finish(uuid.UUID(task_id), gateway.storage)
            assert caller.status(uuid.UUID(task_id)) == "done"
        else:
            other = caller.http.post("/transcribe", json={"upload_id": upload["upload_id"]}).json()["task_id"]
            assert caller.http.delete(f"/tasks/{other}").json()["verified"]
        assert caller.http.delete(last).json()["verified"]
        assert gateway.objects(caller) == set()


def test_the_recording_of_a_task_may_be_an_uploads(gateway: Gateway, caller: Caller) -> None:
    """A task's file that was uploaded again in parts stays under the task's name until both are deleted."""
    content = os.urandom(SIZE)
    task_id = caller.task(content)
    upload = begin(caller, sha256=hashlib.sha256(content).hexdigest())
    assert upload["state"] == "complete"
    caller.http.delete(f"/tasks/{task_id}").raise_for_status()
    assert gateway.objects(caller) == {f"{caller.id}/{task_id}/upload"}
    assert caller.http.post("/transcribe", json={"upload_id": upload["upload_id"]}).status_code == 202


def test_tasks_and_deletions_at_once(gateway: Gateway, caller: Caller) -> None:
    """A task over an upload that is being deleted has its recording, or is refused."""
    for _ in range(5):
        upload = whole(caller, os.urandom(1000))
        path = f"/uploads/{upload['upload_id']}"
        with ThreadPoolExecutor(4) as pool:
            tasks = [
                pool.submit(caller.http.post, "/transcribe", json={"upload_id": path[9:], "prompt": str(n)})
                for n in range(3)
            ]
            deletion = pool.submit(caller.http.delete, path)
        assert deletion.result().status_code == 200
        answers = [answer.result() for answer in tasks]
        assert {answer.status_code for answer in answers} <= {202, 404}
        is_kept = any(answer.status_code == 202 for answer in answers)
        assert (f"{caller.id}/{path[9:]}/upload" in gateway.objects(caller)) == is_kept


def test_completing_while_the_same_recording_is_erased(gateway: Gateway, caller: Caller) -> None:
    """The upload keeps the task's recording or brings its own; either way it is there."""
    for _ in range(8):
        content = os.urandom(1000)
        task_id = caller.task(content)
        upload = begin(caller, len(content))
        send(caller, upload, content)
        with ThreadPoolExecutor(2) as pool:
            erased = pool.submit(caller.http.delete, f"/tasks/{task_id}")
            completion = pool.submit(complete, caller, upload)
        assert (erased.result().status_code, completion.result().status_code) == (200, 200)
        over_it = caller.http.post("/transcribe", json={"upload_id": upload["upload_id"]}).json()["task_id"]
        with session() as work:
            key = uploads.recording(work, caller.id, uuid.UUID(upload["upload_id"])).key
        assert gateway.storage.get(key) == content
        for path in (f"/uploads/{upload['upload_id']}", f"/tasks/{over_it}"):
            caller.http.delete(path).raise_for_status()
        assert gateway.objects(caller) == set()


def test_an_upload_ends(gateway: Gateway, caller: Caller) -> None:
    """When its time is over it is 404, and the sweep removes parts and recording."""
    open_one, complete_one = begin(caller), whole(caller, os.urandom(1000))
    send(caller, open_one, os.urandom(SIZE), 1)
    with session() as work:
        work.execute(update(Upload).where(Upload.owner_id == caller.id).values(expires_at=func.now()))
    for upload in (open_one, complete_one):
        assert caller.http.get(f"/uploads/{upload['upload_id']}").status_code == 404
    assert caller.http.post("/transcribe", json={"upload_id": complete_one["upload_id"]}).status_code == 404
    repair(gateway)
    assert (gateway.objects(caller), gateway.unfinished_uploads(caller)) == (set(), 0)


def test_a_server_may_take_no_uploads(
    servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory, caller: Caller
) -> None:
    """Then neither an upload nor a part is taken; and without a public address of storage no URL is given."""
    upload = begin(caller)
    home = tmp_path_factory.mktemp("closed")
    settings = {"ALLOW_UPLOAD_ADAPTER": "false", "S3_PUBLIC_ENDPOINT_URL": ""}
    with gateway_on(servers, home, storage_of(environment), **settings) as closed:
        http = httpx.Client(base_url=closed.url, headers={"X-API-Key": caller.key}, timeout=30)
        path = f"/uploads/{upload['upload_id']}"
        assert problem(http.post("/uploads", json={"bytes": 10})) == (403, "adapter_disabled")
        assert problem(http.put(f"{path}/parts/3", content=b"x" * 1000)) == (403, "adapter_disabled")
        view = http.get(path).json()
    assert ([part["url"] for part in view["parts"]], view["urls_expire_at"]) == ([None] * 3, None)


def test_bytes_that_go_straight_to_the_bucket_count_once(caller: Caller) -> None:
    """The gateway has not seen them; a part that was sent twice is counted as one."""

    def counted() -> float:
        lines = caller.http.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("parley_upload_bytes_total"))

    before, content = counted(), os.urandom(SIZE)
    upload = begin(caller)
    for number, part in enumerate(upload["parts"], 1):
        for _ in range(2 if number == 1 else 1):
            answer = httpx.put(part["url"], content=piece(content, number), timeout=PATIENCE_S)
            assert answer.status_code == 200
    assert caller.http.post(f"/uploads/{upload['upload_id']}/complete").status_code == 200
    assert counted() - before == SIZE
