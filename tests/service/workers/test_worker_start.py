"""What a worker looks at before it takes anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.local.stack import Stack

ROOT = Path(__file__).parents[3]


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
    said, _ = worker.communicate(timeout=120)
    assert worker.returncode != 0
    assert "DEVICE is cuda, but this worker sees no CUDA device" in said
    assert "worker_ready" not in said


def test_a_worker_without_models_needs_no_gpu(servers: Stack) -> None:
    """The workers that fetch and decode start with the same settings."""
    worker = start(servers, "io", DEVICE="cuda")
    try:
        assert worker.stdout is not None
        assert any("worker_ready" in line for line in worker.stdout)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
