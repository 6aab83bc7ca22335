"""A worker's own /metrics: what its pool has counted, its memory, and the graphics cards it can see."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.config import Settings
from shared.metrics import registry
from shared.telemetry import get_logger
from tasks.forks import no_fork

log = get_logger(__name__)


def serve(config: Settings) -> None:
    """Answer on METRICS_PORT from a thread of the worker's parent process; a port of 0 is none."""
    if not config.metrics_port:
        return
    page = CollectorRegistry()
    page.register(Guarded(registry(config.prometheus_multiproc_dir, Memory(), Scratch(config.scratch_dir), Cards())))
    try:
        start_http_server(config.metrics_port, config.metrics_host, page)
    except OSError as error:
        log.warning("metrics_port_taken", port=config.metrics_port, reason=type(error).__name__)


class Guarded(Collector):
    """What `inner` tells, asked while the pool does not fork."""

    def __init__(self, inner: CollectorRegistry) -> None:
        self._inner = inner

    def collect(self) -> Iterator[Metric]:
        """All at once: a slow reader keeps nobody from forking."""
        with no_fork():
            metrics = list(self._inner.collect())
        yield from metrics


class Memory(Collector):
    """Resident memory of the worker: its parent, the children of its pool, and their own children."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read from /proc."""
        total = sum(_resident_bytes(pid) for pid in _family(os.getpid()))
        yield GaugeMetricFamily("parley_worker_resident_bytes", "Resident memory of all its processes", float(total))


class Scratch(Collector):
    """The file system in which running stages keep their temporary files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Nothing before the folder exists."""
        if self._folder.exists():
            usage = shutil.disk_usage(self._folder)
            yield GaugeMetricFamily("parley_scratch_free_bytes", "Free space below SCRATCH_DIR", float(usage.free))
            yield GaugeMetricFamily("parley_scratch_size_bytes", "Size of that file system", float(usage.total))


def _family(pid: int) -> Iterator[int]:
    yield pid
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:  # the thread has just ended
            continue
        for child in children:
            yield from _family(int(child))


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # it has just ended
        return 0


class Cards(Collector):
    """Memory and utilisation of NVIDIA's cards, by NVML; nothing where there is no driver."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Cards are told apart by their number. What a card does not tell, as utilisation under MIG, is left out."""
        import pynvml  # type: ignore[import-untyped]

        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        used = GaugeMetricFamily("parley_gpu_memory_used_bytes", "Memory in use", labels=["gpu"])
        total = GaugeMetricFamily("parley_gpu_memory_total_bytes", "Memory of the card", labels=["gpu"])
        busy = GaugeMetricFamily("parley_gpu_utilization_ratio", "Share of time in which it worked", labels=["gpu"])
        with suppress(pynvml.NVMLError):
            for number in range(pynvml.nvmlDeviceGetCount()):
                with suppress(pynvml.NVMLError):
                    memory = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(number))
                    used.add_metric([str(number)], float(memory.used))
                    total.add_metric([str(number)], float(memory.total))
                with suppress(pynvml.NVMLError):
                    rates = pynvml.nvmlDeviceGetUtilizationRates(pynvml.nvmlDeviceGetHandleByIndex(number))
                    busy.add_metric([str(number)], rates.gpu / 100)
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
        yield from (used, total, busy)
