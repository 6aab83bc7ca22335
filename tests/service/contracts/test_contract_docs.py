"""docs/contracts.md, walked through: every call is there, and every path that is shared is answered as it says."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.config import Settings
from shared.errors import catalogue
from tests.service.gateway import Caller, Gateway, finish, gateway_with, hand_in, work_on

DOC = (Path(__file__).parents[3] / "docs" / "contracts.md").read_text()
TAGS = {"OpenAI", "whisper-asr-webservice", "service v1", "jobs", "clips", "links"}
VALUES = {
    "wait": "30",
    "language": "en",
    "lang": "en",
    "response_format": "json",
    "format": "json",
    "diarization": "false",
}


gateway = gateway_with()


@pytest.fixture(scope="module")
def caller(gateway: Gateway) -> Iterator[Caller]:
    new_caller = gateway.caller()
    with new_caller.http:
        yield new_caller


@pytest.fixture(scope="module")
def recording(gateway: Gateway, caller: Caller) -> tuple[bytes, uuid.UUID]:
    """A recording of which every answer is known, and a finished task over it."""
    content = os.urandom(64)
    task_id = caller.task(content, language="en")
    finish(task_id, gateway.storage)
    finish_rest(caller.task(content), gateway, caller)
    return content, task_id


def finish_rest(task_id: uuid.UUID, gateway: Gateway, caller: Caller) -> None:
    """Do the stages that an equal recording has left open."""
    for stage in caller.http.get(f"/tasks/{task_id}").json()["stages"]:
        if stage["state"] in ("waiting", "queued"):
            hand_in(work_on(task_id, stage["name"]), gateway.storage)


def table(first_heading: str) -> list[list[str]]:
    """The rows of the table whose first column is called so."""
    lines = iter(DOC.splitlines())
    next(line for line in lines if line.startswith(f"| {first_heading} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@dataclass(frozen=True)
class Shared:
    """One row on a path that several APIs share."""

    method: str
    path: str
    kind: str
    fields: tuple[str, ...]
    status: int
    has: tuple[str, ...]


def shared_paths() -> list[Shared]:
    paths = []
    for request, fields, _, status, has in table("request"):
        method, path = quoted(request)[0].split()
        paths.append(
            Shared(method, path, fields.partition(":")[0], tuple(quoted(fields)), int(status), tuple(quoted(has)))
        )
    return paths


def test_every_call_is_documented(caller: Caller) -> None:
    """The table has the calls of these APIs, no more and no fewer."""
    spec = caller.http.get("/openapi.json").json()
    served = {
        f"{method.upper()} {path}"
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if TAGS & set(operation.get("tags", ()))
    }
    assert {quoted(call)[0] for call, *_ in table("call")} == served


@pytest.mark.parametrize("row", shared_paths(), ids=lambda row: f"{row.method} {row.path} {' '.join(row.fields)}")
def test_a_shared_path_is_answered_as_documented(
    caller: Caller, recording: tuple[bytes, uuid.UUID], row: Shared
) -> None:
    """The shape of the request decides which API answers."""
    content, task_id = recording
    path = row.path.replace("HEX", task_id.hex).replace("UUID", str(task_id))
    if row.kind == "JSON":
        answer = caller.http.post(path, json={"url": "https://media.example/talk.mp3"})
    elif row.kind == "form":
        data = {name: VALUES[name] for name in row.fields if name != "file"}
        answer = caller.http.request(row.method, path, files={"file": ("call.wav", content)}, data=data)
    else:
        answer = caller.http.request(row.method, path)
    assert answer.status_code == row.status, answer.text
    body = answer.json()
    for name, _, value in (entry.partition("=") for entry in row.has):
        assert name in body
        assert not value or body[name] == value


def test_the_codes_of_links_are_those_documented(environment: Settings) -> None:
    """The table of codes says what the API does, and names no code that we do not have."""
    from api.contracts.links import CODES  # needs the settings

    documented = {
        own_code: link_code
        for cell, own_cell in table("code")
        for link_code in quoted(cell)
        for own_code in quoted(own_cell)
    }
    assert documented == dict(CODES)
    assert set(CODES) <= set(catalogue())
