"""Pools follow what waits, by KEDA's operator and a Prometheus that knows us by deploy/monitoring/kubernetes.yml."""

from __future__ import annotations

import re
import time

from scripts.bench.recordings import sample_call
from tests.deploy.kubernetes.overlays import uncomment
from tests.kubernetes.node import Node
from tests.kubernetes.trial import OVERLAY, Trial
from tests.kubernetes.watching import MONITORING, RULES, ask

POOLS = ("worker-asr", "worker-diarize")
JOBS = 3
QUIET_S = 10


def replicas(trial: Trial) -> dict[str, int]:
    found = {each["metadata"]["name"]: each["status"].get("replicas", 0) for each in trial.cluster.get("deployments")}
    return {name: found[name] for name in POOLS}


def test_pools_scale_from_nothing_and_back(trial: Trial, node: Node) -> None:
    """Without work there is no worker with models; what is sent then gets one and its result, and some time later
    there is none again. Only how long it has to be quiet is not as we ship it."""
    trial.cluster.run("kubectl -n keda rollout status --timeout=180s deployment/keda-operator")
    uncomment(trial.cluster.checkout / OVERLAY / "kustomization.yaml", "- ../../components/keda")
    scaling = trial.cluster.checkout / "deploy/kubernetes/components/keda/scaling.yaml"
    scaling.write_text(scaling.read_text().replace("cooldownPeriod: 300", f"cooldownPeriod: {QUIET_S}"))
    trial.cluster.run(f"kubectl apply -k {OVERLAY}")
    trial.cluster.until(lambda: not any(replicas(trial).values()), "no worker with models")
    sent = [
        trial.client.submit(sample_call(), prompt=f"job-{number}", diarization="true", num_speakers=str(3 + number))
        for number in range(JOBS)
    ]
    begun = time.monotonic()
    trial.cluster.until(lambda: replicas(trial)["worker-asr"] == 1, "a recogniser")
    asked_s = time.monotonic() - begun
    trial.client.done(sent[0])
    print(f"a recogniser was asked for after {asked_s:.0f} s, the first result came {time.monotonic() - begun:.0f} s")
    trial.client.done(*sent)
    trial.cluster.until(lambda: not any(replicas(trial).values()), "no worker with models again")
    assert {each["metadata"]["name"] for each in trial.cluster.get("scaledobjects") if _ready(each)} == set(POOLS)


def test_everything_is_scraped(trial: Trial, node: Node) -> None:
    """Each gateway, worker and kubelet is a target that answers, under the names that the rules go by."""
    trial.cluster.rolled_out()

    def jobs() -> set[str]:
        return {each["metric"]["job"] for each in ask(trial.cluster, "up == 1")}

    trial.cluster.until(lambda: jobs() == {"parley-api", "parley-worker", "volumes"}, "targets of all jobs")
    full = ask(trial.cluster, 'node_filesystem_avail_bytes{job="volumes"} / node_filesystem_size_bytes{job="volumes"}')
    assert {"models", "data-postgres-0", "data-seaweedfs-0"} <= {each["metric"]["mountpoint"] for each in full}


def test_every_rule_has_its_metrics(trial: Trial, node: Node) -> None:
    """Whatever an alert or a recording asks about was seen in this cluster, after a recording that is none."""
    trial.client.ask("submit", b"no recording")
    text = "".join((MONITORING / "rules" / name).read_text() for name in RULES)
    names = set(re.findall(r"\b(parley_\w+|node_filesystem_\w+)", text))
    assert len(names) > 12

    def absent() -> set[str]:
        seen = ask(trial.cluster, 'count by (__name__) (last_over_time({__name__=~"parley_.+|node_.+"}[1h]))')
        return names - {each["metric"]["__name__"] for each in seen}

    trial.cluster.until(lambda: not absent(), "metrics of all rules", timeout_s=60)


def _ready(scaled: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in scaled["status"]["conditions"])
