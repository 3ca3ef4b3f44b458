# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a cluster's nodes have room for a pod, and if not, what each has free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .._errors import OcneError
from .._kubernetes_client import library

Object = dict[str, Any]
_UNITS = ("Ti", "Gi", "Mi", "Ki")


@dataclass(frozen=True)
class Node:
    """A node, as a pod sees it. free: amounts by resource, in bytes or cores; closed: why it takes no such pod, '' if it does."""

    name: str
    free: Mapping[str, Decimal]
    closed: str

    def lacks(self, requests: Mapping[str, Decimal]) -> list[str]:
        """Names of the resources of which it has not enough."""
        return [name for name, amount in requests.items() if self.free.get(name, Decimal(0)) < amount]


def check_room(
    nodes: Sequence[Object],
    pods: Sequence[Object],
    requests: Mapping[str, str],
    node_selector: Mapping[str, str],
    tolerations: Sequence[Any],
) -> None:
    """:raises OcneError: no node can take a pod with these requests; it tells what each has free."""
    wanted = {name: quantity(amount) for name, amount in requests.items()}
    states = [_state(node, pods, node_selector, tolerations) for node in nodes]
    if any(not state.closed and not state.lacks(wanted) for state in states):
        return
    asked = ", ".join(f"{name} {amount}" for name, amount in requests.items())
    told = "; ".join(_tell(state, wanted) for state in states) or "it has no nodes"
    raise OcneError(
        f"No node of the cluster has room for the build, which asks for {asked}: {told}.",
        "Free some of it, add a node, or ask for less with storage or resources.",
    )


def quantity(text: object) -> Decimal:
    """A quantity as Kubernetes writes it: in bytes, or cores.

    :raises OcneError: it is none.
    """
    try:
        amount: Decimal = library("utils.quantity").parse_quantity(str(text))
    except ValueError as error:
        raise OcneError(f"{text!r} is no quantity.", "Write it as 20Gi, 512Mi, 2, or 500m.") from error
    return amount


def _state(node: Object, pods: Sequence[Object], node_selector: Mapping[str, str], tolerations: Sequence[Any]) -> Node:
    name = str(node["metadata"]["name"])
    free = {resource: quantity(amount) for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items()}
    for pod in pods:
        if pod["spec"].get("nodeName") == name:
            for resource, amount in pod_requests(pod["spec"]).items():
                free[resource] = free.get(resource, Decimal(0)) - amount
    return Node(name, free, _closed(node, node_selector, tolerations))


def pod_requests(spec: Object) -> dict[str, Decimal]:
    """What a pod takes of its node: the larger of all its containers together, and each of those that run before them.

    https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
    """
    together: dict[str, Decimal] = {}
    for container in spec.get("containers") or []:
        for resource, amount in _requests(container).items():
            together[resource] = together.get(resource, Decimal(0)) + amount
    for container in spec.get("initContainers") or []:
        for resource, amount in _requests(container).items():
            together[resource] = max(together.get(resource, Decimal(0)), amount)
    return together


def _requests(container: Object) -> dict[str, Decimal]:
    return {name: quantity(amount) for name, amount in ((container.get("resources") or {}).get("requests") or {}).items()}


def _closed(node: Object, node_selector: Mapping[str, str], tolerations: Sequence[Any]) -> str:
    labels = node["metadata"].get("labels") or {}
    missing = [f"{key}={value}" for key, value in node_selector.items() if labels.get(key) != value]
    if missing:
        return f"has not the label {', '.join(missing)}"
    if node["spec"].get("unschedulable"):
        return "takes no new pods"
    conditions = (node.get("status") or {}).get("conditions") or []
    if any(each.get("type") == "Ready" and each.get("status") != "True" for each in conditions):
        return "is not ready"
    for taint in node["spec"].get("taints") or []:
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not any(_tolerates(each, taint) for each in tolerations):
            return f"has the taint {taint.get('key')}"
    return ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint.get("key"))
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def _tell(node: Node, wanted: Mapping[str, Decimal]) -> str:
    if node.closed:
        return f"node {node.name} {node.closed}"
    free = ", ".join(f"{name} {_readable(node.free.get(name, Decimal(0)))}" for name in node.lacks(wanted))
    return f"node {node.name} has free only {free}"


def _readable(amount: Decimal) -> str:
    for power, unit in zip((4, 3, 2, 1), _UNITS):
        if amount >= 1024**power:
            return f"{amount / 1024**power:.1f}{unit}"
    return f"{amount.normalize():f}"
