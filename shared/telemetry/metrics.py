"""What Prometheus is told by the process that counts; api/gauges.py tells it what PostgreSQL knows.

Every label is one of our own names - a stage, an outcome, an error code, a model, a route - and never an id, a key or a
URL, so that the number of series is bounded. Where several processes are one service (the pool of a worker, uvicorn
with more than one worker), they write into the folder that PROMETHEUS_MULTIPROC_DIR names, and one of them reads it.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from shared.telemetry.metric_files import SharedCounters

STAGE_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
WAIT_BUCKETS_S = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
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
SWEEPS = Counter("parley_sweeps", "Runs of the sweep")
ERASED = Counter("parley_erasures_verified", "Deletions that were verified to have left nothing")


# known labels are there from the start: of a counter that begins with 1 Prometheus sees no increase
EGRESS_REFUSED.labels("blocked_address")
for _state in ("delivered", "pending", "failed"):
    WEBHOOK_ATTEMPTS.labels(_state)


def registry(multiprocess_dir: Path | None, *more: Collector) -> CollectorRegistry:
    """All that this process, or all processes that share the folder, have to tell; `more` is asked at each scrape."""
    result = CollectorRegistry()
    if multiprocess_dir:
        SharedCounters(result, multiprocess_dir)
        ProcessCollector(registry=result)
    else:
        result.register(REGISTRY)
    for collector in more:
        result.register(collector)
    return result
