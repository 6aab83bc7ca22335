"""A model that is no Whisper, the whole way: a real worker whose only model runs by onnx-asr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from scripts.local.apps import API, worker
from scripts.weights.fixtures import fixture
from tests.faults.rig import Rig, eventually, start
from tests.model.onnx_model import NAME, make

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120
ABSENT = "tiny.en"
"""Offered, but its weights are nowhere."""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    models = tmp_path_factory.mktemp("models")
    make(models)
    apps = (API, worker("all", "io,cpu,asr", concurrency=1, threads=1))
    settings = {"engine": "models", "model_dir": models, "device": "cpu", "preload_models": "false"}
    names = {"whisper_model": NAME, "whisper_models": f"{NAME},{ABSENT}"}
    with start(tmp_path_factory.mktemp("onnx"), apps, **settings, **names) as running:
        yield running


def submit(http: httpx.Client, **fields: str) -> httpx.Response:
    return http.post("/transcribe", files={"file": ("jfk.wav", fixture("jfk.wav").read_bytes())}, data=fields)


def test_a_recording_comes_back_in_its_words(rig: Rig) -> None:
    """Upload, recognition, result: words with times, and the model's name."""
    http = rig.caller.http
    answer = submit(http, wait=str(PATIENCE_S))
    assert answer.status_code == 200, answer.text
    result = http.get(f"/result/{answer.json()['task_id']}?timestamp_granularity=word").json()
    assert (result["model"], result["language"]) == (NAME, "en")
    words = [word for segment in result["segments"] for word in segment["words"]]
    assert len(words) > 10
    assert all(0 <= word["start"] <= word["end"] <= 11.1 for word in words)


def test_the_catalogue_says_what_runs_it(rig: Rig) -> None:
    """GET /models has its engine and its languages."""
    models = rig.caller.http.get("/models").json()["models"]
    assert [(model["id"], model["engine"]) for model in models] == [(NAME, "onnx"), (ABSENT, "faster_whisper")]
    assert models[0]["languages"] == ["en"]


def test_the_catalogue_says_what_the_workers_have(rig: Rig) -> None:
    """Nothing is known once the last has ended. Of a new one it is known that one model's weights are there; it is
    loaded from its first task on, and no longer once the process that held it was killed."""
    http = rig.caller.http

    def models_are(installed: list[bool | None], loaded: list[bool | None]) -> Callable[[], bool]:
        def is_so() -> bool:
            models = http.get("/models").json()["models"]
            states = [model["installed"] for model in models], [model["loaded"] for model in models]
            return states == (installed, loaded)

        return is_so

    rig.stack.stop_process("worker-all")
    assert models_are([None, None], [None, None])()
    assert doctor(rig) == {"models": f"{NAME}, {ABSENT}; default {NAME}"}

    rig.stack.start_process("worker-all")
    eventually(models_are([True, False], [False, False]), "a worker without a loaded model", PATIENCE_S)

    answer = submit(http, wait=str(PATIENCE_S), language="en")  # which no task before has asked for
    assert answer.status_code == 200
    eventually(models_are([True, False], [True, False]), "its model is loaded", PATIENCE_S)
    assert doctor(rig) == {
        "models": f"{NAME} (loaded); default {NAME}",
        "weights": f"no worker has those of {ABSENT}; a task with it fails "
        f"(Fetch them for the workers: python -m scripts.download_models --model {ABSENT} (docs/models.md). "
        "Or take them out of the server's WHISPER_MODELS.)",
    }

    worker_pid = rig.stack.pid("worker-all")
    (child,) = Path(f"/proc/{worker_pid}/task/{worker_pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    eventually(models_are([True, False], [False, False]), "the killed process is forgotten", PATIENCE_S)


def doctor(rig: Rig) -> dict[str, str]:
    """What `parley doctor` finds of the models, and what it advises."""
    environ = {"PATH": os.environ["PATH"], "PARLEY_URL": rig.stack.url, "PARLEY_API_KEY": rig.stack.api_key}
    environ |= {"MODEL_DIR": os.devnull, "PARLEY_HOME": os.devnull}  # nothing of this machine is looked at
    argv = (sys.executable, "-m", "cli", "doctor", "--json")
    answer = subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)
    checks = [each for each in json.loads(answer.stdout) if each["name"] in ("models", "weights")]
    return {each["name"]: f"{each['said']} ({each['advice']})" if each["advice"] else each["said"] for each in checks}


@pytest.mark.parametrize(("field", "value"), [("prompt", "Valkey"), ("temperature", "0.2"), ("language", "fr")])
def test_what_the_model_would_not_look_at_is_refused_at_once(rig: Rig, field: str, value: str) -> None:
    """422, and the error names the field."""
    answer = submit(rig.caller.http, model=NAME, **{field: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["detail"] == {"parameter": field}
