"""What goes through Caddy for long: streams of events and uploads, also while Caddy takes over a new configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.deploy.caddy.test_caddy import SITE, curl
from tests.deploy.composed import BIN, ROOT
from tests.deploy.conftest import Deployment
from tests.programs import program

SLOW_BYTES = 3 * 1024**2
LONG_S = 300
"""Longer than anything here takes; what is not ended before has failed."""

UPLOAD = r"""
import http.client, select, sys
size = int(sys.argv[1])
head = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="slow.wav"\r\n\r\nRIFF'
tail = b"\r\n--edge--\r\n"
connection = http.client.HTTPConnection("caddy", 8080)
connection.putrequest("POST", "/transcribe")
connection.putheader("Authorization", f"Bearer {sys.argv[2]}")
connection.putheader("Content-Type", "multipart/form-data; boundary=edge")
connection.putheader("Content-Length", str(len(head) + size + len(tail)))
connection.endheaders()
connection.send(head)
left = size
def send(count):
    global left
    connection.send(bytes(count))
    left -= count
send(size // 4)
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0.1)[0]:
    send(left // 500)  # never silent, and never done
send(left)
connection.send(tail)
print(connection.getresponse().read().decode())
"""
"""It goes on until stdin is closed."""

RELOADS = 3
BATCH = 50

ANSWERED = "200 0"
UNREAD = {"000 52", "000 56"}
"""A connection that was closed or reset before Caddy read the request: the kernel had it wait for a listener that
closed, as each configuration has its own on the same port (SO_REUSEPORT). 7 of 4,400 requests below 60 reloads.
"""


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
            str(LONG_S),
            f"{SITE}/tasks/{task}/events",
        ),
        stdout=subprocess.PIPE,
        text=True,
    )


def load(deployment: Deployment, ended: Event) -> list[str]:
    """Status and error of requests sent without a pause until `ended`; the last batch begins before it."""
    statuses: list[str] = []
    while not ended.is_set():
        process = deployment.run(
            "curl",
            "-s",
            "-Z",
            "--parallel-max",
            "4",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{exitcode}\n",
            f"{SITE}/health/live?[1-{BATCH}]",
        )
        statuses += process.stdout.splitlines()
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
    """Three reloads below load fail no request, and cut neither a stream of events nor an upload that is under way.
    One that is just connecting may have to come again."""
    task = waiting_task(deployment, tmp_path)
    ended = Event()
    with (
        ThreadPoolExecutor() as pool,
        follow(deployment, task, "text/event-stream") as stream,
        uploading(deployment) as upload,
    ):
        answers = pool.submit(load, deployment, ended)
        try:
            assert stream.stdout is not None
            assert stream.stdout.readline().strip()
            for _ in range(RELOADS):
                reload(deployment)
            assert upload.poll() is None, "it was over before the last reload"
        finally:
            ended.set()
        statuses = answers.result(timeout=LONG_S)
        assert stream.poll() is None, "the reload cut the stream"
        curl(deployment, "-X", "POST", f"{SITE}/tasks/{task}/cancel")
        rest = stream.stdout.read()
        job = json.loads(upload.communicate(timeout=LONG_S)[0])
    assert len(statuses) >= BATCH and {ANSWERED} <= set(statuses) <= {ANSWERED, *UNREAD}
    assert len(statuses) - statuses.count(ANSWERED) <= RELOADS
    assert "cancelled" in rest
    assert job["status"] == "queued"
    curl(deployment, "-X", "DELETE", f"{SITE}/tasks/{job['task_id']}")


@contextmanager
def uploading(deployment: Deployment) -> Iterator[subprocess.Popen[str]]:
    """An upload that has begun. It is over, and its answer is told, once its stdin is closed."""
    with subprocess.Popen(
        (*deployment.machine.prefix(ROOT), sys.executable, "-c", UPLOAD, str(SLOW_BYTES), deployment.api_key),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            yield process
        finally:
            process.kill()


def reload(deployment: Deployment) -> None:
    process = subprocess.run(
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
        timeout=LONG_S,
        check=False,
    )
    assert process.returncode == 0, process.stderr
