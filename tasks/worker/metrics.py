"""A worker's own /metrics: what its pool has counted, its memory, and the graphics cards it can see."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Metric, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from shared.config import Settings
from shared.telemetry.logs import get_logger
from shared.telemetry.metrics import registry
from shared.telemetry.peers import may_read_metrics
from tasks.worker.forks import no_fork

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication

log = get_logger(__name__)


def serve(config: Settings, *more: Collector) -> None:
    """Answer on METRICS_PORT from a thread of the worker's parent process; a port of 0 is none."""
    if not config.metrics_port:
        return
    page = CollectorRegistry()
    collectors = (Memory(), Scratch(config.scratch_dir), Cards(), *more)
    page.register(Guarded(registry(config.prometheus_multiproc_dir, *collectors)))
    try:
        family, *_, address = socket.getaddrinfo(
            config.metrics_host, config.metrics_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        kind: type[ThreadingWSGIServer] = type("Server", (ThreadingWSGIServer,), {"address_family": family})
        door = Door(make_wsgi_app(page), config.metrics_token_file)
        server = make_server(str(address[0]), config.metrics_port, door, kind, handler_class=Handler)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    except OSError as error:
        log.warning("metrics_port_taken", port=config.metrics_port, reason=type(error).__name__)


class Handler(WSGIRequestHandler):
    """Logs nothing, waits for nobody for long, and knows who has connected to which address."""

    timeout = 10

    def get_environ(self) -> dict[str, Any]:
        """The request, for WSGI."""
        connected = {"peer": self.client_address[:2], "here": self.connection.getsockname()[:2]}
        return {**super().get_environ(), **connected}

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Door:
    """Before `page`: other users of the same machine need the token (shared/telemetry/peers.py)."""

    def __init__(self, page: WSGIApplication, token_file: Path | None) -> None:
        self._page, self._token_file = page, token_file

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        authorization = environ.get("HTTP_AUTHORIZATION")
        if may_read_metrics(self._token_file, authorization, environ["peer"], environ["here"]):
            return self._page(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
        return []


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
