"""What goes through Caddy for long: streams of events and uploads, also while Caddy takes over a new configuration."""

from __future__ import annotations

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.deploy.caddy.test_caddy import SITE, curl
from tests.deploy.composed import BIN, ROOT
from tests.deploy.conftest import Deployment
from tests.programs import program

SLOW_BYTES = 3 * 1024**2
RELOADS = 3
BATCH = 50


def waiting_task(deployment: Deployment, folder: Path) -> str:
    """A task that stays queued, as no worker runs."""
    (folder / "short.wav").write_bytes(b"RIFF" + bytes(1000))
    return str(json.loads(curl(deployment, "-F", f"file=@{folder}/short.wav", f"{SITE}/transcribe"))["task_id"])


def follow(deployment: Deployment, task: str, accept: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (
            *deployment.machine.prefix(ROOT),
            program("curl"),
            "-sSN",
            "-H",
            f"Authorization: Bearer {deployment.api_key}",
            "-H",
            f"Accept: {accept}",
            "--max-time",
            "90",
            f"{SITE}/tasks/{task}/events",
        ),
        stdout=subprocess.PIPE,
        text=True,
    )


def load(deployment: Deployment, ended: Event) -> list[str]:
    """The statuses of requests sent without a pause until `ended`; the last batch begins before it."""
    statuses: list[str] = []
    while not ended.is_set():
        said = deployment.run(
            "curl",
            "-s",
            "-Z",
            "--parallel-max",
            "4",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\n",
            f"{SITE}/health/live?[1-{BATCH}]",
        )
        statuses += said.stdout.split()
    return statuses


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_events_come_while_the_task_waits(deployment: Deployment, tmp_path: Path, accept: str) -> None:
    """The first event arrives while the stream goes on, in either format; the last says what became of the task."""
    task = waiting_task(deployment, tmp_path)
    with follow(deployment, task, accept) as stream:
        assert stream.stdout is not None
        assert stream.stdout.readline().strip(), "nothing came while the task waited"
        assert stream.poll() is None
        curl(deployment, "-X", "POST", f"{SITE}/tasks/{task}/cancel")
        assert "cancelled" in stream.stdout.read()


def test_a_reload_disturbs_nobody(deployment: Deployment, tmp_path: Path) -> None:
    """Three reloads below load fail no request, and cut neither a stream of events nor an upload that is under way."""
    task = waiting_task(deployment, tmp_path)
    (tmp_path / "slow.wav").write_bytes(b"RIFF" + bytes(SLOW_BYTES))
    began = time.monotonic()
    reload(deployment)
    upload_s = max(10.0, 3 * RELOADS * (time.monotonic() - began))  # they take longer below load
    slowly = ("--limit-rate", f"{SLOW_BYTES / upload_s:.0f}")
    ended = Event()
    with ThreadPoolExecutor() as pool, follow(deployment, task, "text/event-stream") as stream:
        try:
            assert stream.stdout is not None
            assert stream.stdout.readline().strip()
            upload = pool.submit(curl, deployment, *slowly, "-F", f"file=@{tmp_path}/slow.wav", f"{SITE}/transcribe")
            answers = pool.submit(load, deployment, ended)
            for _ in range(RELOADS):
                reload(deployment)
            assert not upload.done(), "it was over before the last reload"
        finally:
            ended.set()
        statuses = answers.result(timeout=60)
        assert stream.poll() is None, "the reload cut the stream"
        curl(deployment, "-X", "POST", f"{SITE}/tasks/{task}/cancel")
        rest = stream.stdout.read()
        sent = json.loads(upload.result(timeout=60))
    assert len(statuses) >= BATCH and set(statuses) == {"200"}
    assert "cancelled" in rest
    assert sent["status"] == "queued"
    curl(deployment, "-X", "DELETE", f"{SITE}/tasks/{sent['task_id']}")


def reload(deployment: Deployment) -> None:
    said = subprocess.run(
        (
            *deployment.machine.prefix(ROOT),
            BIN / "caddy",
            "reload",
            "--force",
            "--config",
            ROOT / "Caddyfile",
            "--adapter",
            "caddyfile",
        ),
        env=deployment.service("caddy").environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 0, said.stderr
