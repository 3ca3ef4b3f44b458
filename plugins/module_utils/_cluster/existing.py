# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that runs: whether it answers, has a node to work on, and lets us do what a build needs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import _kubernetes_client as kube
from .._errors import OcneError

#: What a build does in its namespace: (API group, resource, subresource) and the verbs.
#: A client opens an exec by GET when it uses WebSockets; newer servers review it as 'create' all the same.
BUILD_RIGHTS: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("batch", "jobs", ""): ("create", "get", "delete"),
    ("", "pods", ""): ("list",),
    ("", "pods", "exec"): ("create", "get"),
    ("", "pods", "log"): ("get",),
    ("", "events", ""): ("list",),
    ("", "secrets", ""): ("create", "delete"),
    ("", "configmaps", ""): ("create", "delete"),
}
NAMESPACE_RIGHTS: dict[tuple[str, str, str], tuple[str, ...]] = {("", "namespaces", ""): ("create",)}

#: A taint that keeps pods away until the control plane, too, has seen that the node is ready.
_NOT_READY = "node.kubernetes.io/not-ready"


@dataclass(frozen=True)
class Node:
    """What counts of a node."""

    name: str
    ready: bool
    schedulable: bool
    reason: str = ""

    @property
    def usable(self) -> bool:
        return self.ready and self.schedulable

    @property
    def state(self) -> str:
        return f"{self.name} is cordoned" if self.ready else f"{self.name} is not ready ({self.reason or 'no reason given'})"


@dataclass(frozen=True)
class Facts:
    """A cluster that can build.

    :param version: of its API server, as 'v1.34.4'.
    """

    version: str


class NotReady(OcneError):
    """The cluster answers, and has no node to work on."""


def examine(access: kube.Access, namespace: str) -> Facts:
    """Read what a build depends on; creates nothing.

    :raises OcneError: it does not answer, no node is ready, or we may not do what a build needs.
    """
    with kube.connect(access) as api:
        client = kube.library()
        with kube.doing(f"reach the cluster of {access.origin} at {api.configuration.host}"):
            version = client.VersionApi(api).get_code(_request_timeout=kube.REQUEST_TIMEOUT).git_version
        _check_nodes(_nodes(api, access), access)
        _check_rights(api, namespace, access)
    return Facts(str(version))


def wait(access: kube.Access, namespace: str, timeout: float) -> Facts:
    """examine(), until the cluster answers and has a ready node.

    :param timeout: seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            return examine(access, namespace)
        except (kube.ClusterError, NotReady) as error:
            # A server that comes up is not there at first, then refuses, then has no roles yet.
            if time.monotonic() >= deadline:
                raise OcneError(
                    f"The cluster of {access.origin} was not ready within {timeout:.0f} s. {error.message}", error.hint
                ) from error
        time.sleep(1)


def _nodes(api: Any, access: kube.Access) -> list[Node] | None:
    """The nodes; None where we may not list them, as users of one namespace may not."""
    try:
        with kube.doing(f"list the nodes of the cluster of {access.origin}"):
            items = kube.library().CoreV1Api(api).list_node(_request_timeout=kube.REQUEST_TIMEOUT).items
    except kube.ClusterError as error:
        if error.status == 403 and "system:anonymous" not in error.message:
            return None
        raise
    nodes = []
    for item in items:
        condition = next((each for each in item.status.conditions or [] if each.type == "Ready"), None)
        ready, reason = bool(condition and condition.status == "True"), str(condition.message if condition else "")
        if ready and any(taint.key == _NOT_READY for taint in item.spec.taints or []):
            ready, reason = False, f"it has the taint {_NOT_READY}"
        nodes.append(Node(item.metadata.name, ready, not item.spec.unschedulable, reason))
    return nodes


def _check_nodes(nodes: Sequence[Node] | None, access: kube.Access) -> None:
    if nodes is None or any(node.usable for node in nodes):
        return
    states = "; ".join(node.state for node in nodes) or "it has no nodes"
    raise NotReady(f"The cluster of {access.origin} has no node to work on: {states}.", "Check the nodes (kubectl describe nodes).")


def _check_rights(api: Any, namespace: str, access: kube.Access) -> None:
    rights = {**BUILD_RIGHTS, **({} if _exists(api, namespace) else NAMESPACE_RIGHTS)}
    missing = missing_rights(rights, lambda attributes: _allowed(api, namespace, attributes))
    if missing:
        raise OcneError(
            f"The account of {access.origin} may not do what a build needs in the namespace {namespace}: {'; '.join(missing)}.",
            "Have a role bound that allows this, or take another namespace, kubeconfig or context.",
            missing_rights=missing,
        )


def missing_rights(rights: Mapping[tuple[str, str, str], Sequence[str]], allowed: Any) -> list[str]:
    """What is not allowed, for people, as 'create pods/exec'.

    :param allowed: tells whether the attributes of a review (group, resource, subresource, verb) are.
    """
    missing = []
    for (group, resource, subresource), verbs in rights.items():
        refused = [
            verb for verb in verbs if not allowed({"group": group, "resource": resource, "subresource": subresource or None, "verb": verb})
        ]
        if refused:
            name = f"{resource}/{subresource}" if subresource else resource
            missing.append(f"{', '.join(refused)} {name}{f'.{group}' if group else ''}")
    return missing


def _exists(api: Any, namespace: str) -> bool:
    """Whether the namespace is there; where we may not look, the rights in it tell."""
    try:
        with kube.doing(f"look for the namespace {namespace}"):
            kube.library().CoreV1Api(api).read_namespace(namespace, _request_timeout=kube.REQUEST_TIMEOUT)
    except kube.ClusterError as error:
        if error.status not in (403, 404):
            raise
        return error.status == 403
    return True


def _allowed(api: Any, namespace: str, attributes: Mapping[str, Any]) -> bool:
    client = kube.library()
    # A namespace belongs to none.
    where = {} if attributes["resource"] == "namespaces" else {"namespace": namespace}
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(**where, **attributes))
    )
    with kube.doing("review what this account may do"):
        answer = client.AuthorizationV1Api(api).create_self_subject_access_review(review, _request_timeout=kube.REQUEST_TIMEOUT)
    return bool(answer.status.allowed)
