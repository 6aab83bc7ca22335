"""The harness at the size that is promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench.soak.__main__ import summary
from scripts.bench.soak.harness import run

KILLS, JOBS = 200, 500


@pytest.mark.timeout(1800)
def test_two_hundred_random_kills_over_five_hundred_jobs_lose_and_double_nothing(tmp_path: Path) -> None:
    """Every acknowledged job ends with one transcript of its own; storage holds what the rows say and nothing else."""
    outcome = run(tmp_path, jobs=JOBS, kills=KILLS, seed=JOBS, report=print)
    print(summary(outcome))
    assert outcome.is_clean, summary(outcome)
    assert outcome.kills.total() >= KILLS
    assert outcome.tasks >= JOBS
