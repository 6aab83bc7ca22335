"""The file by which health checks know that beat lives."""

from __future__ import annotations

import importlib
import os
import shelve
import time
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.apps.beat import Beat
from kombu.utils.imports import symbol_by_name

from tasks.beat import Schedule

BACKENDS = ("dbm.gnu", "dbm.ndbm", "dbm.dumb", "dbm.sqlite3")
OLD_S = 1000


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_file_of_a_beat_that_lives_is_new(tmp_path: Path, backend: str) -> None:
    """Whatever library keeps the schedule, and in whatever file system, each writing makes its file new."""
    try:
        opener: Any = importlib.import_module(backend)
    except ImportError:
        pytest.skip(f"this Python has no {backend}")
    file = tmp_path / "beat-schedule"
    scheduler = Schedule(Celery("test"), lazy=True, schedule_filename=str(file))
    store = shelve.Shelf[dict[str, object]](opener.open(str(file), "c"), writeback=True)
    store["entries"] = {}
    scheduler._store = store  # type: ignore[attr-defined]
    scheduler.sync()
    parts = list(tmp_path.iterdir())
    assert parts
    for part in parts:
        os.utime(part, (time.time() - OLD_S,) * 2)
    scheduler.sync()  # nothing has changed, as in a quiet three minutes
    assert max(time.time() - part.stat().st_mtime for part in tmp_path.iterdir()) < OLD_S / 2


def test_beat_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler that `celery beat` takes from our app is this one."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://127.0.0.1:1/none")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    from tasks.app import make_app

    beat: Any = Beat(app=make_app())  # its stubs lack the attribute
    assert symbol_by_name(beat.scheduler_cls) is Schedule
