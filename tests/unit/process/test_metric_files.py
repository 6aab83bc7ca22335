"""What becomes of the counters of processes that are gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

COUNT = """
import os, signal
from shared.telemetry import metrics
metrics.RUNG_AGAIN.inc(2)
metrics.STAGE_DEATHS.labels("transcribe", "worker_lost").inc()
metrics.STAGE_SECONDS.labels("convert", "", "").observe(3)
os.kill(os.getpid(), signal.SIGKILL)
"""
TELL = """
import os
from pathlib import Path
from prometheus_client import generate_latest
from shared.telemetry import metrics
metrics.RUNG_AGAIN.inc()
registry = metrics.registry(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
for scrape in range(2):
    page = generate_latest(registry).decode()
print(page)
"""

FORK = """
import os, signal, threading, time, warnings
# Python 3.12 warns of every fork beside threads; tasks/worker/forks.py is the answer to it
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from pathlib import Path
from prometheus_client import generate_latest
from shared.telemetry import metrics
metrics.RUNG_AGAIN.inc()
registry = metrics.registry(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
over, children = threading.Event(), []
def scrape():
    while not over.is_set():
        generate_latest(registry)
thread = threading.Thread(target=scrape)
thread.start()
for number in range(20):
    time.sleep(0.01)
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    children.append(child)
over.set()
thread.join(10)
print("stuck" if thread.is_alive() else "free")
for child in children:
    os.kill(child, signal.SIGKILL)
"""


def run(code: str, folder: Path) -> str:
    environ = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    process = subprocess.run((sys.executable, "-c", code), env=environ, capture_output=True, text=True, timeout=60)
    assert process.stderr == ""
    return process.stdout


def samples_of(page: str) -> dict[str, float]:
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.labels.get("le") in (None, "5.0")}


@pytest.mark.parametrize("killed", [1, 3])
def test_what_killed_processes_counted_stays_and_their_files_do_not(tmp_path: Path, killed: int) -> None:
    """However many there were: the sums have all of them, at each scrape, and one file of each kind is left."""
    for _ in range(killed):
        run(COUNT, tmp_path)
    assert len(list(tmp_path.glob("*.db"))) == 2 * killed
    for times in (1, 2):
        samples = samples_of(run(TELL, tmp_path))
        assert samples["parley_rung_again_total"] == 2 * killed + times
        assert samples["parley_stage_deaths_total"] == killed
        assert samples["parley_stage_seconds_bucket"] == killed
        assert samples["parley_stage_seconds_sum"] == 3 * killed
    # those of the process that told last are added up at the next scrape
    assert len(list(tmp_path.glob("counter_*.db"))) == 2
    assert {"counter_gone.db", "histogram_gone.db"} <= {path.name for path in tmp_path.iterdir()}


def test_a_process_that_was_killed_before_it_counted_is_no_fault(tmp_path: Path) -> None:
    """An empty file of a process that is gone is removed."""
    (tmp_path / "counter_4194303.db").touch()  # above the largest process id of most machines
    assert samples_of(run(TELL, tmp_path))["parley_rung_again_total"] == 1
    assert not (tmp_path / "counter_4194303.db").exists()


def test_a_process_that_has_just_begun_to_count_is_no_fault(tmp_path: Path) -> None:
    """Its file is empty for a moment: the scrape tells what all others have counted."""
    empty = tmp_path / f"counter_{os.getpid()}.db"
    empty.touch()
    assert samples_of(run(TELL, tmp_path))["parley_rung_again_total"] == 1
    assert empty.exists()


def test_a_child_that_is_forked_during_a_scrape_does_not_keep_the_next_from_reading(tmp_path: Path) -> None:
    """A pool forks whenever it has lost a child, and Prometheus reads all the time."""
    assert run(FORK, tmp_path) == "free\n"
