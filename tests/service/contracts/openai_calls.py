"""Requests to OpenAI's audio API as a plain HTTP client makes them, and what comes back."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from shared.db import session
from shared.kernel.events import publish
from shared.transcript import Segment
from tests.service.gateway import TRANSCRIPT, Caller, Gateway, eventually, hand_in, work_on

TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"


def ask(caller: Caller, content: bytes, url: str = TRANSCRIPTIONS, /, **fields: Any) -> httpx.Response:
    return caller.http.post(url, files={"file": ("call.wav", content)}, data=fields)


def error(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    """Status, code and parameter of an error, whose shape is checked."""
    body = answer.json()
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}
    return answer.status_code, body["error"]["code"], body["error"]["param"]


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The data events of a stream, without the end mark, which has to be there."""
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def finish_rest(task_id: uuid.UUID, gateway: Gateway, caller: Caller) -> None:
    """Do the stages that are not done: fewer than all when the recording is known."""
    for stage in caller.http.get(f"/tasks/{task_id}").json()["stages"]:
        if stage["state"] in ("waiting", "queued"):
            hand_in(work_on(task_id, stage["name"]), gateway.storage)


def streamed(
    gateway: Gateway,
    caller: Caller,
    content: bytes,
    segments: tuple[Segment, ...] = TRANSCRIPT.segments,
    /,
    **fields: Any,
) -> list[dict[str, Any]]:
    """The events of a stream. Of a recording that is not known the segments are told while it is recognised."""
    with ThreadPoolExecutor() as pool:
        before = caller.newest()
        call = pool.submit(ask, caller, content, stream="true", **fields)
        task_id = eventually(lambda: (last := caller.newest()) != before and last, "the task is there")
        if caller.status(task_id) != "done":
            hand_in(work_on(task_id, "convert"), gateway.storage)
            claim = work_on(task_id, "transcribe")
            with session() as work:
                publish(work, claim, segments)
            hand_in(claim, gateway.storage)
            finish_rest(task_id, gateway, caller)
        return events(call.result())
