"""Parts of it end while somebody waits for them."""

from __future__ import annotations

import io
import wave
from datetime import UTC, datetime

from scripts.bench.recordings import sample_call
from tests.kubernetes.node import Node
from tests.kubernetes.trial import Trial

REPEATS = 6


def long_call() -> bytes:
    """The sample call again and again: three minutes, of which a recogniser is not done before somebody can end it."""
    packed = io.BytesIO()
    with wave.open(str(sample_call())) as source, wave.open(packed, "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(source.getnframes()) * REPEATS)
    return packed.getvalue()


def test_gateways_restart_under_a_client_that_polls(trial: Trial) -> None:
    """Not one of its requests fails, on new connections or on one that is kept."""
    task_id = trial.client.submit(sample_call())
    with trial.client.poll(task_id) as polling:
        trial.cluster.run("kubectl -n parley rollout restart deployment/api")
        trial.cluster.run("kubectl -n parley rollout status --timeout=300s deployment/api", timeout_s=310)
    assert polling.counts["answers"] > 100
    assert polling.counts["failures"] == []
    trial.client.results(task_id)


def test_a_recogniser_that_is_deleted_by_force_loses_no_job(trial: Trial) -> None:
    """Its pod goes without a word in mid-job; the one that takes its place ends the job."""
    delete = "kubectl -n parley delete pod --grace-period=0 --force -l app.kubernetes.io/name=worker-asr"
    task_id, began = trial.client.begin(long_call(), delete, prompt="force")
    trial.client.results(task_id)
    assert trial.client.ask(f"began {task_id}") > began
    trial.cluster.rolled_out()


def test_a_node_that_dies_comes_back_with_everything(trial: Trial, node: Node) -> None:
    """Its power fails with a job under way: pods come back by themselves, servers with what they had; the job ends."""
    before = trial.client.submit(sample_call())
    trial.client.results(before)
    under_way, _ = trial.client.begin(long_call(), prompt="power")
    killed_at = datetime.now(UTC).isoformat()
    node.kill()
    node.start()
    trial.cluster.until(lambda: not _away(trial, killed_at), "all containers are back")
    trial.client.results(before, under_way)
    assert trial.client.ask(f"began {under_way}") > killed_at


def _away(trial: Trial, since: str) -> list[str]:
    """Pods of which a container has not started, or is not ready, since that time."""
    return [
        pod["metadata"]["name"]
        for pod in trial.cluster.get("pods", "-A")
        if pod["status"]["phase"] != "Succeeded"
        for status in pod["status"].get("containerStatuses", ({"ready": False},))
        if not status["ready"] or status["state"]["running"]["startedAt"] < since
    ]
