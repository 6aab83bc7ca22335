"""The bench of a card where there is none, and how it tells what fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bench.card.__main__ import outcome, run, why_no_card
from scripts.bench.card.checks import CHECKS, Check
from scripts.weights.fixtures import default_model_dir

ROOT = Path(__file__).resolve().parents[3]
needs_no_card = pytest.mark.skipif(not why_no_card(), reason="this machine has a card")


@needs_no_card
def test_without_a_card_it_says_what_it_would_do() -> None:
    """Every check is named, with the reason why there is no card, and the exit status is 0."""
    process = subprocess.run(
        (sys.executable, "-m", "scripts.bench.card"),
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert why_no_card() in process.stdout
    assert [check.title for check in CHECKS if check.title not in process.stdout] == []


@needs_no_card
def test_what_fails_does_so_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A check that fails is a row with the last that its process said, and the next one runs all the same."""
    broken = Check("nvml", "", 60)
    failed = run((broken, broken), "cuda", default_model_dir())
    rows = capsys.readouterr().out.splitlines()[3:]
    assert failed == 2
    assert len(rows) == 2
    assert all("FAILED: AssertionError: NVML lists no card" in row for row in rows)


def test_what_takes_too_long_is_ended() -> None:
    """A check ends at its limit, with the processes that it has started."""
    _, reason = outcome(Check("recognition", "", 60, arguments=("int8", "8")), "cpu", default_model_dir(), 0.3)
    assert reason == "not done within 0 s"


def test_the_checks_end_within_eight_minutes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the time of the whole is over, what is left is said to have not run."""
    monkeypatch.setattr("scripts.bench.card.__main__.LIMIT_S", 0.0)
    assert run(CHECKS, "cuda", default_model_dir()) == len(CHECKS)
    assert capsys.readouterr().out.count("not run: ") == len(CHECKS)
