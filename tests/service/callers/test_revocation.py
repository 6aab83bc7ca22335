"""What a key had begun when it is revoked: it ends within seconds, and nothing of it stays."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from scripts.init_env import new_secret
from scripts.local.stack import Stack
from shared.callers import keys
from shared.config import Settings
from shared.db import session
from shared.storage import storage_of
from tests.service.gateway import (
    FORM_END,
    NOTHING,
    PATIENCE_S,
    Caller,
    Gateway,
    RawUpload,
    eventually,
    form_part,
    gateway_on,
    gateway_with,
)

ENDS_WITHIN_S = 5.0
"""What docs/api.md promises."""

PART_BYTES = 5 * 1024**2
SOON_S = 1.5


gateway = gateway_with()


def revoke(gateway: Gateway, caller: Caller) -> float:
    """By an administrator; when it was done."""
    with gateway.caller("admin").http as admin:
        admin.delete(f"/admin/keys/{caller.id}").raise_for_status()
    return time.monotonic()


class Lasting:
    """A request in a thread of its own."""

    def __init__(self, request: Callable[[], Any]) -> None:
        self.answer: Any = None
        self.ended_at: float | None = None
        self._thread = threading.Thread(target=self._run, args=(request,), daemon=True)
        self._thread.start()

    def _run(self, request: Callable[[], Any]) -> None:
        self.answer = request()
        self.ended_at = time.monotonic()

    def join(self) -> float:
        """When it ended."""
        self._thread.join(PATIENCE_S)
        assert self.ended_at is not None, "it goes on"
        return self.ended_at


def followed_by(caller: Caller, url: str, **headers: str) -> Lasting:
    """A stream of which the first event was heard."""
    has_begun = threading.Event()

    def request() -> tuple[int, str]:
        with caller.http.stream("GET", url, headers=headers) as answer:
            text = ""
            for piece in answer.iter_text():
                text += piece
                has_begun.set()
            return answer.status_code, text

    lasting = Lasting(request)
    assert has_begun.wait(PATIENCE_S)
    return lasting


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_stream_of_events_ends(gateway: Gateway, caller: Caller, accept: str) -> None:
    """Within 5 s, after what was told before; another key's goes on, and resuming is 401."""
    task, other = caller.task(), gateway.caller()
    other_task = other.task()
    followed = followed_by(caller, f"/tasks/{task}/events", Accept=accept)
    goes_on = followed_by(other, f"/tasks/{other_task}/events", Accept=accept)
    time.sleep(SOON_S)
    assert followed.ended_at is goes_on.ended_at is None
    revoked_at = revoke(gateway, caller)
    assert followed.join() - revoked_at < ENDS_WITHIN_S
    status, text = followed.answer
    assert status == 200 and "queued" in text
    assert caller.http.get(f"/tasks/{task}/events", headers={"Last-Event-ID": "0"}).status_code == 401
    assert goes_on.ended_at is None
    other.http.post(f"/tasks/{other_task}/cancel").raise_for_status()
    goes_on.join()
    assert "cancelled" in goes_on.answer[1]


@pytest.mark.parametrize(
    ("url", "field", "options"),
    [
        ("/transcribe", "file", {"wait": "200"}),
        ("/v1/audio/transcriptions", "file", {"model": "whisper-1"}),
        ("/asr", "audio_file", {}),
        ("/api/v1/transcribe", "file", {}),
    ],
)
def test_a_wait_for_a_result_ends(
    gateway: Gateway, caller: Caller, url: str, field: str, options: dict[str, str]
) -> None:
    """It is 401 within 5 s, in our API and in those of others; the task goes on."""
    files = {field: ("call.wav", b"RIFF" + uuid.uuid4().bytes)}
    waiting = Lasting(lambda: caller.http.post(url, files=files, data=options).status_code)
    eventually(caller.newest, "the task")
    time.sleep(SOON_S)
    assert waiting.ended_at is None
    revoked_at = revoke(gateway, caller)
    assert waiting.join() - revoked_at < ENDS_WITHIN_S
    assert waiting.answer == 401


def test_openais_stream_ends_with_an_error(gateway: Gateway, caller: Caller) -> None:
    """Its last event is OpenAI's error for a key that is not valid."""

    has_begun = threading.Event()

    def request() -> str:
        form: dict[str, Any] = {"files": {"file": ("a.wav", b"RIFF" + uuid.uuid4().bytes)}}
        data = {"model": "whisper-1", "stream": "true", "response_format": "json"}
        with caller.http.stream("POST", "/v1/audio/transcriptions", data=data, **form) as answer:
            has_begun.set()
            return "".join(answer.iter_text())

    streamed = Lasting(request)
    assert has_begun.wait(PATIENCE_S)
    eventually(caller.newest, "the task")
    time.sleep(SOON_S)
    revoked_at = revoke(gateway, caller)
    assert streamed.join() - revoked_at < ENDS_WITHIN_S
    assert "invalid_api_key" in streamed.answer.splitlines()[-2]


def test_an_upload_on_its_way_ends(gateway: Gateway, caller: Caller) -> None:
    """A form that stands still, and one that goes on bit by bit, are 401 within 5 s, and nothing of them is kept."""
    beginning = form_part("file", b"RIFF" * 1000, "call.wav")[:-2]
    size = len(beginning) + 10**6
    with ExitStack() as open_ones:
        uploads = [RawUpload(gateway, caller.key, size) for _ in range(2)]
        for upload in uploads:
            open_ones.callback(upload.drop)
            upload.send(beginning)
        eventually(lambda: gateway.announcements(caller) == 2, "both have begun")
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2):
                try:
                    uploads[1].send(b"x")
                except OSError:
                    return

        threading.Thread(target=trickle, daemon=True).start()
        answers = [Lasting(upload.answer) for upload in uploads]
        time.sleep(SOON_S)
        assert all(answer.ended_at is None for answer in answers)
        revoked_at = revoke(gateway, caller)
        assert all(answer.join() - revoked_at < ENDS_WITHIN_S for answer in answers)
        stop.set()
        assert [answer.answer[0] for answer in answers] == [401, 401]
    eventually(lambda: gateway.left_behind(caller) == NOTHING, "nothing is kept")


def test_an_open_upload_is_given_up(gateway: Gateway, caller: Caller) -> None:
    """Within 5 s S3 takes no further part by a URL that was presigned before, a part that stands still on its way by
    the gateway is 401, and no part that had arrived is kept; a complete upload stays."""
    answer = caller.http.post("/uploads", json={"bytes": 3 * PART_BYTES, "part_bytes": PART_BYTES}).raise_for_status()
    upload = answer.json()
    urls = [part["url"] for part in upload["parts"]]
    part = bytes(PART_BYTES)
    assert httpx.put(urls[0], content=part, timeout=60).status_code == 200
    assert gateway.unfinished_uploads(caller) == 1

    number_3 = f"/uploads/{upload['upload_id']}/parts/3"
    sending = Lasting(lambda: put_slowly(gateway, caller, number_3, part[:100_000]))
    time.sleep(SOON_S)
    assert sending.ended_at is None
    revoked_at = revoke(gateway, caller)
    eventually(lambda: gateway.unfinished_uploads(caller) == 0, "S3 has given it up")
    assert time.monotonic() - revoked_at < ENDS_WITHIN_S
    assert httpx.put(urls[1], content=part, timeout=60).status_code == 404
    assert sending.join() - revoked_at < ENDS_WITHIN_S
    assert sending.answer == 401
    assert gateway.left_behind(caller)[:2] == NOTHING[:2]


def put_slowly(gateway: Gateway, caller: Caller, path: str, beginning: bytes) -> int:
    """PUT a part of which only the beginning comes; the status of the answer."""
    target = urlsplit(gateway.url)
    with socket.create_connection((target.hostname, target.port), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {caller.key}\r\n"
            f"Content-Length: {PART_BYTES}\r\n\r\n".encode()
            + beginning
        )
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status


def test_what_the_first_key_had_begun_ends_with_its_rotation(
    servers: Stack, gateway: Gateway, environment: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A gateway that starts with another API_KEY ends the streams of the old one at the gateways that run, and its
    open uploads."""
    old, new = new_secret("API_KEY"), new_secret("API_KEY")
    with session() as work:
        keys.bootstrap(work, old)
    try:
        with session() as work:
            owner = keys.authenticate(work, old).id
        http = httpx.Client(base_url=gateway.url, headers={"X-API-Key": old}, timeout=PATIENCE_S)
        with http:
            first = Caller(owner, old, http)
            followed = followed_by(first, f"/tasks/{first.task()}/events")
            http.post("/uploads", json={"bytes": PART_BYTES}).raise_for_status()
            assert gateway.unfinished_uploads(first) == 1
            with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), API_KEY=new):
                started_at = time.monotonic()
                assert followed.join() - started_at < ENDS_WITHIN_S
                eventually(lambda: gateway.unfinished_uploads(first) == 0, "S3 has given the upload up")
                assert time.monotonic() - started_at < ENDS_WITHIN_S
    finally:
        with session() as work:
            keys.bootstrap(work, servers.api_key)


def test_an_upload_that_was_begun_a_moment_too_late_is_swept(gateway: Gateway, caller: Caller) -> None:
    """The next repair gives up what a request had begun that was let in just before the key was revoked."""
    caller.http.post("/uploads", json={"bytes": PART_BYTES}).raise_for_status()
    with session() as work:
        keys.revoke(work, caller.id)  # as if nobody had looked for uploads
    assert gateway.unfinished_uploads(caller) == 1
    with gateway.caller("admin").http as admin:
        admin.post("/jobs/repair").raise_for_status()
    assert gateway.unfinished_uploads(caller) == 0


def test_nobody_is_ended_whose_key_is_valid(gateway: Gateway, caller: Caller) -> None:
    """An upload that takes its time arrives while other keys are revoked."""
    body = form_part("file", b"RIFF" * 1000, "call.wav") + FORM_END
    upload = RawUpload(gateway, caller.key, len(body))
    for place in range(0, len(body), len(body) // 4):
        upload.send(body[place : place + len(body) // 4])
        revoke(gateway, gateway.caller())
        time.sleep(1)
    assert upload.answer()[0] == 202
