"""An upgrade as docs/upgrade.md describes it: one process after the other, while people work."""

from __future__ import annotations

from pathlib import Path

from scripts.bench.rolling import roll


def test_a_rolling_restart_fails_nobody(tmp_path: Path) -> None:
    """Gateways, workers and beat are restarted below load: no request fails, no stream is torn off, no task is lost."""
    report = roll(tmp_path / "home", rounds=1)
    assert report.requests > 20
    assert report.tasks > 4
    assert report.followed > 0
    assert report.failures == []
    assert report.lost == []
