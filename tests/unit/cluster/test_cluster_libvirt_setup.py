# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new cluster gets from us, by an API server that comes up step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _kubernetes_client as kube
from ansible_collections.ocne.images.plugins.module_utils._cluster.libvirt.setup import Setup

from tests.unit.cluster.conftest import Api, node


def setup(api: Api, folder: Path) -> Setup:
    kubeconfig = folder / "kubeconfig"
    cluster = f"clusters: [{{name: c, cluster: {{server: '{api.url}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    kubeconfig.write_text(f"{cluster}users: [{{name: u, user: {{}}}}]\ncurrent-context: c\n")
    return Setup(kube.Access("the test", True, str(kubeconfig)), "enp0s2")


def a_node(**labels: str) -> dict[str, Any]:
    found = node("c-control-plane-1", "False")
    found["metadata"]["labels"] = labels
    found["status"]["addresses"] = [{"type": "InternalIP", "address": "192.18.255.15"}]
    return found


def test_it_goes_as_far_as_it_can_and_creates_nothing_twice(api: Api, tmp_path: Path) -> None:
    work = setup(api, tmp_path)
    api.nodes = []
    with pytest.raises(kube.ClusterError, match="has no node yet"):
        work.advance()
    assert not api.created
    api.nodes = [a_node()]
    with pytest.raises(kube.ClusterError, match="not yet marked the node"):
        work.advance()
    created = list(api.created)
    assert "/apis/apps/v1/namespaces/kube-flannel/daemonsets" in created and created[-1] == "/api/v1/namespaces/kube-system/services"
    api.nodes = [a_node(**{"node-role.kubernetes.io/control-plane": ""})]
    work.advance()
    assert api.created == created


@pytest.mark.parametrize(
    ("status", "message"), [(409, "it exists"), (422, "failed to allocate IP 10.96.0.10: provided IP is already allocated")]
)
def test_what_a_lost_answer_has_made_counts(api: Api, tmp_path: Path, status: int, message: str) -> None:
    api.nodes = [a_node(**{"node-role.kubernetes.io/control-plane": ""})]
    api.status["/api/v1/namespaces/kube-system/services"] = status
    api.messages[status] = message
    setup(api, tmp_path).advance()


def test_what_is_refused_is_told(api: Api, tmp_path: Path) -> None:
    api.nodes = [a_node()]
    api.status["/api/v1/namespaces/kube-system/services"] = 422
    with pytest.raises(kube.ClusterError, match="Could not create Service kube-dns"):
        setup(api, tmp_path).advance()
