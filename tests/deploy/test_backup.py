"""A dump of the database and a copy of the bucket are all that there is to save."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from scripts.local_apps import API, worker
from scripts.local_servers import postgres_binary
from scripts.local_stack import Stack
from shared.config import Settings
from shared.storage import Storage
from tests.unit.outside import tone

PATIENCE_S = 60
APPS = (API, worker("all", "io,cpu,asr,diarize", concurrency=2, threads=1))


def postgres(program: str, *arguments: str | Path) -> None:
    subprocess.run((postgres_binary(program), *arguments), check=True, timeout=60, capture_output=True)


def address(stack: Stack) -> str:
    return stack.env["DATABASE_URL"].replace("postgresql+psycopg", "postgresql")


def bucket(env: Mapping[str, str]) -> Storage:
    return Storage(Settings.model_validate({name.lower(): value for name, value in env.items()}))


def test_a_restored_service_gives_the_same_history_and_results(tmp_path: Path) -> None:
    """The dump first, then the objects, while the service runs; on another stack the same key finds everything."""
    dump = tmp_path / "parley.dump"
    environ = {**os.environ, "ENGINE": "sleeper", "SLEEPER_SECONDS": "0.1"}
    with Stack(tmp_path / "first", apps=APPS, environ=environ) as first:
        headers = {"Authorization": f"Bearer {first.api_key}"}
        with httpx.Client(base_url=first.url, headers=headers, timeout=30) as http:
            for seconds in (1.0, 1.5, 2.0):
                form = {"reference": f"call {seconds}", "tags": "kept"}
                http.post("/transcribe", files={"file": ("a.wav", tone(seconds))}, data=form).raise_for_status()
            deadline = time.monotonic() + PATIENCE_S
            while len(history := http.get("/history", params={"status": "done"}).json()["items"]) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            results = [http.get(f"/result/{item['task_id']}").json() for item in history]
        postgres("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={address(first)}")
        source = bucket(first.env)
        objects = {key: source.get(key) for key in source.list("")}
    assert len(objects) >= 9

    with Stack(tmp_path / "second", apps=(), environ=environ, migrate=False) as empty:
        postgres("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={address(empty)}", dump)
        target = bucket(empty.env)
        for key, content in objects.items():
            target.put(key, content)
    with (
        Stack(tmp_path / "second", apps=APPS, environ=environ) as second,
        httpx.Client(base_url=second.url, headers=headers, timeout=30) as http,
    ):
        assert http.get("/history", params={"status": "done"}).json()["items"] == history
        assert [http.get(f"/result/{item['task_id']}").json() for item in history] == results
        again = http.post("/transcribe", files={"file": ("a.wav", tone(1.0))}).json()
        assert again["status"] == "done"
