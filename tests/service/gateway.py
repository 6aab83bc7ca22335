"""A real gateway for the tests of the API, clients for it, and a look at what it left behind."""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import delete, func, select

from scripts.local.apps import API
from scripts.local.stack import Stack
from shared import claims
from shared.callers import keys
from shared.claims import Answer
from shared.config import Settings
from shared.db import session
from shared.kernel import leases
from shared.models import Erasure, Worker
from shared.stages import STAGES
from shared.storage import Storage, storage_of
from shared.transcript import Segment, Speaker, SpeakerTurn, Transcript, Word, to_json

PATIENCE_S = 120
BRIEFLY_S = 0.2
BOUNDARY = "a-boundary-of-the-tests"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

TRANSCRIPT = Transcript(
    language="en",
    language_probability=0.98,
    duration=2.0,
    model="base",
    segments=(
        Segment(
            0,
            0.0,
            1.0,
            " Hello there.",
            0.9,
            "spk_1",
            (Word(0.0, 0.4, " Hello", 0.9, "spk_1"), Word(0.5, 1.0, " there.", 0.8, "spk_1")),
        ),
        Segment(1, 1.2, 2.0, " Good day.", 0.7, "spk_2", (Word(1.2, 2.0, " Good day.", 0.7, "spk_2"),)),
    ),
    speakers=(Speaker("spk_1", 1.0), Speaker("spk_2", 0.8)),
    turns=(SpeakerTurn(0.0, 1.0, "spk_1"), SpeakerTurn(1.2, 2.0, "spk_2")),
)
SUMMARY = {
    "language": "en",
    "language_probability": 0.98,
    "duration": 2.0,
    "model": "base",
    "speakers": 2,
    "full_text": TRANSCRIPT.text,
}


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)
    return value


@dataclass(frozen=True)
class Caller:
    """An API key of its own, and a client that sends it."""

    id: uuid.UUID
    key: str
    http: httpx.Client

    def submit(self, content: bytes = b"", /, **fields: str) -> httpx.Response:
        """Upload `content`, or some bytes that nobody sent before."""
        files = {"file": ("call.wav", content or os.urandom(64))}
        return self.http.post("/transcribe", files=files, data=fields)

    def task(self, content: bytes = b"", /, **fields: str) -> uuid.UUID:
        answer = self.submit(content, **fields)
        assert answer.status_code == 202, answer.text
        return uuid.UUID(answer.json()["task_id"])

    def status(self, task_id: uuid.UUID) -> str:
        return str(self.http.get(f"/status/{task_id}").json()["status"])

    def newest(self) -> uuid.UUID | None:
        """The task that came last."""
        items = self.http.get("/history").json()["items"]
        return uuid.UUID(items[0]["task_id"]) if items else None

    def give_up(self, url: str, **content: Any) -> uuid.UUID:
        """The task of a POST that waits for it. The client hangs up once the task is there, and was not answered."""
        before = self.newest()
        request = self.http.build_request("POST", url, **content)
        lines = [f"POST {request.url.raw_path.decode()} HTTP/1.1", *(": ".join(one) for one in request.headers.items())]
        with socket.create_connection((request.url.host, request.url.port or 80), timeout=PATIENCE_S) as connection:
            connection.sendall("\r\n".join((*lines, "", "")).encode() + request.read())
            task_id: uuid.UUID = eventually(lambda: (last := self.newest()) != before and last, "the task is there")
            connection.settimeout(BRIEFLY_S)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        return task_id


@dataclass(frozen=True)
class Gateway:
    """A running gateway and what it stores."""

    stack: Stack
    storage: Storage

    @property
    def url(self) -> str:
        return self.stack.url

    def caller(self, *scopes: str) -> Caller:
        """A new API key, by default with the scope transcribe."""
        with session() as work:
            row, key = keys.create(work, "test", scopes or ("transcribe",))
        http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S)
        return Caller(row.id, key, http)

    def limited(self, **limits: int) -> Caller:
        """A caller whose key an operator has given these limits."""
        caller = self.caller()
        answer = self.caller("admin").http.patch(f"/admin/keys/{caller.id}", json=limits)
        assert answer.status_code == 200, answer.text
        assert {name: answer.json()[name] for name in limits} == limits
        return caller

    def objects(self, caller: Caller) -> set[str]:
        """Keys of everything that the caller has in storage."""
        return set(self.storage.list(f"{caller.id}/"))

    def unfinished_uploads(self, caller: Caller) -> int:
        """How many multipart uploads of the caller are open."""
        return len(tuple(self.storage.unfinished(f"{caller.id}/")))

    def announcements(self, caller: Caller) -> int:
        """How many uploads of the caller are announced and not yet jobs."""
        with session() as work:
            return len(work.scalars(select(Erasure).where(Erasure.owner_id == caller.id, ~Erasure.settled)).all())

    def left_behind(self, caller: Caller) -> tuple[set[str], int, int]:
        """Objects, open multipart uploads and announcements: what a failed upload must not leave."""
        return self.objects(caller), self.unfinished_uploads(caller), self.announcements(caller)

    def log(self) -> str:
        return self.stack.log("api").read_text()


NOTHING: tuple[set[str], int, int] = (set(), 0, 0)


@contextmanager
def gateway_on(servers: Stack, home: Path, storage: Storage, **env: str) -> Iterator[Gateway]:
    """A gateway of its own over the shared servers."""
    environ = {**os.environ, **servers.env, **env}
    with Stack(home, apps=(API,), environ=environ, migrate=False) as stack:
        yield Gateway(stack, storage)


def gateway_with(**env: str) -> Any:
    """The fixture of a file whose tests need a gateway of their own, with these settings."""

    @pytest.fixture(scope="module")
    def gateway(servers: Stack, environment: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
        with gateway_on(servers, tmp_path_factory.mktemp("gateway"), storage_of(environment), **env) as running:
            yield running

    return gateway


@contextmanager
def live_worker() -> Iterator[None]:
    """One that says it is there, for whoever looks whether there is one. It hears nothing."""
    with session() as work:
        seen_at = func.now() + func.make_interval(0, 0, 0, 1)
        work.add(Worker(name="nobody", queues=["live"], slots=100, seen_at=seen_at))
    try:
        yield
    finally:  # also behind a test that failed: the next one could not add it
        with session() as work:
            work.execute(delete(Worker).where(Worker.name == "nobody"))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# ---- the workers' part, without workers


def work_on(task_id: uuid.UUID, stage: str) -> claims.Claim:
    """Claim a stage as a worker does."""
    with session() as work:
        claim = leases.claim(work, task_id, stage, 0, worker="w", device="cpu", lease_s=30)
    assert claim is not None
    return claim


def hand_in(claim: claims.Claim, storage: Storage, **summary: Any) -> None:
    """Complete a stage with an object, for the last one TRANSCRIPT; `summary` has what differs from SUMMARY."""
    key = f"{claim.owner_id}/{claim.job_id}/{claim.stage}/0.{claim.fence}.json"
    size = storage.put(key, to_json(TRANSCRIPT))
    with session() as work:
        leases.complete(work, claim, Answer(key, size, {**SUMMARY, **summary}))


def finish(task_id: uuid.UUID, storage: Storage, *, diarization: bool = False, **summary: Any) -> None:
    """Do everything that is left to do for a fresh upload."""
    for stage in STAGES:
        if stage != "download" and (diarization or stage != "diarize"):
            hand_in(work_on(task_id, stage), storage, **summary)


# ---- requests that no well-behaved client sends


def form_part(name: str, content: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


FORM_END = f"--{BOUNDARY}--\r\n".encode()


class RawUpload:
    """POST /transcribe on a bare socket, for bodies that stop, or arrive bit by bit."""

    def __init__(self, gateway: Gateway, key: str, content_length: int) -> None:
        host, port = gateway.url.removeprefix("http://").split(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self.send(
            f"POST /transcribe HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: {MULTIPART}\r\nContent-Length: {content_length}\r\n\r\n".encode()
        )

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, str]:
        """Status and the rest of the response; the connection is closed afterwards."""
        received = b""
        while b"\r\n\r\n" not in received or not received.rstrip().endswith(b"}"):
            piece = self._socket.recv(65536)
            if not piece:
                break
            received += piece
        self.drop()
        return int(received.split(b" ", 2)[1]), received.decode()

    def drop(self) -> None:
        self._socket.close()
