"""The real models where memory is short: each case in a process whose address space has a limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.weights.fixtures import default_model_dir

ROOT = Path(__file__).parents[2]

PRELUDE = f"""
import json, os, resource
from pathlib import Path
from shared.config import Settings
from shared.errors import ModelTooLarge
from tasks.engines import faster_whisper, loading as engines, memory, whisper  # the libraries, before any limit

config = Settings.model_validate(
    dict(database_url="postgresql+psycopg://x@localhost/x", redis_url="redis://localhost:1/0", device="cpu",
         model_dir={str(default_model_dir())!r}, cpu_threads=1)
)
def pages(column):
    return int(Path("/proc/self/statm").read_text().split()[column]) * os.sysconf("SC_PAGE_SIZE")

def leave(more_bytes):
    limit = pages(0) + more_bytes if more_bytes else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

MB = 10**6
"""


def run(program: str) -> Any:
    """What the program puts into `answer`, run in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", f"{PRELUDE}\n{program}\nprint(json.dumps(answer))"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


@pytest.mark.parametrize("call", ['engines.whisper(config, "base")', "engines.diarization(config)"])
def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(call: str) -> None:
    """With 200 MB left the error says what is needed and what there is, and next to nothing was taken."""
    answer = run(
        f"leave(200 * MB); before = pages(1)\n"
        f"try:\n    {call}\n"
        f"except ModelTooLarge as error:\n    answer = error.message, error.detail, pages(1) - before"
    )
    message, detail, growth = answer
    assert "0.20 GB are free" in message
    assert detail["needed_bytes"] > 200_000_000 >= detail["free_bytes"]
    assert growth < 10_000_000


def test_models_of_other_tasks_make_room() -> None:
    """A model for which there is room only without the one that was asked for before is loaded in its place."""
    first, names = run(
        'engines.whisper(config, "base"); before = pages(1)\n'
        'needed = whisper.Engine(config.model_dir / "whisper" / "tiny.en", "cpu", "int8", 1).memory_bytes\n'
        "leave(needed - 20 * MB)\n"
        'model = engines.whisper(config, "tiny.en")\n'
        'answer = model is engines.whisper(config, "tiny.en"), [e.folder.name for e in engines._models]'
    )
    assert (first, names) == (True, ["tiny.en"])


def test_models_that_are_let_go_leave_their_memory() -> None:
    """After letting go, what the model took is the system's again, and the next call loads it anew."""
    loaded, remaining, count, again = run(
        'engines.whisper(config, "tiny.en"); engines.let_go(); empty = pages(1)\n'  # the libraries are in memory now
        'engines.whisper(config, "base"); loaded = pages(1) - empty\n'
        "count = engines.let_go(); left = pages(1) - empty\n"
        'answer = loaded, left, count, engines.whisper(config, "base").device'
    )
    assert (count, again) == (1, "cpu")
    assert loaded > 100_000_000
    assert remaining < 20_000_000


def test_a_model_that_is_used_makes_no_room() -> None:
    """It stays while a live session uses it, and the other one is refused; afterwards it goes."""
    refused, during, after = run(
        'needed = whisper.Engine(config.model_dir / "whisper" / "tiny.en", "cpu", "int8", 1).memory_bytes\n'
        "names = lambda: [e.folder.name for e in engines._models]\n"
        'with engines.in_use(engines.whisper(config, "base")):\n'
        "    leave(needed - 20 * MB)\n"
        '    try:\n        engines.whisper(config, "tiny.en"); refused = False\n'
        "    except ModelTooLarge:\n        refused = True\n"
        "    during = names()\n"
        'engines.whisper(config, "tiny.en")\n'
        "answer = refused, during, names()"
    )
    assert (refused, during, after) == (True, ["base"], ["tiny.en"])
