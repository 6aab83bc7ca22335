"""`python -m tasks.weights`: a pod waits for its weights, and says which."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.engines.folders import WHISPER_FILES

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = {"DATABASE_URL": "postgresql+psycopg://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}


def command(folder: Path, queue: str) -> subprocess.Popen[str]:
    models = {"WHISPER_MODEL": "base", "WHISPER_MODELS": "base,turbo", "MODEL_DIR": str(folder)}
    return subprocess.Popen(
        (sys.executable, "-m", "tasks.weights", queue),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]} | ADDRESSES | models,
    )


def fill(folder: Path, name: str, files: tuple[str, ...]) -> None:
    """As the job does: the model appears as a whole."""
    draft = folder / "draft" / name
    draft.mkdir(parents=True)
    for file in files:
        (draft / file).touch()
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    draft.rename(folder / name)


@pytest.mark.parametrize("queue", ["asr", "diarize"])
def test_a_pod_waits_for_all_weights_of_its_queue(tmp_path: Path, queue: str) -> None:
    """It names the job and a missing file, goes on waiting while one model is missing, and ends with the last."""
    waiting = command(tmp_path, queue)
    try:
        assert waiting.stdout is not None
        first = {"asr": "whisper/base/model.bin", "diarize": "diarization/config.yaml"}[queue]
        assert waiting.stdout.readline().startswith(f"waiting for the job models: {tmp_path / first}")
        if queue == "asr":
            fill(tmp_path, "whisper/base", WHISPER_FILES)
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(4)
            fill(tmp_path, "whisper/large-v3-turbo", WHISPER_FILES)
        else:
            fill(tmp_path, "diarization", ("config.yaml",))
        assert waiting.wait(300) == 0
    finally:
        waiting.kill()
        waiting.communicate()


def test_a_queue_without_models_is_no_queue_to_wait_for(tmp_path: Path) -> None:
    """A misspelt queue is an error, not a pod that waits for ever."""
    process = command(tmp_path, "cpu")
    process.communicate(timeout=300)
    assert process.returncode == 1


def test_a_pod_waits_for_a_model_that_is_no_whisper(tmp_path: Path) -> None:
    """Its folder is another one, and it is brought by hand."""
    fill(tmp_path, "whisper/base", WHISPER_FILES)
    models = {"WHISPER_MODEL": "base", "WHISPER_MODELS": "base,canary-1b-v2", "MODEL_DIR": str(tmp_path)}
    waiting = subprocess.Popen(
        (sys.executable, "-m", "tasks.weights", "asr"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]} | ADDRESSES | models,
    )
    try:
        assert waiting.stdout is not None
        assert f"{tmp_path / 'onnx/canary-1b-v2/config.json'} missing" in waiting.stdout.readline()
        fill(tmp_path, "onnx/canary-1b-v2", ("config.json",))
        assert waiting.wait(300) == 0
    finally:
        waiting.kill()
        waiting.communicate()
