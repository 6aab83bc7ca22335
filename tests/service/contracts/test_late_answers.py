"""Answers of OpenAI's API and of /asr that take longer than clients and proxies wait for headers, on a real gateway."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
import pytest
from openai import OpenAI
from openai.types.audio import Transcription, TranscriptionVerbose

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.errors import NoAudio
from shared.kernel import leases
from shared.storage import storage_of
from tests.service.contracts.openai_calls import TRANSCRIPTIONS, TRANSLATIONS, ask
from tests.service.gateway import PATIENCE_S, TRANSCRIPT, Caller, Gateway, eventually, finish, gateway_on, work_on

HEADERS_S = 0.5
SPACE_S = 10


@pytest.fixture(scope="module")
def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home, storage = tmp_path_factory.mktemp("gateway"), storage_of(environment)
    with gateway_on(servers, home, storage, CONTRACT_HEADERS_S=str(HEADERS_S)) as running:
        yield running


@contextmanager
def late(caller: Caller, content: bytes, url: str = TRANSCRIPTIONS, /, **fields: str) -> Iterator[httpx.Response]:
    """An answer whose headers are there, while its task waits for a worker."""
    with caller.http.stream("POST", url, files={"file": ("call.wav", content)}, data=fields) as answer:
        assert answer.status_code == 200
        assert caller.status(task_of(answer)) == "queued"
        yield answer


@contextmanager
def late_asr(caller: Caller, content: bytes, path: str = "/asr", **query: str) -> Iterator[httpx.Response]:
    """The same of whisper-asr-webservice's API."""
    files = {"audio_file": ("film.mp4", content)}
    with caller.http.stream("POST", path, files=files, params=query) as answer:
        assert answer.status_code == 200
        assert caller.status(task_of(answer)) == "queued"
        yield answer


def task_of(answer: httpx.Response) -> uuid.UUID:
    return uuid.UUID(answer.headers["x-task-id"])


@pytest.mark.parametrize("name", ["json", "verbose_json", "diarized_json", "text", "srt", "vtt"])
def test_a_late_answer_is_the_same_answer(gateway: Gateway, caller: Caller, name: str) -> None:
    """Headers come before the task is done; behind white space the body is what an early answer has."""
    content = os.urandom(64)
    with late(caller, content, response_format=name) as answer:
        finish(task_of(answer), gateway.storage, diarization=name == "diarized_json")
        body = answer.read().decode()
    early = ask(caller, content, response_format=name)
    assert answer.headers["content-type"] == early.headers["content-type"]
    assert "content-length" not in answer.headers
    if name.endswith("json"):
        assert body[0] == " " and answer.json() == early.json()
    else:
        first = "WEBVTT\n" if name == "vtt" else "\n"
        assert body.startswith(first)
        assert body.removeprefix(first).lstrip() == early.text.removeprefix(first).lstrip()


@pytest.mark.parametrize(
    ("name", "kind"), [("json", Transcription), ("verbose_json", TranscriptionVerbose), ("vtt", str)]
)
def test_the_sdk_reads_a_late_answer(
    gateway: Gateway, caller: Caller, name: Literal["json", "verbose_json", "vtt"], kind: type
) -> None:
    """White space before it is nothing to OpenAI's SDK, which has another type for each format."""
    with (
        OpenAI(base_url=f"{gateway.url}/v1", api_key=caller.key, max_retries=0) as client,
        ThreadPoolExecutor() as pool,
    ):
        call = pool.submit(
            client.audio.transcriptions.create, file=os.urandom(64), model="whisper-1", response_format=name
        )
        task_id = eventually(caller.newest, "the task is there")
        time.sleep(2 * HEADERS_S)
        finish(task_id, gateway.storage)
        answer = call.result()
    assert isinstance(answer, kind)
    assert TRANSCRIPT.segments[0].text.strip() in (answer if isinstance(answer, str) else answer.text)


def test_white_space_keeps_the_connection_alive(gateway: Gateway, caller: Caller) -> None:
    """While the task goes on a byte comes every ten seconds, and the JSON behind them is whole."""
    with late(caller, b"long", TRANSLATIONS) as answer:
        began = time.monotonic()
        pieces = answer.iter_raw()
        first, second = next(pieces), next(pieces)
        waited_s = time.monotonic() - began
        finish(task_of(answer), gateway.storage)
        rest = b"".join(pieces)
    assert (first, second) == (b" ", b" ")
    assert 0.5 * SPACE_S < waited_s < 3 * SPACE_S
    assert json.loads(first + second + rest) == {"text": "Hello there. Good day."}


@pytest.mark.parametrize("name", ["json", "txt", "srt", "vtt", "tsv"])
def test_a_late_answer_of_asr_is_the_same_answer(gateway: Gateway, caller: Caller, name: str) -> None:
    """Behind white space, of which a table has none; the headers are those of an early one but for the length."""
    content = os.urandom(64)
    with late_asr(caller, content, output=name) as answer:
        finish(task_of(answer), gateway.storage)
        body = answer.read().decode()
    early = caller.http.post("/asr", files={"audio_file": ("film.mp4", content)}, params={"output": name})
    opening = {"json": " ", "vtt": "WEBVTT\n", "tsv": ""}.get(name, "\n")
    assert body.startswith(opening)
    assert body.removeprefix(opening).lstrip() == early.text.removeprefix(opening).lstrip()
    for header in ("content-type", "content-disposition", "asr-engine"):
        assert answer.headers[header] == early.headers[header]


def test_a_late_language_is_the_same_language(gateway: Gateway, caller: Caller) -> None:
    """/detect-language sends its headers and white space as /asr does."""
    with late_asr(caller, os.urandom(64), "/detect-language") as answer:
        finish(task_of(answer), gateway.storage)
        body = answer.read().decode()
    assert body[0] == " " and json.loads(body)["language_code"] == "en"


ENDS = pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda _, task_id: fail(task_id), "no_audio"),
        (lambda caller, task_id: caller.http.post(f"/tasks/{task_id}/cancel"), "cancelled"),
        (lambda caller, task_id: caller.http.delete(f"/tasks/{task_id}"), "not_found"),
    ],
    ids=["failed", "cancelled", "deleted"],
)


@ENDS
@pytest.mark.parametrize("name", ["json", "srt", "tsv"])
def test_a_late_error_of_asr_breaks_the_answer_off(
    gateway: Gateway, caller: Caller, name: str, end: Callable[[Caller, uuid.UUID], object], code: str
) -> None:
    """No client takes it for subtitles or an empty transcript: the end of the body is missing. The log has the code."""
    with late_asr(caller, os.urandom(64), output=name) as answer, pytest.raises(httpx.RemoteProtocolError):
        end(caller, task_of(answer))
        answer.read()
    log_lines = [line for line in gateway.log().splitlines() if answer.headers["x-request-id"] in line]
    assert any("answer_broken_off" in line and code in line for line in log_lines)
    assert not any("unexpected_error" in line for line in log_lines)


def test_a_client_of_http_1_0_gets_the_status(gateway: Gateway, caller: Caller) -> None:
    """It could not tell a body that breaks off from one that ends, so its headers wait for the task."""
    before = caller.newest()
    with socket.create_connection((httpx.URL(gateway.url).host, httpx.URL(gateway.url).port or 80)) as connection:
        request = caller.http.build_request("POST", "/asr", files={"audio_file": os.urandom(64)})
        lines = ["POST /asr HTTP/1.0", *(": ".join(one) for one in request.headers.items())]
        connection.sendall("\r\n".join((*lines, "", "")).encode() + request.read())
        task_id = eventually(lambda: (last := caller.newest()) != before and last, "the task is there")
        connection.settimeout(4 * HEADERS_S)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        fail(task_id)
        connection.settimeout(PATIENCE_S)
        assert connection.recv(12).split()[1] == b"422"


@ENDS
@pytest.mark.parametrize("name", ["json", "text", "vtt"])
def test_a_late_error_is_openais_object(
    caller: Caller, name: str, end: Callable[[Caller, uuid.UUID], object], code: str
) -> None:
    """Its status can no longer be told; its body is the error, behind the white space."""
    with late(caller, os.urandom(64), response_format=name) as answer:
        end(caller, task_of(answer))
        body = answer.read().decode()
    error = json.loads(body.removeprefix("WEBVTT"))["error"]
    assert (set(error), error["code"]) == ({"message", "type", "param", "code"}, code)


def fail(task_id: uuid.UUID) -> None:
    with session() as work:
        leases.fail(work, work_on(task_id, "convert"), NoAudio("Nothing can be heard."), max_attempts=1)


@pytest.mark.parametrize(("headers_s", "status"), [("0.5", 200), ("5", 504)])
def test_the_wait_has_an_end(
    servers: Stack, environment: Settings, tmp_path: Path, headers_s: str, status: int
) -> None:
    """After CONTRACT_WAIT_S the error says where the result will be: as the status before the headers, else below."""
    limits = {"CONTRACT_HEADERS_S": headers_s, "CONTRACT_WAIT_S": "2"}
    with gateway_on(servers, tmp_path, storage_of(environment), **limits) as hasty, hasty.caller().http as http:
        answer = http.post(TRANSCRIPTIONS, files={"file": b"new"})
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == "not_ready"
    assert "/result/" in answer.json()["error"]["message"]
