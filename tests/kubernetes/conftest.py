"""A cluster with Parley on it: the one that KUBECONFIG names, or a node that is started here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.engine import builds
from tests.engine.checkout import clone
from tests.engine.engine import running
from tests.engine.folder import WorkFolder
from tests.engine.probe import obstacle
from tests.kubernetes import images
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.node import Node
from tests.kubernetes.programs import folder as programs
from tests.kubernetes.programs import packed
from tests.kubernetes.trial import Trial, follow
from tests.kubernetes.watching import install_keda, watch

ROOT = Path(__file__).resolve().parents[2]
TAG, NEXT_TAG = "0.1.0", "0.1.1"
SERVICES = ("api", "worker-asr", "worker-diarize", "models")
"""Services of compose whose images the overlay has."""

BUILT = ("parley-api", "parley-worker-asr", "parley-worker", "parley-models")
NEEDED = ("kubernetes-node", "etcd", "coredns", "pause", "keda-operator", "prometheus")


TIMEOUT_S = 1800
"""Of one test; the first one's time counts from the first package that is fetched for the first image."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster without Parley, whose nodes have its images or can pull them."""
    if os.environ.get("KUBECONFIG"):
        target = Cluster(tmp_path_factory.mktemp("checkout") / "parley", None)
        _copy(target.checkout)
        present = [each["metadata"]["name"] for each in target.get("namespaces", "")]
        assert "parley" not in present, "the cluster of KUBECONFIG has a namespace parley already"
        yield target
        target.run("kubectl delete --ignore-not-found namespace/parley priorityclass/parley-first")
        return
    work = WorkFolder.of_environment()
    if reason := _obstacle(work):
        assert os.environ.get("REQUIRE_KUBERNETES") != "1", reason
        pytest.skip(f"no Kubernetes here: {reason}")
    with work.lock("kubernetes"):
        node = Node(work)
        try:
            node.start()
            images.bring_programs(node, node.images)
            _bring_images(work, node)
            node.furnish(ROOT / "models")
            yield Cluster(_copy(node.place / "checkout"), node)
        finally:
            node.stop()


@pytest.fixture(scope="session")
def trial(cluster: Cluster) -> Trial:
    """Parley, as the page says. Where the node is ours, it has a Prometheus and KEDA's operator beforehand."""
    if cluster.node:
        watch(cluster)
        install_keda(cluster)
    return follow(cluster)


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """The node, for what is not done to a cluster of others."""
    if cluster.node is None:
        pytest.skip("the cluster of KUBECONFIG is not ours to stop, to fill with images or to give an operator")
    return cluster.node


def _obstacle(work: WorkFolder) -> str | None:
    if programs() is None:
        return "PARLEY_TEST_BIN names no folder with the programs of a node, and KUBECONFIG no cluster"
    if missing := [name for name in NEEDED if packed(name) is None]:
        return f"PARLEY_TEST_BIN has no {', '.join(missing)}"
    return obstacle(work)


def _copy(folder: Path) -> Path:
    """The checkout as the page's commands need it."""
    clone(folder)
    return folder


def _bring_images(work: WorkFolder, node: Node) -> None:
    """Build what compose builds, with the tag of the overlay, and hand it to the node together with the servers'."""
    with running(work) as engine:
        place = clone(work.path / "kubernetes-build")
        subprocess.run((sys.executable, place / "scripts/init_env.py", "--file", place / ".env"), check=True)
        with (place / ".env").open("a") as file:
            file.write(f"PARLEY_VERSION={TAG}\n")
        builds.build(engine, place, *SERVICES)
        servers = yaml.safe_load((ROOT / "deploy/kubernetes/components/servers/kustomization.yaml").read_text())
        foreign = [f"{each['name']}:{each['newTag']}" for each in servers["images"]]
        images.bring_built(engine, node, node.images, [*(f"{name}:{TAG}" for name in BUILT), *foreign])
    for name in BUILT:
        node.run_well(
            (
                "ctr",
                "-n",
                "k8s.io",
                "images",
                "tag",
                "--force",
                *(images.full(f"{name}:{tag}") for tag in (TAG, NEXT_TAG)),
            )
        )
