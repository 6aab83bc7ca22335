"""A real Kubernetes of one node on this machine, from the programs of PARLEY_TEST_BIN."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.engine.folder import WorkFolder, remove
from tests.engine.namespaces import ADDRESS, Namespaces
from tests.engine.roots import engine_root
from tests.kubernetes.programs import program

HERE = Path(__file__).parent
NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl")
READY_TIMEOUT_S = 120
CGROUPS = Path("/sys/fs/cgroup")
CGROUPS_TIMEOUT_S = 30
OWN_USER = 10001
"""Whose process fetches weights, and so whose they are."""

VOLUMES = {
    "models": "models",
    "postgres": "data-postgres-0",
    "valkey": "data-valkey-0",
    "seaweedfs": "data-seaweedfs-0",
}
"""Folders of the node, and the claims that they are for."""


class Node(Namespaces):
    """Kubernetes with containerd over `folder`/kubernetes. Images stay there from one test run to the next; everything
    else is new at the first `start`, and as it was at the next ones."""

    def __init__(self, folder: WorkFolder) -> None:
        self.place = folder.path / "kubernetes"
        self.place.mkdir(exist_ok=True)
        self.kubeconfig = self.place / "admin.kubeconfig"
        self.images = self.place / "images.json"
        (self.place / "fresh").touch()
        script = ("bash", str(self.place / "node.sh"), str(self.place), str(self.place / "bin"), ADDRESS)
        super().__init__(engine_root(folder), self.place, self.place / "node.log", script)

    def start(self) -> None:
        """Return when the node is ready for pods."""
        shutil.copy(HERE / "node.sh", self.place)
        _programs(self.place / "bin")
        super().start()
        deadline = time.monotonic() + READY_TIMEOUT_S
        ready = f"curl -sf http://127.0.0.1:10248/healthz && kubectl get node node1 -o jsonpath={READY}"
        while "True" not in self.run(ready).stdout:
            assert self.is_running and time.monotonic() < deadline, f"no node:\n{self.tail()}"
            time.sleep(0.3)

    @property
    def environment(self) -> dict[str, str]:
        own = super().environment
        return own | {"PATH": f"{self.place / 'bin'}:{own['PATH']}", "KUBECONFIG": str(self.kubeconfig)}

    def apply(self, *manifests: dict[str, Any]) -> None:
        """`kubectl apply` of manifests."""
        process = subprocess.run(
            self.entering(("kubectl", "apply", "--server-side", "-f", "-")),
            env=self.environment,
            input=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert process.returncode == 0, process.stderr

    def furnish(self, weights: Path) -> None:
        """What a cluster has before anybody installs anything: names of services, a default class of storage, and a
        volume that has the weights already."""
        volumes = self.place / "volumes"
        if volumes.exists():
            remove(volumes)
        for name in VOLUMES:
            (volumes / name).mkdir(parents=True)
        shutil.copytree(weights, volumes / "models", dirs_exist_ok=True)
        for path in (volumes / "models", *(volumes / "models").rglob("*")):
            os.chown(path, OWN_USER, OWN_USER)
        self.apply(STORAGE_CLASS, *(_volume(volumes / name, claim) for name, claim in VOLUMES.items()))
        self.run_well(("kubectl", "apply", "-f", "-"), (HERE / "system" / "dns.yaml").read_text())

    def run_well(self, command: Iterable[str], text: str = "") -> str:
        """A command in there, with this on its stdin; its output. Fails when it fails."""
        process = subprocess.run(
            self.entering(tuple(command)),
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    def stop(self) -> None:
        """All of it, and the cgroups that it made."""
        super().stop()
        deadline = time.monotonic() + CGROUPS_TIMEOUT_S
        for cgroup in (*CGROUPS.glob("parley-test-node"), *CGROUPS.glob("*/parley-test-node")):
            while not _removed(cgroup):  # busy until the kernel has done with the last process
                assert time.monotonic() < deadline, f"{cgroup} stays busy"
                time.sleep(0.1)


READY = "'{.status.conditions[?(@.type==\"Ready\")].status}'"

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "folders", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def _volume(folder: Path, claim: str) -> dict[str, Any]:
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node1"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": folder.name},
        "spec": {
            "storageClassName": "folders",
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": "parley", "name": claim},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }


def _removed(cgroup: Path) -> bool:
    """Whether a cgroup, and all below it, could be removed."""
    groups = [Path(place) for place, _, _ in os.walk(cgroup, topdown=False)]
    try:
        for group in groups:
            group.rmdir()
    except OSError:
        return False
    return True


def _programs(folder: Path) -> None:
    """Under their names, for the node's PATH."""
    folder.mkdir(exist_ok=True)
    for name, packed in {**dict.fromkeys(NAMES, "kubernetes-node"), "etcd": "etcd"}.items():
        source = program(packed)
        assert source is not None, f"PARLEY_TEST_BIN has no {packed}"
        target = folder / source.name
        if not target.exists():
            shutil.copy(source, target)
        link = folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(source.name)
