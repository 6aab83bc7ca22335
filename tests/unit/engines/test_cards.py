"""What a worker tells of graphics cards, some of which tell little themselves. Those are made up, and the driver is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = '''
class NVMLError(Exception):
    """As NVIDIA's module raises it."""

class Memory:
    used, total = 3 << 30, 8 << 30

class Rates:
    gpu = 40

SILENT = {silent!r}

def _told(figure, card, value):
    if (figure, card) in SILENT:
        raise NVMLError(figure)
    return value

def nvmlInit(): _told("init", None, None)
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return _told("count", None, 3)
def nvmlDeviceGetHandleByIndex(number): return _told("handle", number, number)
def nvmlDeviceGetMemoryInfo(card): return _told("memory", card, Memory)
def nvmlDeviceGetUtilizationRates(card): return _told("utilization", card, Rates)
'''
ASK = """
from prometheus_client import CollectorRegistry, generate_latest
from tasks.worker.metrics import Cards
registry = CollectorRegistry()
registry.register(Cards())
print(generate_latest(registry).decode())
"""


def cards(folder: Path, *silent: tuple[str, int | None]) -> dict[str, set[str]]:
    """The numbers of the cards that each metric has a value of, asked in a process that finds our driver."""
    (folder / "pynvml.py").write_text(DRIVER.format(silent=set(silent)))
    path = os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))
    process = subprocess.run(
        (sys.executable, "-c", ASK), env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=300
    )
    assert process.stderr == ""
    cards_by_metric: dict[str, set[str]] = {
        "memory_used_bytes": set(),
        "memory_total_bytes": set(),
        "utilization_ratio": set(),
    }
    for line in process.stdout.splitlines():
        if line.startswith("parley_gpu_"):
            name, _, rest = line.partition("{")
            cards_by_metric[name.removeprefix("parley_gpu_")].add(rest.split('"')[1])
    return cards_by_metric


ALL = {"0", "1", "2"}


@pytest.mark.parametrize(
    ("silent", "with_memory", "with_utilization"),
    [
        ([], ALL, ALL),
        ([("utilization", 1)], ALL, {"0", "2"}),
        ([("memory", 0), ("utilization", 2)], {"1", "2"}, {"0", "1"}),
        ([("handle", 1)], {"0", "2"}, {"0", "2"}),
        ([("count", None)], set(), set()),
        ([("init", None)], set(), set()),
    ],
    ids=["all", "no utilization", "each something else", "a lost card", "no count", "no driver"],
)
def test_unresponsive_gpu_does_not_hide_the_others(
    tmp_path: Path, silent: list[tuple[str, int | None]], with_memory: set[str], with_utilization: set[str]
) -> None:
    """What can be told is told; what a card does not support is left out, and the page of metrics stays whole."""
    cards_by_metric = cards(tmp_path, *silent)
    assert cards_by_metric == {
        "memory_used_bytes": with_memory,
        "memory_total_bytes": with_memory,
        "utilization_ratio": with_utilization,
    }
