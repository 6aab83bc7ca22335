"""A Prometheus in the cluster that knows Parley by deploy/monitoring/kubernetes.yml, with the rights of the page."""

from __future__ import annotations

import json
import lzma
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.programs import packed

MONITORING = Path(__file__).resolve().parents[2] / "deploy" / "monitoring"
EVERY = {"scrape_interval": "5s", "evaluation_interval": "5s"}
META = {"namespace": "monitoring", "name": "prometheus"}
RULES = ("recording.yml", "alerts.yml")


def watch(cluster: Cluster) -> None:
    """Start it; nothing else is needed for it to find what comes."""
    config = yaml.safe_load((MONITORING / "kubernetes.yml").read_text())
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: monitoring}")
    cluster.run("kubectl create namespace parley --dry-run=client -o yaml | kubectl apply -f -")  # for its role
    cluster.apply(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [*_rights(), *_server({"global": EVERY} | config)]})
    )


def ask(cluster: Cluster, query: str) -> list[dict[str, Any]]:
    """The result of a query."""
    path = f"/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    answer = json.loads(
        cluster.run(f"kubectl get --raw '/api/v1/namespaces/monitoring/services/prometheus:9090/proxy{path}'")
    )
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def install_keda(cluster: Cluster) -> None:
    """The operator, as its own release describes it."""
    source = packed("keda")
    assert source is not None
    cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: keda}")
    with lzma.open(source, "rt") as text:
        cluster.apply(text.read())


def _rights() -> list[dict[str, Any]]:
    subject = {"kind": "ServiceAccount"} | META
    verbs = ["get", "list", "watch"]
    pods = [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}]
    nodes = [{"apiGroups": [""], "resources": ["nodes"], "verbs": verbs}]
    nodes.append({"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]})
    rbac, name = {"apiVersion": "rbac.authorization.k8s.io/v1"}, {"name": "prometheus"}
    group = {"apiGroup": "rbac.authorization.k8s.io"} | name
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": META},
        rbac | {"kind": "Role", "metadata": {"namespace": "parley"} | name, "rules": pods},
        rbac
        | {
            "kind": "RoleBinding",
            "metadata": {"namespace": "parley"} | name,
            "roleRef": group | {"kind": "Role"},
            "subjects": [subject],
        },
        rbac | {"kind": "ClusterRole", "metadata": name, "rules": nodes},
        rbac
        | {
            "kind": "ClusterRoleBinding",
            "metadata": name,
            "roleRef": group | {"kind": "ClusterRole"},
            "subjects": [subject],
        },
    ]


def _server(config: dict[str, Any]) -> list[dict[str, Any]]:
    labels = {"app": "prometheus"}
    container = {
        "name": "prometheus",
        "image": "prometheus:test",
        "args": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/data"],
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus"},
            {"name": "rules", "mountPath": "/etc/prometheus/rules"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    rules = {name: (MONITORING / "rules" / name).read_text() for name in RULES}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": META, "data": {"prometheus.yml": json.dumps(config)}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": META | {"name": "rules"}, "data": rules},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": META,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": "prometheus",
                        "securityContext": {"fsGroup": 10002},
                        "containers": [container],
                        "volumes": [
                            {"name": "config", "configMap": {"name": "prometheus"}},
                            {"name": "rules", "configMap": {"name": "rules"}},
                            {"name": "data", "emptyDir": {}},
                        ],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": META,
            "spec": {"selector": labels, "ports": [{"port": 9090}]},
        },
    ]
