"""Forks of a process whose threads are at work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORKS = 60
CHILD_TIMEOUT_S = 120
"""A child does next to nothing: if it takes this long, it hangs."""

BESIDE_THREADS = """
import os, select, sys, threading, time, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
sys.setswitchinterval(1e-5)
from pathlib import Path
from prometheus_client import generate_latest
from shared.telemetry import metrics
from tasks.worker.forks import no_fork
registry = metrics.registry(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
over = threading.Event()
def count():
    while not over.is_set():
        with no_fork():
            for _ in range(100):
                metrics.RUNG_AGAIN.inc()
                metrics.STAGE_DEATHS.labels("transcribe", "worker_lost").inc()
        time.sleep(0.0001)
def scrape():
    while not over.is_set():
        with no_fork():
            generate_latest(registry)
        time.sleep(0.001)
threads = [threading.Thread(target=work, daemon=True) for work in (count, count, scrape)]
for thread in threads:
    thread.start()
hung = 0
for _ in range(int(sys.argv[2])):
    ended, end = os.pipe()
    child = os.fork()
    if not child:
        with no_fork():
            metrics.RUNG_AGAIN.inc()
            metrics.STAGE_DEATHS.labels("transcribe", "worker_lost").inc()
        os.write(end, b".")
        os._exit(0)
    os.close(end)
    if not select.select([ended], [], [], float(sys.argv[1]))[0]:
        hung += 1
        os.kill(child, 9)
    os.waitpid(child, 0)
    os.close(ended)
    if hung:
        break
over.set()
print(hung)
sys.stdout.flush()
os._exit(0)
"""

BESIDE_A_COUNTER = """
import os, select, sys, threading, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from shared.telemetry import metrics
counting = threading.Event()
class Slow(float):
    def __radd__(self, value):  # prometheus_client adds it while it holds its lock
        counting.set()
        threading.Event().wait()
threading.Thread(target=metrics.RUNG_AGAIN.inc, args=(Slow(1),), daemon=True).start()
counting.wait()
ended, end = os.pipe()
child = os.fork()
if not child:
    metrics.RUNG_AGAIN.inc()
    os.write(end, b".")
    os._exit(0)
os.close(end)
print("ended" if select.select([ended], [], [], float(sys.argv[1]))[0] else "hangs")
os.kill(child, 9)
os.waitpid(child, 0)
sys.stdout.flush()
os._exit(0)
"""

SLOW_THREAD = """
import os, threading, time, warnings
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from tasks.worker import forks
forks.PATIENCE_S = float(os.environ["PATIENCE_S"])
begun, over = threading.Event(), threading.Event()
def work():
    with forks.no_fork():
        begun.set()
        over.wait(float(os.environ["WORK_S"]))
        over.set()
thread = threading.Thread(target=work)
thread.start()
begun.wait()
child = os.fork()
if not child:
    with forks.no_fork():  # the child's own guard is free
        os._exit(0)
print("after" if over.is_set() else "during", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
over.set()
with forks.no_fork():  # and so is the parent's
    thread.join()
"""


def run(code: str, *arguments: str, **environ: str) -> str:
    process = subprocess.run(
        (sys.executable, "-c", code, *arguments),
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert process.stderr == ""
    return process.stdout


def test_a_child_forked_while_threads_count_does_not_hang(tmp_path: Path) -> None:
    """Its first counter is free, however often and whenever the process forks."""
    assert run(BESIDE_THREADS, str(CHILD_TIMEOUT_S), str(FORKS), PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == "0\n"


def test_without_the_guard_such_a_child_hangs(tmp_path: Path) -> None:
    """This is what the guard is for: once prometheus_client's lock survives a fork, it can go."""
    assert run(BESIDE_A_COUNTER, "3", PROMETHEUS_MULTIPROC_DIR=str(tmp_path)) == "hangs\n"


@pytest.mark.parametrize(("patience_s", "work_s", "forked"), [("60", "0.5", "after"), ("0.5", "60", "during")])
def test_a_fork_waits_for_work_and_not_for_ever(patience_s: str, work_s: str, forked: str) -> None:
    """It comes when the thread is done, or when its patience is over; guards of parent and child work afterwards."""
    assert run(SLOW_THREAD, PATIENCE_S=patience_s, WORK_S=work_s) == f"{forked} 0\n"
