"""Who may speak to whom under a set of NetworkPolicies, as Kubernetes defines them (kubernetes.io, Network Policies).

A policy concerns the pods that it selects, in the directions that it names; what no policy concerns is allowed, and
what at least one concerns needs a rule that allows it. A connection between pods needs both ends' consent.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import Any

Policy = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A pod with its namespace and labels, or an address outside the cluster."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""
    namespace_labels: dict[str, str] = field(default_factory=dict)


def reaches(policies: list[Policy], source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection from `source` to a port of `target` gets through."""
    out = source.address or _allowed(policies, source, target, port, protocol, "Egress")
    into = target.address or _allowed(policies, target, source, port, protocol, "Ingress")
    return bool(out and into)


def _allowed(policies: list[Policy], own: Place, other: Place, port: int, protocol: str, direction: str) -> bool:
    concerned = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == own.namespace
        and direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], own.labels)
    ]
    sides = {"Egress": "to", "Ingress": "from"}
    rules = [rule for spec in concerned for rule in spec.get(direction.lower(), [])]
    return not concerned or any(
        _on_port(rule.get("ports"), port, protocol)
        and (sides[direction] not in rule or any(_is(peer, other, own.namespace) for peer in rule[sides[direction]]))
        for rule in rules
    )


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector takes something with these labels; an empty one takes everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for each in selector.get("matchExpressions", []):
        value = labels.get(each["key"])
        if not {"In": value in each.get("values", []), "Exists": value is not None}[each["operator"]]:
            return False
    return True


def _is(peer: dict[str, Any], other: Place, namespace: str) -> bool:
    if "ipBlock" in peer:
        inside = [ipaddress.ip_network(text) for text in (peer["ipBlock"]["cidr"], *peer["ipBlock"].get("except", []))]
        address = ipaddress.ip_address(other.address) if other.address else None
        return address is not None and address in inside[0] and not any(address in net for net in inside[1:])
    if other.address:
        return False
    if "namespaceSelector" in peer:
        known = {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels}
        there = selects(peer["namespaceSelector"], known)
    else:
        there = other.namespace == namespace
    return there and selects(peer.get("podSelector", {}), other.labels)


def _on_port(ports: list[dict[str, Any]] | None, port: int, protocol: str) -> bool:
    return ports is None or any(each["port"] == port and each.get("protocol", "TCP") == protocol for each in ports)
