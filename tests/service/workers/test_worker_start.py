"""What a worker looks at before it takes anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from bisect import bisect_left
from pathlib import Path

from sqlalchemy import select

from scripts.local.stack import Stack
from shared.config import Settings
from shared.db import session
from shared.live.sessions import QUEUE
from shared.models import Worker
from tests.conftest import MODELS
from tests.faults.rig import eventually

ROOT = Path(__file__).parents[3]

DEAREST = (0.167, 0.19, 0.222, 0.267, 0.333, 0.444, 0.667)
"""What a second of speech may cost where eight are carried, seven, ... two: at all of the time, three quarters of it
speech."""


def start(servers: Stack, queue: str, **env: str) -> subprocess.Popen[str]:
    """A worker of one queue, on a machine without GPUs."""
    return subprocess.Popen(
        (
            sys.executable,
            "-m",
            "celery",
            "-A",
            "tasks.app",
            "worker",
            "-Q",
            queue,
            "-c",
            "1",
            "-n",
            f"{queue}-alone@%h",
        ),
        cwd=ROOT,
        env={**os.environ, **servers.env, "CUDA_VISIBLE_DEVICES": "", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_worker_without_its_gpu_does_not_start(servers: Stack) -> None:
    """With DEVICE=cuda and no GPU a worker of models ends with a word on what to do, before it fetches anything."""
    worker = start(servers, "asr", DEVICE="cuda")
    output, _ = worker.communicate(timeout=120)
    assert worker.returncode != 0
    assert "DEVICE is cuda, but this worker sees no CUDA device" in output
    assert "worker_ready" not in output


def test_a_worker_without_models_needs_no_gpu(servers: Stack) -> None:
    """The workers that fetch and decode start with the same settings."""
    worker = start(servers, "io", DEVICE="cuda")
    try:
        assert worker.stdout is not None
        assert any("worker_ready" in line for line in worker.stdout)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)


def carried(cost: float) -> int:
    return 8 - bisect_left(DEAREST, cost)


def test_a_live_worker_says_what_its_models_carry(servers: Stack, environment: Settings) -> None:
    """Without a session that it could have measured."""
    models = {
        "MODEL_DIR": str(MODELS),
        "LIVE_MODEL": "tiny.en",
        "LIVE_LOAD": "1",
        "LIVE_SLOTS": "8",
        "CPU_THREADS": "1",
    }
    worker = subprocess.Popen(
        (sys.executable, "-m", "tasks.live"),
        cwd=ROOT,
        env={**os.environ, **servers.env, "CUDA_VISIBLE_DEVICES": "", "LOG_FORMAT": "json", **models},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def slots() -> list[int]:
        with session() as work:
            own = (Worker.queues.contains([QUEUE]), Worker.name.endswith(f":{worker.pid}"))
            return list(work.scalars(select(Worker.slots).where(*own)))

    try:
        assert worker.stdout is not None
        trial = json.loads(next(line for line in worker.stdout if "trial_done" in line or "trial_failed" in line))
        assert trial["event"] == "trial_done", trial
        assert (trial["model"], trial["final_model"]) == ("tiny.en", "tiny.en")
        assert carried(trial["cost"] + 0.001) <= trial["places"] <= carried(trial["cost"] - 0.001)
        eventually(lambda: slots() == [trial["places"]], "it says so", 30)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
