"""Settings that cannot be used: what the operator is told, and what no log may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.config import Settings

ROOT = Path(__file__).resolve().parents[3]
SECRETS = {
    "REDIS_URL": "redis://:hidden-one@localhost/0",
    "API_KEY": "hidden-two",
    "AWS_SECRET_ACCESS_KEY": "hidden-three",
    "LEASE_S": "hidden-four",
}


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "api.server"),
        ("-m", "shared.db", "upgrade"),
        ("-m", "celery", "-A", "tasks.app", "worker"),
        ("-m", "celery", "-A", "tasks.app", "beat"),
    ],
    ids=" ".join,
)
def test_missing_and_wrong_settings_are_named_and_no_secret_is(command: tuple[str, ...]) -> None:
    """Each process ends at once and says which variables and why, in a line each, and nothing of their values."""
    started = subprocess.run(
        (sys.executable, *command),
        env={"PATH": os.environ["PATH"], **SECRETS},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = started.stderr
    assert started.returncode == 1
    assert said.splitlines()[-2:] == [
        "  DATABASE_URL: Field required",
        "  LEASE_S: Input should be a valid number, unable to parse string as a number",
    ]
    assert "Traceback" not in said and "hidden" not in said + started.stdout


def test_settings_that_are_gone_or_unknown_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """An .env of an older release, here with DIARIZATION_MODE, stops no process."""
    for name, value in {
        "DATABASE_URL": "postgresql://x/y",
        "REDIS_URL": "redis://x/0",
        "DIARIZATION_MODE": "exact",
    }.items():
        monkeypatch.setenv(name, value)
    assert Settings().diarization_clustering == "windows"
