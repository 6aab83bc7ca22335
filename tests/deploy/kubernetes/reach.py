"""Which pod may reach which port, as a network plugin reads NetworkPolicies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """One end of a connection: a pod by its labels, of this namespace or another, or an address outside."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "parley"
    address: str | None = None


def may(policies: Iterable[Policy], source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether the rules let `source` connect: its own of egress, and the target's of ingress."""
    policies = list(policies)
    return _lets(policies, "Egress", source, target, port, protocol) and _lets(
        policies, "Ingress", target, source, port, protocol
    )


def _lets(policies: list[Policy], way: str, own: Peer, other: Peer, port: int, protocol: str) -> bool:
    if own.namespace != "parley" or own.address is not None:
        return True  # others' rules are others'
    specs = [each["spec"] for each in policies if _selects(each["spec"]["podSelector"], own.labels)]
    specs = [spec for spec in specs if way in spec["policyTypes"]]
    if not specs:
        return True
    side = "to" if way == "Egress" else "from"
    return any(
        _has_port(rule, port, protocol) and any(_is(peer, other) for peer in rule[side])
        for spec in specs
        for rule in spec.get(way.lower(), ())
    )


def _has_port(rule: Policy, port: int, protocol: str) -> bool:
    return "ports" not in rule or any(
        (each["port"], each.get("protocol", "TCP")) == (port, protocol) for each in rule["ports"]
    )


def _is(described: Policy, peer: Peer) -> bool:
    if block := described.get("ipBlock"):
        if peer.address is None:
            return False
        address = ipaddress.ip_address(peer.address)
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(hole) for hole in block.get("except", ())
        )
    if peer.address is not None:
        return False
    if "namespaceSelector" in described:
        inside = _selects(described["namespaceSelector"], {"kubernetes.io/metadata.name": peer.namespace})
    else:
        inside = peer.namespace == "parley"
    return inside and _selects(described.get("podSelector", {}), peer.labels)


def _selects(selector: Policy, labels: Mapping[str, str]) -> bool:
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for expression in selector.get("matchExpressions", ()):
        is_member = labels.get(expression["key"]) in expression["values"]
        if is_member != {"In": True, "NotIn": False}[expression["operator"]]:
            return False
    return True
