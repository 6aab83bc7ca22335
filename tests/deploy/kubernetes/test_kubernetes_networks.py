"""NetworkPolicies let through what docker-compose.yml's networks do, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from shared.stages import queues
from tests.deploy.kubernetes.overlays import OVERLAYS, Manifest, container, everything, of_kind, workloads
from tests.deploy.kubernetes.reach import Peer, may

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
NETWORKS = {name: set(service.get("networks", ("default",))) for name, service in COMPOSE["services"].items()}
PORTS = {"postgres": 5432, "valkey": 6379, "seaweedfs": 8333, "api": 8000, "flower": 5555}
PORTS |= {f"worker-{queue}": 9100 for queue in (*queues(), "live")}
INTERNET, METADATA, NEIGHBOUR = Peer(address="203.0.113.9"), Peer(address="169.254.169.254"), Peer(address="10.1.2.3")
INGRESS, PROMETHEUS = Peer(namespace="ingress-nginx"), Peer(namespace="monitoring")
DNS = Peer({"k8s-app": "kube-dns"}, "kube-system")

both = pytest.mark.parametrize("overlay", OVERLAYS)


def policies(overlay: str) -> list[Manifest]:
    return list(of_kind(everything(overlay), "NetworkPolicy").values())


def pods(overlay: str) -> dict[str, Peer]:
    """A pod of each workload by name."""
    return {
        name: Peer(each["spec"]["template"]["metadata"]["labels"])
        for name, each in workloads(everything(overlay)).items()
    }


def share(one: str, other: str) -> bool:
    return bool(NETWORKS[one] & NETWORKS[other])


@both
def test_pods_reach_the_servers_that_they_reach_in_compose(overlay: str) -> None:
    """Every pair that has no network in common is kept apart; of those that have, each reaches the three servers."""
    peers = pods(overlay)
    for one, source in peers.items():
        for other in peers.keys() - {one}:
            is_open = other in PORTS and may(policies(overlay), source, peers[other], PORTS[other])
            assert not is_open or share(one, other), (one, other)
            if other in ("postgres", "valkey", "seaweedfs") and one not in ("postgres", "valkey", "seaweedfs"):
                assert is_open == share(one, other), (one, other)
            assert not may(policies(overlay), source, peers[other], 22), (one, other)


@both
def test_two_have_a_way_out(overlay: str) -> None:
    """Those that compose gives the network `outside`, and not into private networks or to a cloud's metadata. In the
    overlay without servers of its own the others reach their ports, and nothing else."""
    peers = pods(overlay)
    out = {name for name, source in peers.items() if may(policies(overlay), source, INTERNET, 80)}
    assert out == {name for name in peers if "outside" in NETWORKS[name]} == {"worker-io", "models"}
    for name, source in peers.items():
        for address in (NEIGHBOUR, METADATA):
            assert not may(policies(overlay), source, address, 80), name
        for port in (443, 5432, 6379):
            is_server_port = overlay == "gpu" and name != "models"
            assert may(policies(overlay), source, INTERNET, port) == (name in out or is_server_port), (name, port)
        assert may(policies(overlay), source, DNS, 53, "UDP")


@both
def test_the_proxy_reaches_the_gateway_and_prometheus_the_metrics(overlay: str) -> None:
    """The ingress controller has Caddy's place, without Flower, which has no ingress; Prometheus reaches metrics."""
    peers = pods(overlay)
    for name, target in peers.items():
        port = PORTS.get(name, 80)
        assert may(policies(overlay), INGRESS, target, port) == (name in ("api", "seaweedfs")), name
        assert may(policies(overlay), PROMETHEUS, target, port) == (name == "api" or name.startswith("worker-")), name
        assert not may(policies(overlay), Peer(namespace="default"), target, port), name
    assert all(share("caddy", name) for name in ("api", "seaweedfs"))
    assert all(share("prometheus", name) for name in peers if name.startswith(("api", "worker-")))


@both
def test_ports_are_those_of_the_containers(overlay: str) -> None:
    """What the policies are asked about is what the containers name."""
    named = {
        name: port["containerPort"]
        for name, each in workloads(everything(overlay)).items()
        for port in container(each).get("ports", ())
    }
    assert named == {name: port for name, port in PORTS.items() if name in named}
    assert len(named) >= 6
