"""The libraries that the processes of the stack have in memory, with real models, after a task of every stage."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from scripts.bench.client import Client
from scripts.bench.soak.truth import Truth
from scripts.local import processes
from scripts.local.stack import Stack
from tests.conftest import MODELS
from tests.faults.rig import PATIENCE_S, eventually

RECOGNITION = {"av", "ctranslate2", "onnxruntime", "tokenizers"}
EVERYTHING = RECOGNITION | {"numpy", "opencc", "scipy", "torch"}
SETTINGS = {
    "OBJECT_STORE": "",
    "MODEL_DIR": str(MODELS),
    "WHISPER_MODEL": "tiny.en",
    "CPU_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """As `make run` starts it, when it has done one task that tells speakers apart."""
    with Stack(tmp_path_factory.mktemp("lean"), environ=dict(os.environ) | SETTINGS) as running:
        truth = Truth(running)
        eventually(lambda: {"io", "cpu", "asr", "diarize"} <= truth.queues(), "every queue has a worker", PATIENCE_S)
        client = Client(running.url, running.api_key)
        task_id = client.submit(MODELS / "fixtures" / "jfk.wav", language="en", diarization="true")
        client.wait(task_id)
        transcript = client.result(task_id)
        assert "country" in transcript["full_text"]
        assert len(transcript["speakers"]) == 1  # diarization has done its work, and not only failed
        yield running


def packages(pid: int) -> set[str]:
    """Packages of site-packages of which this process has a library in memory."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except OSError:  # it has just ended
        return set()
    return set(re.findall(r"/site-packages/(\w+?)(?:\.libs)?/", maps))


def of(stack: Stack, name: str) -> tuple[set[str], set[str]]:
    """Packages of a program's first process, and those of its children."""
    first = stack.pid(name)
    assert first is not None
    children = [packages(pid) for pid in processes.members(first) if pid != first]
    return packages(first), set().union(*children)


@pytest.mark.parametrize("name", ["api", "flower", "worker-io"])
def test_programs_without_models_have_no_part_of_them(stack: Stack, name: str) -> None:
    """The gateway, Flower and the worker that fetches, decodes, merges and stores have no numpy and nothing heavier."""
    first, children = of(stack, name)
    assert (first | children) & EVERYTHING == set()
    assert first & {"pydantic_core", "psycopg_binary"}  # the search finds what is there


@pytest.mark.parametrize("name", ["worker-asr", "worker-diarize"])
def test_main_processes_of_models_workers_have_none(stack: Stack, name: str) -> None:
    """What loads models are the children; the process that fetches rings for them has nothing of it."""
    first, children = of(stack, name)
    assert first & EVERYTHING == set()
    assert children & EVERYTHING


def test_each_model_has_its_own_process(stack: Stack) -> None:
    """Where speech is recognised there is no torch, where speakers are told apart no CTranslate2."""
    assert of(stack, "worker-asr")[1] & {"ctranslate2", "torch"} == {"ctranslate2"}
    assert of(stack, "worker-diarize")[1] & {"ctranslate2", "torch"} == {"torch"}


def test_speakers_are_told_apart_without_what_pyannote_trains_with(stack: Stack) -> None:
    """The process has nothing of the packages that pyannote imports to train, to evaluate and to draw."""
    children = of(stack, "worker-diarize")[1]
    assert children & {"PIL", "matplotlib", "onnxruntime", "pandas", "sklearn"} == set()
    assert {"scipy", "torch"} <= children


def test_flower_has_no_database(stack: Stack) -> None:
    """Flower names tasks and runs none: it has neither SQLAlchemy nor psycopg."""
    assert of(stack, "flower")[0] & {"psycopg_binary", "sqlalchemy"} == set()


def test_the_stack_has_no_clock_to_die(stack: Stack) -> None:
    """There is no beat: the sweep runs all the same, in the workers, which count it."""

    def swept() -> float:
        pages = [httpx.get(url, timeout=10).text for name, url in stack.metrics_urls.items() if name != "api"]
        return sum(float(count) for page in pages for count in re.findall(r"^parley_sweeps_total (\S+)$", page, re.M))

    assert "beat" not in stack.names()
    before = swept()
    eventually(lambda: swept() > before, "a worker has swept", PATIENCE_S)
