"""Pools follow what waits, by KEDA's operator and a Prometheus that knows us by deploy/monitoring/kubernetes.yml."""

from __future__ import annotations

import re
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from scripts.bench.recordings import sample_call
from tests.deploy.kubernetes.overlays import uncomment
from tests.kubernetes.node import Node
from tests.kubernetes.trial import OVERLAY, Trial
from tests.kubernetes.watching import MONITORING, RULES, ask

POOLS = ("worker-asr", "worker-diarize")
LIVE = "worker-live"
JOBS = 3
SPOKEN_S = 10
QUIET_S = 10


def replicas(trial: Trial) -> dict[str, int]:
    counts = {each["metadata"]["name"]: each["status"].get("replicas", 0) for each in trial.cluster.get("deployments")}
    return {name: counts[name] for name in POOLS}


def test_everything_is_scraped(trial: Trial, node: Node) -> None:
    """Each gateway, worker and kubelet is a target that answers, under the names that the rules go by; and each volume
    that a pod has, those of the workers with models while there are any. A kubelet looks at them once a minute."""
    trial.cluster.rolled_out()

    def jobs() -> set[str]:
        return {each["metric"]["job"] for each in ask(trial.cluster, "up == 1")}

    def volumes() -> set[str]:
        full = 'node_filesystem_avail_bytes{job="volumes"} / node_filesystem_size_bytes{job="volumes"}'
        return {each["metric"]["mountpoint"] for each in ask(trial.cluster, full)}

    trial.cluster.until(lambda: jobs() == {"parley-api", "parley-worker", "volumes"}, "targets of all jobs")
    trial.cluster.until(
        lambda: {"models", "data-postgres-0", "data-seaweedfs-0"} <= volumes(), "how full the volumes are"
    )


def test_pools_scale_from_nothing_and_back(trial: Trial, node: Node) -> None:
    """Without work there is no worker with models; what is sent then gets one and its result, and some time later
    there is none again. Only how long it has to be quiet is not as we ship it."""
    trial.cluster.run("kubectl -n keda rollout status --timeout=180s deployment/keda-operator")
    uncomment(trial.cluster.checkout / OVERLAY / "kustomization.yaml", "- ../../components/keda")
    scaling = trial.cluster.checkout / "deploy/kubernetes/components/keda/scaling.yaml"
    scaling.write_text(scaling.read_text().replace("cooldownPeriod: 300", f"cooldownPeriod: {QUIET_S}"))
    trial.cluster.run(f"kubectl apply -k {OVERLAY}")
    trial.cluster.until(lambda: not any(replicas(trial).values()), "no worker with models")
    tasks = [
        trial.client.submit(sample_call(), prompt=f"job-{number}", diarization="true", num_speakers=str(3 + number))
        for number in range(JOBS)
    ]
    start = time.monotonic()
    trial.cluster.until(lambda: replicas(trial)["worker-asr"] == 1, "a recogniser")
    asked_s = time.monotonic() - start
    trial.client.results(tasks[0])
    print(f"a recogniser was asked for after {asked_s:.0f} s, the first result came {time.monotonic() - start:.0f} s")
    trial.client.results(*tasks)
    trial.cluster.until(lambda: not any(replicas(trial).values()), "no worker with models again")
    assert {each["metadata"]["name"] for each in trial.cluster.get("scaledobjects") if _ready(each)} == set(POOLS)


def test_live_workers_follow_sessions(trial: Trial, node: Node) -> None:
    """By the two components of the page: somebody listens, and KEDA counts the sessions and leaves the pool to an
    autoscaler of Kubernetes that is to have room for one more. A session in the cluster is heard, and counted."""
    trial.cluster.run("kubectl -n keda rollout status --timeout=180s deployment/keda-operator")
    with _listening(trial):
        _follows_sessions(trial)


@contextmanager
def _listening(trial: Trial) -> Iterator[None]:
    """With the two components of the page, which are taken away again."""
    kustomization = trial.cluster.checkout / OVERLAY / "kustomization.yaml"
    without = kustomization.read_text()
    for component in ("live", "scaled-live"):
        uncomment(kustomization, f"- ../../components/{component}")
    try:
        yield
    finally:
        kustomization.write_text(without)
        own = f"scaledobject/{LIVE} deployment/{LIVE} poddisruptionbudget/{LIVE}"
        trial.cluster.run(f"kubectl -n parley delete --ignore-not-found {own}")


def _follows_sessions(trial: Trial) -> None:
    trial.cluster.run(f"kubectl apply -k {OVERLAY}")
    trial.cluster.run(f"kubectl -n parley rollout status --timeout=180s deployment/{LIVE}")

    def scaled() -> dict[str, Any]:
        (scaler,) = (each for each in trial.cluster.get("scaledobjects") if each["metadata"]["name"] == LIVE)
        return scaler

    trial.cluster.until(lambda: _ready(scaled()) and _ready(scaled(), "Active"), "KEDA has read how many there are", 90)
    own, trigger = scaled()["spec"], scaled()["spec"]["triggers"][0]["metadata"]
    (scaler,) = (
        each["spec"]
        for each in trial.cluster.get("horizontalpodautoscalers")
        if each["spec"]["scaleTargetRef"]["name"] == LIVE
    )
    (metric,) = scaler["metrics"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (own["minReplicaCount"], own["maxReplicaCount"])
    assert metric["external"]["target"] == {"type": "AverageValue", "averageValue": trigger["threshold"]}

    def asked_for() -> list[str]:
        return [each["value"][1] for each in ask(trial.cluster, trigger["query"])]

    trial.cluster.until(lambda: asked_for() == ["1"], "room for one session", 60)
    with wave.open(str(sample_call())) as call:
        rate, samples = call.getframerate(), call.readframes(SPOKEN_S * call.getframerate())
    with ThreadPoolExecutor(1) as pool:
        session = pool.submit(trial.client.ask, f"listen {rate} {QUIET_S}", samples)
        trial.cluster.until(lambda: session.done() or asked_for() == ["2"], "room for one more", 60)
        assert not session.done(), session.result()
        text = " ".join(each["text"] for each in session.result() if each["type"] == "final")
    assert "hello" in text.lower()


def test_every_rule_has_its_metrics(trial: Trial, node: Node) -> None:
    """Whatever an alert or a recording asks about was seen in this cluster, after a recording that is none."""
    trial.client.ask("submit", b"no recording")
    text = "".join((MONITORING / "rules" / name).read_text() for name in RULES)
    names = set(re.findall(r"\b(parley_\w+|node_filesystem_\w+)", text))
    assert len(names) > 12

    def absent() -> set[str]:
        series = ask(trial.cluster, 'count by (__name__) (last_over_time({__name__=~"parley_.+|node_.+"}[1h]))')
        return names - {each["metric"]["__name__"] for each in series}

    trial.cluster.until(lambda: not absent(), "metrics of all rules", timeout_s=60)


def _ready(scaled: dict[str, dict[str, list[dict[str, str]]]], kind: str = "Ready") -> bool:
    conditions = scaled.get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)
