"""The cluster under test, as its user has it: a shell with kubectl, and a checkout to type the page's commands in."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kubernetes.node import Node

CLIENT = Path(__file__).with_name("client.py")
CLIENT_PLACE = "ingress-nginx"
"""The namespace from which the policies let an ingress controller in."""

PATIENCE_S = 300


class Cluster:
    """`checkout` has the manifests; `node` is the one that the tests have started, None for a cluster of others."""

    def __init__(self, checkout: Path, node: Node | None) -> None:
        self.checkout, self.node = checkout, node

    def entering(self, command: str) -> tuple[tuple[str, ...], dict[str, str]]:
        """The command line, and the environment, that run a line of bash in the checkout, beside the cluster."""
        if self.node:
            return self.node.entering(command, self.checkout), self.node.environment
        return ("bash", "-euo", "pipefail", "-c", f"cd {self.checkout}\n{command}"), dict(os.environ)

    def run(self, command: str, *, stdin: bytes = b"", timeout_s: float = PATIENCE_S) -> str:
        """A line of bash; its stdout. Fails when it fails."""
        argv, environment = self.entering(command)
        process = subprocess.run(
            argv, env=environment, input=stdin, capture_output=True, timeout=timeout_s, check=False
        )
        message = f"{command}\n{process.stdout.decode()[-3000:]}{process.stderr.decode()[-3000:]}"
        assert process.returncode == 0, message
        return process.stdout.decode()

    def get(self, what: str, options: str = "-n parley") -> list[dict[str, Any]]:
        """`kubectl get` of a kind; the objects."""
        items: list[dict[str, Any]] = json.loads(self.run(f"kubectl get {what} {options} -o json"))["items"]
        return items

    def apply(self, manifests: str) -> None:
        """`kubectl apply` of a text."""
        self.run("kubectl apply --server-side -f -", stdin=manifests.encode())

    def until(self, condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """The condition's first true value."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}\n{self.run('kubectl get pods -A')}"
            time.sleep(0.5)
        return value

    def rolled_out(self) -> None:
        """Wait until every pool and the gateway are as they are described."""
        self.run(f"kubectl -n parley rollout status --timeout={PATIENCE_S}s deployment", timeout_s=PATIENCE_S + 10)


class Client:
    """A pod with client.py, which comes to the service by its name."""

    def __init__(self, cluster: Cluster, image: str, api_key: str) -> None:
        self._cluster = cluster
        cluster.run(f"kubectl create namespace {CLIENT_PLACE} --dry-run=client -o yaml | kubectl apply -f -")
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": _client(image, api_key)}))
        cluster.run(f"kubectl -n {CLIENT_PLACE} wait --for=condition=ready --timeout=120s pod/parley-test-client")

    def ask(self, command: str, stdin: bytes = b"") -> Any:
        """A command of client.py; what it says."""
        return json.loads(self._cluster.run(self._exec(command), stdin=stdin).splitlines()[-1])

    def submit(self, recording: Path, **options: str) -> str:
        """The id of a new task."""
        form = " ".join(f"{name}={value}" for name, value in options.items())
        task_id: str = self.ask(f"submit {form}", recording.read_bytes())
        return task_id

    def begin(self, recording: bytes, then: str = "true", **options: str) -> tuple[str, str]:
        """The id of a new task that a worker transcribes now, and when it began; the shell does `then` at once."""
        form = " ".join(f"{name}={value}" for name, value in options.items())
        line, *_ = self._cluster.run(f"{self._exec(f'begin {form}')}; {then}", stdin=recording).splitlines()
        task_id, began = json.loads(line)
        return task_id, began

    def results(self, *task_ids: str) -> list[dict[str, Any]]:
        """Results of tasks that all end well."""
        results: list[dict[str, Any]] = self.ask(f"done {' '.join(task_ids)}")
        assert [each["status"] for each in results] == ["done"] * len(task_ids), results
        return results

    def poll(self, task_id: str) -> Polling:
        return Polling(self._cluster, self._exec(f"poll {task_id}"))

    @staticmethod
    def _exec(command: str) -> str:
        return f"kubectl -n {CLIENT_PLACE} exec -i parley-test-client -- python /client/client.py {command}"


class Polling:
    """Polls while the block runs; `counts` has the outcome after it."""

    def __init__(self, cluster: Cluster, command: str) -> None:
        self._cluster, self._command = cluster, command
        self.counts: dict[str, Any] = {}

    def __enter__(self) -> Polling:
        argv, environment = self._cluster.entering(self._command)
        self._process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"polling\n"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._cluster.run(f"kubectl -n {CLIENT_PLACE} exec parley-test-client -- touch /tmp/stop")
            output = self._process.communicate(timeout=60)[0]
            self.counts = json.loads(output.splitlines()[-1])
        finally:
            self._process.kill()


def _client(image: str, api_key: str) -> list[dict[str, Any]]:
    place = {"namespace": CLIENT_PLACE}
    pod = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "client",
                "image": image,
                "command": ["sleep", "infinity"],
                "env": [{"name": "URL", "value": "http://api.parley:8000"}, {"name": "API_KEY", "value": api_key}],
                "volumeMounts": [{"name": "client", "mountPath": "/client"}],
            }
        ],
        "volumes": [{"name": "client", "configMap": {"name": "parley-test-client"}}],
    }
    data = {"client.py": CLIENT.read_text()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "parley-test-client"} | place, "data": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "parley-test-client"} | place, "spec": pod},
    ]
