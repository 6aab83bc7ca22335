"""Which models are installed, told by the files below MODEL_DIR."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.config import Settings
from tasks.engines import folders

WHISPER = ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
ONNX = ("config.json", "model.onnx")


def config(models: Path, names: str) -> Settings:
    urls = {"database_url": "postgresql+psycopg://x@localhost/x", "redis_url": "redis://localhost:1/0"}
    return Settings.model_validate({**urls, "model_dir": models, "whisper_models": names})


def fill(folder: Path, *files: str) -> None:
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()


def test_installed_models_are_those_whose_files_are_all_there(tmp_path: Path) -> None:
    """By the name of their folder or a short one, and of either engine."""
    fill(tmp_path / "whisper/base", *WHISPER)
    fill(tmp_path / "whisper/large-v3", *WHISPER)
    fill(tmp_path / "onnx/canary-1b-v2", *ONNX)
    offered = config(tmp_path, "tiny,base,large,large-v3,turbo,canary-1b-v2,parakeet-ctc-0.6b")
    assert folders.installed(offered) == ["base", "large", "large-v3", "canary-1b-v2"]


@pytest.mark.parametrize(
    ("folder", "files"),
    [*(("whisper/tiny", set(WHISPER) - {file}) for file in WHISPER), *(("onnx/canary-1b-v2", {file}) for file in ONNX)],
)
def test_a_model_with_a_missing_file_is_not_installed(tmp_path: Path, folder: str, files: set[str]) -> None:
    """Whichever file it is."""
    fill(tmp_path / folder, *files)
    assert folders.installed(config(tmp_path, "tiny,canary-1b-v2")) == []


def test_a_folder_that_cannot_be_read_has_no_model(tmp_path: Path) -> None:
    """A worker that asks for its models is not disturbed by an error of the file system, here of too long a name."""
    fill(tmp_path / "whisper/base", *WHISPER)
    assert folders.installed(config(tmp_path, f"{'x' * 300},base")) == ["base"]
