"""Parley on an empty cluster, by the commands of docs/kubernetes.md."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.recordings import sample_call
from tests.deploy.documented import blocks, section
from tests.kubernetes.cluster import Client, Cluster

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = "deploy/kubernetes/overlays/cpu"
FILLERS = 4
SPARE_MILLICORES = 10


@dataclass
class Trial:
    """What there is when the page was followed: the cluster, what it answered, and a client that has the key."""

    cluster: Cluster
    client: Client
    api_key: str
    answer: str
    passed_over: int
    """Pods of the filled cluster that had lost their place when tables and weights were there."""


def follow(cluster: Cluster) -> Trial:
    """Type what the page says, on a cluster whose processors are all spoken for; make room when `migrate` is done."""
    setting_up, asking = blocks(section(ROOT / "docs" / "kubernetes.md", "A trial without cards"))
    *first, last = setting_up
    assert f"kubectl apply -k {OVERLAY}" in first
    assert len(setting_up) <= 3
    fill(cluster)
    for line in first:
        cluster.run(line)
    cluster.run("kubectl -n parley wait --for=condition=complete --timeout=300s job/migrate job/models", timeout_s=310)
    waiting = [pod for pod in cluster.get("pods", "-n default") if "nodeName" not in pod["spec"]]
    cluster.run("kubectl -n default delete deployment parley-test-filler")
    cluster.run(last, timeout_s=900)
    (cluster.checkout / "call.wav").write_bytes(sample_call().read_bytes())
    answer = cluster.run("\n".join(("trap 'kill %1' EXIT", *asking)), timeout_s=310)
    (line,) = (cluster.checkout / OVERLAY / "secrets" / "api.env").read_text().splitlines()
    api_key = line.partition("=")[2]
    (image,) = {
        own["image"]
        for pod in cluster.get("pods", "-n parley -l app.kubernetes.io/name=api")
        for own in pod["spec"]["containers"]
    }
    return Trial(cluster, Client(cluster, image, api_key), api_key, answer, len(waiting))


def fill(cluster: Cluster) -> None:
    """Pods that do nothing ask for all processors of the node that has most of them, but for a hundredth of one."""
    nodes = cluster.get("nodes", "")
    most = max(_millicores(node["status"]["allocatable"]["cpu"]) for node in nodes)
    own = {
        "name": "pause",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": f"{(most - _used(cluster) - SPARE_MILLICORES) // FILLERS}m"}},
    }
    cluster.apply(
        json.dumps(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "parley-test-filler", "namespace": "default"},
                "spec": {
                    "replicas": FILLERS * len(nodes),
                    "selector": {"matchLabels": {"app": "filler"}},
                    "template": {
                        "metadata": {"labels": {"app": "filler"}},
                        "spec": {"terminationGracePeriodSeconds": 0, "containers": [own]},
                    },
                },
            }
        )
    )
    cluster.run("kubectl -n default rollout status --timeout=120s deployment/parley-test-filler")


def _used(cluster: Cluster) -> int:
    """Millicores that pods of the system ask for."""
    pods = cluster.get("pods", "-A")
    requests = [
        own.get("resources", {}).get("requests", {}).get("cpu", "0")
        for pod in pods
        for own in pod["spec"]["containers"]
    ]
    return sum(_millicores(cpu) for cpu in requests)


def _millicores(cpu: str) -> int:
    return int(cpu[:-1]) if cpu.endswith("m") else int(cpu) * 1000
