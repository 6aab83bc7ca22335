"""What Prometheus is told by the process that counts; api/gauges.py tells it what PostgreSQL knows.

Every label is one of our own names - a stage, an outcome, an error code, a model, a route - and never an id, a key or a
URL, so that the number of series is bounded. Where several processes are one service (the pool of a worker, uvicorn
with more than one worker), they write into the folder that PROMETHEUS_MULTIPROC_DIR names, and one of them reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from shared.telemetry.metric_files import SharedCounters

STAGE_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
WAIT_BUCKETS_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
LIVE_BUCKETS_S = (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
RTF_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
"""Real-time factor: seconds of work per second of audio."""

REQUESTS = Counter("parley_http_requests", "Answers of the gateway", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "parley_http_request_seconds", "Time to answer, bodies and waiting included", ["route"], buckets=REQUEST_BUCKETS_S
)
UPLOAD_BYTES = Counter("parley_upload_bytes", "Bytes of recordings uploaded, parts once they are one recording")
EGRESS_REFUSED = Counter("parley_egress_refused", "Outbound connections that the guard refused", ["code"])

STAGE_RUNS = Counter(
    "parley_stage_runs",
    "Runs of a stage by how they ended: done, reused, failed, interrupted, superseded",
    ["stage", "outcome"],
)
STAGE_FAILURES = Counter("parley_stage_failures", "Failed attempts, those that are tried again too", ["stage", "code"])
STAGE_DEATHS = Counter("parley_stage_deaths", "Stages that no attempt will follow", ["stage", "code"])
STAGE_SECONDS = Histogram(
    "parley_stage_seconds", "Work on a stage that was done", ["stage", "model", "device"], buckets=STAGE_BUCKETS_S
)
STAGE_RTF = Histogram(
    "parley_stage_rtf", "Seconds of work per second of audio", ["stage", "model", "device"], buckets=RTF_BUCKETS
)
AUDIO_SECONDS = Counter("parley_audio_seconds", "Audio that a stage has gone through", ["stage", "model"])
WAIT_SECONDS = Histogram(
    "parley_job_wait_seconds", "From submission until a worker began", ["priority"], buckets=WAIT_BUCKETS_S
)
LEASES_EXPIRED = Counter("parley_leases_expired", "Jobs with a stage taken away from a worker that fell silent")
RUNG_AGAIN = Counter("parley_rung_again", "Stages that were rung again because nobody had come for them")
WEBHOOK_ATTEMPTS = Counter(
    "parley_webhook_attempts",
    "Attempts to deliver a webhook by what follows: delivered, pending (again), failed",
    ["state"],
)
LIVE_FIRST_SECONDS = Histogram(
    "parley_live_first_seconds", "From the beginning of an utterance until its first partial", buckets=LIVE_BUCKETS_S
)
LIVE_FINAL_SECONDS = Histogram(
    "parley_live_final_seconds", "From the end of an utterance until its final", buckets=LIVE_BUCKETS_S
)
LIVE_PARTIALS = Counter(
    "parley_live_partials", "Passes for partials by what became of them: made, skipped", ["outcome"]
)
LIVE_FINALS = Counter("parley_live_finals", "Finals by the model that recognised them", ["model"])
LIVE_STUCK = Counter("parley_live_stuck", "Sessions whose model gave no answer, so that their live worker ended")
SWEEPS = Counter("parley_sweeps", "Runs of the sweep")
ERASED = Counter("parley_erasures_verified", "Deletions that were verified to have left nothing")


# known labels are there from the start: of a counter that begins with 1 Prometheus sees no increase
EGRESS_REFUSED.labels("blocked_address")
for _state in ("delivered", "pending", "failed"):
    WEBHOOK_ATTEMPTS.labels(_state)
for _outcome in ("made", "skipped"):
    LIVE_PARTIALS.labels(_outcome)
LIVE_FINALS.labels("none")  # which models there are is not known; the metric is there from the start, too


class Processes(Collector):
    """prometheus_client's `process_*` for several processes, each figure added up; of their starts the first."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Read from /proc; a process that has just ended tells nothing."""
        metrics: dict[str, Metric] = {}
        for pid in self._pids():
            for metric in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
                total = metrics.setdefault(metric.name, metric)
                if total is not metric:
                    combine = min if metric.name == "process_start_time_seconds" else sum
                    pairs = zip(total.samples, metric.samples, strict=True)
                    total.samples = [one._replace(value=combine((one.value, other.value))) for one, other in pairs]
        yield from metrics.values()


def registry(
    multiprocess_dir: Path | None, *more: Collector, pids: Callable[[], Iterable[int]] | None = None
) -> CollectorRegistry:
    """All that this process, or all processes that share the folder, have to tell; `more` is asked at each scrape.

    `pids` are those whose memory, files and CPU time are told together; without it only this process's are.
    """
    result = CollectorRegistry()
    if multiprocess_dir:
        SharedCounters(result, multiprocess_dir)
        if pids:
            result.register(Processes(pids))
        else:
            ProcessCollector(registry=result)
    else:
        result.register(REGISTRY)
    for collector in more:
        result.register(collector)
    return result
