"""A stack with sleeping engines, users with keys of their own, and a bridge for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.apps import API, worker
from tests.faults.rig import Rig, asleep, start
from tests.service.wyoming.clients import PATIENCE_S, Bridge, bridge

RECOGNITION_S, SLOW_S = 1.0, 600.0


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    models, slow = worker("models", "asr", 4, 1), asleep(worker("slow", "asr", 1, 1), SLOW_S)
    with start(
        tmp_path_factory.mktemp("wyoming"),
        (API, worker("io", "io,cpu", 2, 1), models, slow),
        limits_timeout_s=20,
        sleeper_seconds=RECOGNITION_S,
        whisper_model="tiny.en",
        whisper_models="tiny.en,base",
    ) as running:
        running.stack.stop_process("worker-slow")
        yield running


@contextmanager
def unheard(rig: Rig) -> Iterator[None]:
    """Nobody recognises anything until the block ends."""
    rig.stack.stop_process("worker-models")
    try:
        yield
    finally:
        rig.stack.start_process("worker-models")


@contextmanager
def slowly(rig: Rig) -> Iterator[None]:
    """Recognition takes longer than any test."""
    with unheard(rig):
        rig.stack.start_process("worker-slow")
        try:
            yield
        finally:
            rig.stack.stop_process("worker-slow")


@dataclass(frozen=True)
class User:
    """Somebody with a key, and a client that looks what became of it on the server."""

    key: str
    key_id: str
    http: httpx.Client

    def tasks(self) -> list[dict[str, Any]]:
        """The newest first, in detail."""
        items = self.http.get("/history").raise_for_status().json()["items"]
        return [self.http.get(f"/tasks/{item['task_id']}").raise_for_status().json() for item in items]

    def eventually(self, condition: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Wait until a condition of the tasks holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition(tasks := self.tasks()):
            assert time.monotonic() < deadline, tasks
            time.sleep(0.05)


@pytest.fixture
def user(rig: Rig) -> Iterator[User]:
    answer = rig.caller.http.post("/admin/keys", json={"name": "home"}).raise_for_status().json()
    headers = {"Authorization": f"Bearer {answer['key']}"}
    with httpx.Client(base_url=rig.stack.url, headers=headers, timeout=PATIENCE_S, trust_env=False) as http:
        yield User(answer["key"], answer["id"], http)


@pytest.fixture
def spoken_to(rig: Rig, user: User, tmp_path: Path) -> Iterator[Bridge]:
    """A bridge of the user's."""
    with bridge(tmp_path, rig.stack.url, user.key) as running:
        yield running
