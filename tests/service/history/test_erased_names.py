"""After an erasure the name of a file is nowhere in the stack: broker and its file, Flower, logs, objects."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis

from scripts.bench.soak.caller import Task, noise
from scripts.local.apps import APPS
from tests.faults.rig import PATIENCE_S, Rig, eventually, start

KEPT = ("postgres",)
"""PostgreSQL's own files: deleted rows and its write-ahead log go with its vacuum and its checkpoints. That no table
has the name is tested with the erasure itself."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with start(tmp_path_factory.mktemp("names"), APPS) as rig:
        eventually(
            lambda: _flower_page(rig, "/healthcheck") == "OK", "Flower, for which nobody waits, is up", PATIENCE_S
        )
        yield rig


def _flower_page(rig: Rig, path: str) -> str:
    """Its text; empty while Flower is not up."""
    try:
        login = ("parley", rig.stack.flower_password)
        return httpx.get(rig.stack.flower_url + path, auth=login, timeout=PATIENCE_S).text
    except httpx.TransportError:
        return ""


def _everything_of_the_broker(rig: Rig) -> bytes:
    client = redis.Redis.from_url(rig.stack.env["REDIS_URL"], socket_timeout=10)
    return b"\n".join(key + (client.dump(key) or b"") for key in client.scan_iter(count=1000))


def _holding(home: Path, needle: bytes) -> dict[Path, bool]:
    """Whether the needle is in it, of each file of the stack. Servers replace some of theirs now and then: when one was
    gone before it was read, all are looked at again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            files = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
            return {path: needle in (home / path).read_bytes() for path in files if not set(KEPT) & set(path.parts)}
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise


def test_an_erased_file_leaves_its_name_nowhere(rig: Rig) -> None:
    """Three recordings with odd names go through every stage and are erased; then no key and no file of Valkey, no page
    of Flower, no log, no object and no scratch file holds what was unique in the names."""
    canary = f"canary{secrets.token_hex(8)}"
    tasks = []
    for number, name in enumerate((f"{canary}.wav", f"ä {canary}; rm -rf.mp3", f"=cmd|' {canary}'!A1.wav")):
        answer = rig.caller.http.post("/transcribe", files={"file": (name, noise())}, data={"diarization": number == 0})
        tasks.append(Task(uuid.UUID(answer.raise_for_status().json()["task_id"]), sha256=""))
    for task in tasks:
        assert rig.caller.wait(task, timeout_s=PATIENCE_S) == "done"
    eventually(
        lambda: all(str(task.id) in _flower_page(rig, "/api/tasks") for task in tasks),
        "Flower has heard of the tasks",
        PATIENCE_S,
    )
    for task in tasks:
        rig.caller.delete(task)

    assert canary.encode() not in _everything_of_the_broker(rig)
    for page in ("/api/tasks?limit=1000", "/api/workers", "/tasks", "/workers", *(f"/task/{t.id}" for t in tasks)):
        assert canary not in _flower_page(rig, page), page
    holding = _holding(rig.stack.home.path, canary.encode())
    assert any("appendonly" in path.name for path in holding), "Valkey's file was looked at"
    assert not [path for path, holds_it in holding.items() if holds_it]
