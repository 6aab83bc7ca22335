"""`python -m tasks.live`: listen to live sessions until SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.config import settings
from shared.db.tables import wait_until_reached
from shared.telemetry.logs import configure_logging
from tasks.live.worker import LiveWorker
from tasks.worker import metrics


class Lag(Collector):
    """How far behind the worker is."""

    def __init__(self, worker: LiveWorker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Of the session that is furthest behind."""
        text = "Sound of a live session that has arrived and is not heard yet, the most of any session"
        yield GaugeMetricFamily("parley_live_lag_seconds", text, self._worker.behind_s())


def main() -> int:
    """Returns when all sessions are handed over."""
    config = settings()
    configure_logging(config, "worker")
    if not wait_until_reached():
        return 1
    worker = LiveWorker(config)

    def stop(*_: Any) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    metrics.serve(config, Lag(worker))
    worker.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
