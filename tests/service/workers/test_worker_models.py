"""A worker of models has them before it takes anything, and lets them go when it has nothing to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from scripts.local.stack import Stack
from scripts.weights.fixtures import default_model_dir
from shared.config import Settings
from shared.db import session
from shared.models import Worker

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 90


class Running:
    """A worker of the queue asr with tiny.en; `events` is what it has logged so far."""

    def __init__(self, servers: Stack, *arguments: str, **env: str) -> None:
        line = "celery -A tasks.app worker -Q asr -l INFO --without-gossip --without-mingle"
        small = {"WHISPER_MODEL": "tiny.en", "MODEL_DIR": str(default_model_dir()), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            (sys.executable, "-m", *line.split(), *arguments),
            cwd=ROOT,
            env={**os.environ, **servers.env, **small, "CPU_THREADS": "1", **env},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events: list[dict[str, Any]] = []
        self.output: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.output.append(line)
            if line.startswith("{"):
                self.events.append(json.loads(line))

    def named(self, event: str) -> list[dict[str, Any]]:
        """What was logged under a name."""
        return [entry for entry in self.events if entry["event"] == event]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something to be true of the log."""
        give_up_at = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < give_up_at and self.process.poll() is None, "".join(self.output)
            time.sleep(0.05)

    def ended(self) -> int:
        """The exit status, once it has ended by itself and all it said was read."""
        code = self.process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return code


@contextmanager
def worker(servers: Stack, *arguments: str, **env: str) -> Iterator[Running]:
    running = Running(servers, *arguments, **env)
    try:
        yield running
    finally:
        running.process.terminate()
        try:
            running.process.wait(30)
        except subprocess.TimeoutExpired:
            running.process.kill()
            raise


def is_known(name: str) -> bool:
    """Whether the worker has given a sign of life, which health checks and the windows of rings go by."""
    with session() as opened:
        return opened.scalar(select(Worker.name).where(Worker.name == name)) is not None


def test_each_process_has_its_models_and_its_card_before_work_is_taken(servers: Stack, environment: Settings) -> None:
    """Two processes load a model each, share the cards, and only then is the worker ready; a killed one's successor
    takes the same card; idle, they let go."""
    arguments = ("-c", "2", "-n", "two-models@%h")
    with worker(servers, *arguments, CUDA_VISIBLE_DEVICES="3,5", MODEL_IDLE_S="1") as running:
        running.until(lambda: running.named("worker_ready"))
        names = [event["event"] for event in running.events]
        assert names.index("worker_ready") > max(n for n, name in enumerate(names) if name == "models_loaded")
        assert sorted(event["cards"] for event in running.named("models_loaded")) == ["3", "5"]

        running.until(lambda: len(running.named("models_let_go")) == 2)

        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        running.until(lambda: len(running.named("models_loaded")) == 3)
        assert [event["cards"] for event in running.named("models_loaded")][2] in {"3", "5"}
        assert {event["process"] for event in running.named("models_loaded")} == {0, 1}


def test_a_pool_without_children_loads_them_too(servers: Stack, environment: Settings) -> None:
    """With -P solo the one process has the models before it is ready, and its first sign of life says which."""
    name = "solo-models@here"
    with worker(servers, "-P", "solo", "-n", name, WHISPER_MODELS="tiny.en,medium") as running:
        running.until(lambda: running.named("worker_ready"))
        assert len(running.named("models_loaded")) == 1
        running.until(lambda: is_known(name))
        with session() as opened:
            row = opened.get_one(Worker, name)
            assert (row.installed, row.loaded) == (["tiny.en"], ["tiny.en"])


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_worker_whose_model_cannot_be_loaded_ends(servers: Stack, environment: Settings, pool: str) -> None:
    """It says why, was never ready, gave no sign of life, and ends with a status that has it started again."""
    running = Running(servers, "-P", pool, "-c", "1", "-n", f"no-models-{pool}@here", WHISPER_MODEL="medium")
    assert running.ended() == 1
    (entry,) = running.named("models_not_loaded")
    assert entry["code"] == "model_unavailable"
    assert "download_models --model medium" in entry["message"]
    assert not running.named("worker_ready")
    assert not is_known(f"no-models-{pool}@here")


def test_a_pool_in_which_work_cannot_be_ended_alone_is_refused(servers: Stack) -> None:
    """Threads share a process, which is what is ended when work does not listen: a worker of models does not start."""
    running = Running(servers, "-P", "threads", "-n", "threads@%h")
    assert running.ended() == 1
    assert any("needs the pool prefork or solo" in line for line in running.output)
    assert not running.named("worker_ready")


@pytest.mark.parametrize("processes", ["2", "3"])
def test_a_second_card_that_no_process_has_is_refused(servers: Stack, processes: str) -> None:
    """With a card for each process there is no cuda:1 in any of them: the worker says so instead of trying for ever."""
    running = Running(
        servers,
        "-Q",
        "diarize",
        "-c",
        processes,
        "-n",
        "second@%h",
        CUDA_VISIBLE_DEVICES="0,1,2",
        DIARIZATION_DEVICE="cuda:1",
    )
    assert running.ended() == 1
    (error,) = [line for line in running.output if "DIARIZATION_DEVICE is cuda:1" in line]
    assert f"{processes} processes share the cards 0,1,2" in error
    assert "Set DIARIZATION_DEVICE=cuda, or a smaller -c" in error
    assert not running.named("worker_ready")


def test_loading_can_be_left_to_the_first_task(servers: Stack) -> None:
    """With PRELOAD_MODELS=false a worker is ready without the weights."""
    with worker(servers, "-c", "1", "-n", "lazy@%h", PRELOAD_MODELS="false", WHISPER_MODEL="medium") as running:
        running.until(lambda: running.named("worker_ready"))
        assert not running.named("models_loaded")
