"""What Prometheus is told by a stack that has done work."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.local.stack import Stack
from shared.stages import STAGES, queues
from tests.e2e.polling import TIMEOUT_S, until
from tests.unit.intake.outside import tone

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def task(http: httpx.Client) -> str:
    """A task that is done, and one that died."""
    submission = http.post("/transcribe", files={"file": ("a.wav", tone(1.5))}, data={"diarization": "true"}).json()
    dead = http.post("/transcribe", files={"file": ("b.wav", b"no audio" * 1000)}).json()
    until(lambda: http.get(f"/status/{submission['task_id']}").json()["status"] == "done", "a transcript")
    until(lambda: http.get(f"/status/{dead['task_id']}").json()["status"] == "error", "a refusal")
    return str(submission["task_id"])


def scrape(url: str) -> Samples:
    """Every sample of a page of metrics, by name and labels."""
    answer = httpx.get(url, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def total(samples: Samples, name: str, **labels: Any) -> float:
    """The sum of a metric over all labels that are not named."""
    return sum(value for (own, having), value in samples.items() if own == name and set(labels.items()) <= having)


def pages_of_workers(stack: Stack) -> list[Samples]:
    """Those of `io`, `asr` and `diarize`, once each has counted what it has done of a task; else none."""
    runs = {"io": "convert", "asr": "transcribe", "diarize": "diarize"}
    pages = [scrape(stack.metrics_urls[f"worker-{name}"]) for name in runs]
    counted = [
        total(page, "parley_stage_runs_total", stage=stage, outcome="done")
        for page, stage in zip(pages, runs.values(), strict=True)
    ]
    return pages if all(counted) else []


def test_workers_tell_what_their_pools_did(stack: Stack, task: str) -> None:
    """Runs, seconds, audio and deaths are counted by the children and told by their parent."""
    io, asr, diarize = until(lambda: pages_of_workers(stack), "each run is counted, a moment after its answer is there")
    assert total(io, "parley_stage_runs_total", stage="convert", outcome="done") >= 1
    assert total(io, "parley_stage_deaths_total", stage="convert") >= 1
    assert total(io, "parley_stage_failures_total", stage="convert") >= 1
    assert total(io, "parley_job_wait_seconds_count", priority="normal") >= 2
    assert total(io, "parley_sweeps_total") >= 1
    assert total(asr, "parley_stage_seconds_count", stage="transcribe", device="cpu") >= 1
    assert total(asr, "parley_audio_seconds_total", stage="transcribe") >= 1.5
    assert total(asr, "parley_stage_rtf_sum", stage="transcribe") > 0
    assert total(diarize, "parley_stage_runs_total", stage="diarize", outcome="done") >= 1
    assert all(total(samples, "parley_worker_resident_bytes") > 50 << 20 for samples in (io, asr, diarize))


def test_the_gateway_tells_of_itself_and_of_the_service(stack: Stack, task: str) -> None:
    """Requests by route, uploaded bytes, and every queue with its workers, empty ones too."""
    samples = scrape(stack.metrics_urls["api"])
    assert total(samples, "parley_http_requests_total", method="POST", route="/transcribe", status="202") >= 2
    assert total(samples, "parley_upload_bytes_total") >= 8000
    assert total(samples, "parley_database_up") == 1
    for stage in STAGES:
        assert ("parley_queue_depth", frozenset({("stage", stage), ("priority", "normal")})) in samples
    for queue in queues():
        assert total(samples, "parley_workers", queue=queue) == 1


def test_uploaded_bytes_count_once_by_whichever_way_they_come(stack: Stack, http: httpx.Client) -> None:
    """In a form, and in parts, one of them twice. tests/service/uploads has those that go straight to a bucket."""
    recordings = [tone(seconds) for seconds in (1.1, 1.2)]
    before = total(scrape(stack.metrics_urls["api"]), "parley_upload_bytes_total")
    assert http.post("/transcribe", files={"file": ("a.wav", recordings[0])}).status_code == 202
    upload = http.post("/uploads", json={"filename": "a.wav", "bytes": len(recordings[1])}).json()
    (part,) = upload["parts"]
    for _ in range(2):
        assert http.put(part["path"], content=recordings[1]).status_code == 200
    assert http.post(f"/uploads/{upload['upload_id']}/complete").status_code == 200
    after = total(scrape(stack.metrics_urls["api"]), "parley_upload_bytes_total")
    assert after - before == sum(map(len, recordings))


def test_labels_are_bounded(stack: Stack, http: httpx.Client, task: str) -> None:
    """No id, no made-up path and no made-up method ever becomes a series."""
    before = scrape(stack.metrics_urls["api"])
    for _ in range(20):
        http.get(f"/status/{uuid.uuid4()}")
        http.get(f"/nowhere/{uuid.uuid4()}")
        http.request("BREW", f"/{uuid.uuid4()}")
    after = scrape(stack.metrics_urls["api"])
    assert task not in str(after)
    assert total(after, "parley_http_requests_total") >= total(before, "parley_http_requests_total") + 60
    requests = {key for key in after.keys() - before.keys() if key[0] == "parley_http_requests_total"}
    assert len(requests) <= 3
