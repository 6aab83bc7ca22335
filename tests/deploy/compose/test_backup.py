"""A dump of the database and a copy of the bucket are all that there is to save: by the commands of the documents."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import httpx
import yaml
from sqlalchemy import make_url

from scripts.bench.soak.truth import bare_environment
from scripts.local.apps import API, worker
from scripts.local.servers import postgres_binary
from scripts.local.stack import Stack
from shared.config import Settings
from shared.storage import Storage, storage_of
from tests.deploy.composed import ROOT
from tests.deploy.documented import blocks, inside, section
from tests.deploy.images.dockerfiles import copied
from tests.unit.intake.outside import tone

PATIENCE_S = 60
APPS = (API, worker("all", "io,cpu,asr,diarize", concurrency=2, threads=1))
SAVE, RESTORE = (
    [line for line in block if not line.startswith("docker compose up")]
    for block in blocks(section(ROOT / "docs" / "operations.md", "Backup and restore"))
)
LARGE = random.Random(1).randbytes(20 * 1024**2)
"""An object of several parts, as recordings are."""


def typed(stack: Stack, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """What is typed in `folder`: the part inside of a container as a process beside the stack's servers."""
    address = make_url(stack.env["DATABASE_URL"])
    of_postgres = {"PGHOST": str(address.host), "PGPORT": str(address.port), "PGPASSWORD": str(address.password)}
    path = f"{postgres_binary('pg_dump').parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    service, inner = inside(command)
    env = of_postgres if service == "postgres" else {**stack.env, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ("sh", "-c", inner),
        cwd=folder,
        env={**env, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bucket(stack: Stack) -> Storage:
    return storage_of(Settings.model_validate({name.lower(): value for name, value in stack.env.items()}))


def objects(storage: Storage) -> dict[str, bytes]:
    return {key: storage.get(key) for key in storage.list("")}


def test_a_restored_service_gives_the_same_history_and_results(tmp_path: Path) -> None:
    """The dump first, then the objects, while the service runs; on another stack the same key finds everything. A copy
    of the objects that was cut off is refused, wherever it ends. The first has them in S3, the other in a folder."""
    environ = {**bare_environment(), "ENGINE": "sleeper", "SLEEPER_SECONDS": "0.1"}
    with Stack(tmp_path / "first", apps=APPS, environ=environ | {"OBJECT_STORE": "s3"}) as first:
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
        bucket(first).put("large", LARGE)
        bucket(first).put("empty", b"")
        for command in SAVE:
            saved = typed(first, tmp_path, command)
            assert saved.returncode == 0, saved.stderr
        stored = objects(bucket(first))
    assert len(stored) >= 11

    with Stack(tmp_path / "second", apps=(), environ=environ, migrate=False) as empty:
        (load,) = (command for command in RESTORE if "copy_bucket" in command)
        copy = (tmp_path / "bucket.tar").read_bytes()
        for length in (0, copy.index(LARGE) - 200, copy.index(LARGE) + 10_000_000, len(copy.rstrip(b"\0")) - 300):
            (tmp_path / "bucket.tar").write_bytes(copy[:length])
            refused = typed(empty, tmp_path, load)
            assert (refused.returncode, "the copy is not whole" in refused.stderr) == (1, True), length
            assert "large" not in objects(bucket(empty)) or length > copy.index(LARGE) + len(LARGE)
        (tmp_path / "bucket.tar").write_bytes(copy)
        for command in RESTORE:
            restored = typed(empty, tmp_path, command)
            assert restored.returncode == 0, restored.stderr
        assert objects(bucket(empty)) == stored
    kept_key = {"API_KEY": headers["Authorization"].removeprefix("Bearer ")}  # of `.env`, which is kept with the copies
    with (
        Stack(tmp_path / "second", apps=APPS, environ=environ | kept_key) as second,
        httpx.Client(base_url=second.url, headers=headers, timeout=30) as http,
    ):
        assert http.get("/history", params={"status": "done"}).json()["items"] == history
        assert [http.get(f"/result/{item['task_id']}").json() for item in history] == results
        again = http.post("/transcribe", files={"file": ("a.wav", tone(1.0))}).json()
        assert again["status"] == "done"


def test_the_services_have_what_the_commands_need() -> None:
    """Objects are copied where the gateway's image, which brings the program, and the bucket's address are; the
    database is dumped in the image that has pg_dump."""
    assert "scripts/copy_bucket.py" in copied("Dockerfile", "api")
    described = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for service, typed_there in map(inside, (*SAVE, *RESTORE)):
        description = described["services"][service]
        if typed_there.startswith("pg_"):
            assert description["image"].startswith("postgres:")
        else:
            assert description["image"] == described["x-image-api"]["image"]
            assert (
                description["environment"].items()
                >= {"S3_ENDPOINT_URL": described["x-environment"]["S3_ENDPOINT_URL"]}.items()
            )
