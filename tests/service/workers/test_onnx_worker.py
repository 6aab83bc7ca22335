"""A model that is no Whisper, the whole way: a real worker whose only model runs by onnx-asr."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from scripts.local.apps import API, worker
from scripts.weights.fixtures import fixture
from tests.faults.rig import Rig, start
from tests.model.onnx_model import NAME, make

PATIENCE_S = 120


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    models = tmp_path_factory.mktemp("models")
    make(models)
    apps = (API, worker("all", "io,cpu,asr", concurrency=1, threads=1))
    settings = {"engine": "models", "model_dir": models, "whisper_model": NAME, "whisper_models": NAME, "device": "cpu"}
    with start(tmp_path_factory.mktemp("onnx"), apps, **settings) as running:
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
    (model,) = rig.caller.http.get("/models").json()["models"]
    assert (model["id"], model["engine"], model["languages"]) == (NAME, "onnx", ["en"])


@pytest.mark.parametrize(("field", "value"), [("prompt", "Valkey"), ("temperature", "0.2"), ("language", "fr")])
def test_what_the_model_would_not_look_at_is_refused_at_once(rig: Rig, field: str, value: str) -> None:
    """422, and the error names the field."""
    answer = submit(rig.caller.http, model=NAME, **{field: value})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text
    assert answer.json()["detail"] == {"parameter": field}
