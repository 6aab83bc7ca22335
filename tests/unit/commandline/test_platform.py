"""What `parley doctor` says of the machine that Parley lies on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.programs import program

ROOT = Path(__file__).resolve().parents[3]
LIMIT_S = 60


def findings(folder: Path, *prefix: str) -> list[dict[str, Any]]:
    """What the doctor finds, run in this folder; `prefix` is a program that runs it."""
    (folder / ".parley").mkdir(exist_ok=True)
    command = (*prefix, sys.executable, "-m", "cli", "doctor", "--json", "--url", "http://127.0.0.1:1")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MODEL_DIR": str(folder / "models")}
    process = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert process.returncode == 3, process.stderr
    return list(json.loads(process.stdout))


def finding(folder: Path, *prefix: str) -> dict[str, Any]:
    """Of the platform."""
    (row,) = (each for each in findings(folder, *prefix) if each["name"] == "platform")
    return dict(row)


def test_a_platform_that_parley_runs_on_is_well(tmp_path: Path) -> None:
    """Both processors are named as people know them, and as which numbers recognition computes on this one."""
    name = {"x86_64": "x86-64", "aarch64": "ARM64"}[platform.machine()]
    message = f"Linux on {name}; recognition computes as int8"
    assert finding(tmp_path) == {"name": "platform", "verdict": "ok", "said": message, "advice": ""}


def test_another_platform_is_told_what_to_do(tmp_path: Path) -> None:
    """Where the kernel says that the machine has 32 bits, the doctor fails it and says what to do instead."""
    row = finding(tmp_path, program("setarch"), "linux32")
    messages = {"x86_64": ("Linux on i686", "docs/deploy.md"), "aarch64": ("armv8l, of 32 bits", "Raspberry Pi OS")}
    message, advice = messages[platform.machine()]
    assert row["verdict"] == "fail" and message in row["said"] and advice in row["advice"], row


def test_what_tells_speakers_apart_live_may_be_missing(tmp_path: Path) -> None:
    """That is a note, as live text goes without."""

    def notes() -> list[dict[str, Any]]:
        return [each for each in findings(tmp_path) if "live sessions do not tell speakers apart" in each["said"]]

    (note,) = notes()
    assert (note["verdict"], "download_models" in note["advice"]) == ("note", True)
    embedding = tmp_path / "models" / "speakers" / "wespeaker.onnx"
    embedding.parent.mkdir(parents=True)
    embedding.write_bytes(b"weights")
    assert notes() == []
