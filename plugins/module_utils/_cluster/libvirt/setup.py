# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the first answer of a new API server to a cluster that has all it needs."""

from __future__ import annotations

from typing import Any, Optional

from ... import _kubernetes_client as kube
from ... import _platform
from .manifests import Manifest, manifests

_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


class Setup:
    """What is done while kubeadm still works on the node: each call of advance() goes as far as it can now."""

    def __init__(self, access: kube.Access, interface: str) -> None:
        self._access = access
        self._interface = interface
        self._missing: Optional[list[Manifest]] = None

    def advance(self) -> None:
        """Do what can be done now; returns when all is done.

        :raises ClusterError: not all can be done yet; with what it was last.
        """
        client = kube.library()
        with kube.connect(self._access) as api:
            with kube.doing("list the nodes"):
                nodes = client.CoreV1Api(api).list_node(_request_timeout=kube.REQUEST_TIMEOUT).items
            if not nodes:
                raise _unfinished("The API server answers, and has no node yet.")
            self._install(api, nodes[0])
        if _CONTROL_PLANE not in (nodes[0].metadata.labels or {}):
            raise _unfinished("kubeadm has not yet marked the node as a control plane.")  # which is near its end

    def _install(self, api: Any, node: Any) -> None:
        if self._missing is None:
            images = [name for image in node.status.images or [] for name in image.names or []]
            addresses = [each.address for each in node.status.addresses or [] if each.type == "InternalIP"]
            if not addresses:
                raise _unfinished("The node has no address yet.")
            self._missing = manifests(_platform.REGISTRY, images, addresses[0], self._interface)
        while self._missing:
            _create(api, self._missing[0])
            self._missing.pop(0)


def _create(api: Any, manifest: Manifest) -> None:
    utils = kube.library("utils")
    what = f"create {manifest['kind']} {manifest['metadata']['name']}"
    with kube.doing(what):
        try:
            utils.create_from_dict(api, manifest, _request_timeout=kube.REQUEST_TIMEOUT)
        except utils.FailToCreateError as error:
            failure = error.api_exceptions[0]
            # Made by a request whose answer was lost. A service says that by the address that it has.
            if failure.status != 409 and "already allocated" not in str(failure.body):
                raise failure from error


def _unfinished(message: str) -> kube.ClusterError:
    return kube.ClusterError(message, "", 0, "")
