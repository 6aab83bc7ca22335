"""The gateway over every kind of object store."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator

import pytest

from scripts.local.stack import Stack
from shared.intake.parts import MIN_PART_BYTES
from shared.storage import Storage
from tests.service.gateway import NOTHING, Caller, Gateway, eventually, finish, gateway_on
from tests.service.uploads.test_uploads import begin, broken_off, complete, look, send

SIZE = 2 * MIN_PART_BYTES + 1000


@pytest.fixture(scope="module")
def gateway(
    servers: Stack, settings: dict[str, str], store: Storage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    env = {name.upper(): value for name, value in settings.items()}
    with gateway_on(servers, tmp_path_factory.mktemp("gateway"), store, **env) as running:
        yield running


def test_a_recording_in_one_request_has_its_transcript_until_it_is_deleted(gateway: Gateway, caller: Caller) -> None:
    """It is stored as it was sent; its result can be had; deleting it says, rightly, that nothing is left."""
    content = os.urandom(SIZE)
    task_id = caller.task(content)
    assert gateway.storage.get(f"{caller.id}/{task_id}/upload") == content
    finish(task_id, gateway.storage)
    assert caller.http.get(f"/result/{task_id}").status_code == 200
    receipt = caller.http.delete(f"/tasks/{task_id}")
    assert (receipt.status_code, receipt.json()["verified"]) == (200, True)
    assert gateway.objects(caller) == set()


def test_a_recording_in_parts_is_what_was_sent(gateway: Gateway, caller: Caller) -> None:
    """A part that breaks off is as missing as before, or as it was; what is sent again completes the recording."""
    content = os.urandom(SIZE)
    upload = begin(caller)
    send(caller, upload, content, 3, 2)
    broken_off(gateway, caller, upload, 1, 2)
    assert [part["received_bytes"] for part in look(caller, upload)["parts"]] == [None, MIN_PART_BYTES, 1000]
    assert complete(caller, upload).status_code == 409
    send(caller, upload, content, 1)
    completion = complete(caller, upload)
    assert (completion.status_code, completion.json().get("sha256")) == (200, hashlib.sha256(content).hexdigest()), (
        completion.text
    )
    answer = caller.http.post("/transcribe", json={"upload_id": upload["upload_id"]})
    finish(uuid.UUID(answer.json()["task_id"]), gateway.storage)
    for path in (f"/uploads/{upload['upload_id']}", f"/tasks/{answer.json()['task_id']}"):
        assert caller.http.delete(path).json()["verified"]
    eventually(lambda: gateway.left_behind(caller)[:2] == NOTHING[:2], "nothing is left")
