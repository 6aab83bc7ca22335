"""Settings that cannot be used: what the operator is told, and what no log may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.config import Settings

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = {"database_url": "postgresql://x/y", "redis_url": "redis://x/0"}
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
        timeout=300,
        check=False,
    )
    message = started.stderr
    assert started.returncode == 1
    assert message.splitlines()[-2:] == [
        "  DATABASE_URL: Field required",
        "  LEASE_S: Input should be a valid number, unable to parse string as a number",
    ]
    assert "Traceback" not in message and "hidden" not in message + started.stdout


def test_settings_that_are_gone_or_unknown_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """An .env of an older release, here with DIARIZATION_MODE, stops no process."""
    for name, value in {
        "DATABASE_URL": "postgresql://x/y",
        "REDIS_URL": "redis://x/0",
        "DIARIZATION_MODE": "exact",
    }.items():
        monkeypatch.setenv(name, value)
    assert Settings().diarization_clustering == "windows"


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("https://App.example", ("https://app.example",)),
        (" http://localhost:3000 ,https://app.example,", ("http://localhost:3000", "https://app.example")),
    ],
)
def test_origins_are_read_as_browsers_send_them(value: str, origins: tuple[str, ...]) -> None:
    """A list of schemes and hosts, all of them, or none."""
    assert Settings.model_validate({**ADDRESSES, "cors_origins": value}).allowed_origins == origins


@pytest.mark.parametrize("value", ["app.example", "https://app.example/", "https://*.example", "*,https://a.b", "true"])
def test_what_is_no_origin_is_refused(value: str) -> None:
    """It would allow nobody, and no browser would say why."""
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings.model_validate({**ADDRESSES, "cors_origins": value})
