# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _kubernetes_client as kube
from ansible_collections.ocne.images.plugins.module_utils._cluster import existing
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

from tests.support.cluster_accounts import documented_rules
from tests.unit.cluster.conftest import Api, node

pytest.importorskip("kubernetes")

NAMESPACE = "/api/v1/namespaces/images"


def access(api: Api) -> kube.Access:
    return kube.Access("the test", True, overrides=(("host", api.url),))


def message(api: Api) -> str:
    with pytest.raises(OcneError) as failed:
        existing.examine(access(api), "images")
    return str(failed.value)


def test_a_cluster_that_can_build(api: Api) -> None:
    assert existing.examine(access(api), "images").version == "v1.34.4"
    assert "create jobs in images" in api.reviewed and "create pods/exec in images" in api.reviewed
    assert not any("namespaces" in right for right in api.reviewed)
    assert api.created == []


def test_the_documented_role_is_what_is_reviewed() -> None:
    documented = {
        (group, *[*resource.split("/"), ""][:2]): tuple(rule["verbs"])
        for rule in documented_rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert documented == existing.BUILD_RIGHTS


def test_a_namespace_that_is_missing_has_to_be_allowed(api: Api) -> None:
    api.status[NAMESPACE] = 404
    existing.examine(access(api), "images")
    assert "create namespaces in the cluster" in api.reviewed
    api.forbidden.add("create namespaces")
    assert "create namespaces" in message(api)


def test_all_that_is_forbidden_is_told_at_once(api: Api) -> None:
    api.forbidden |= {"create jobs", "create pods/exec", "delete secrets"}
    text = message(api)
    assert "create jobs.batch; create pods/exec; delete secrets" in text and "namespace images" in text


@pytest.mark.parametrize(("status", "hint"), [(401, "log in again"), (403, "Ask for a role"), (503, "run again later")])
def test_refusals_are_told_with_what_to_do(api: Api, status: int, hint: str) -> None:
    api.status["/version/"] = status
    text = message(api)
    assert f"refused with {status} ({status} Reason{status})" in text and hint in text


def test_no_answer_is_told() -> None:
    nobody = kube.Access("the test", True, overrides=(("host", "http://127.0.0.1:1"),))
    with pytest.raises(kube.ClusterError, match=r"no answer from the API server .*Connection refused") as failed:
        existing.examine(nobody, "images")
    assert failed.value.status == 0


def test_a_server_that_speaks_no_tls_is_told(api: Api) -> None:
    speaking_http = kube.Access("the test", True, overrides=(("host", api.url.replace("http:", "https:")),))
    with pytest.raises(kube.ClusterError, match=r"no answer from the API server .*SSL"):
        existing.examine(speaking_http, "images")


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        ([], "it has no nodes"),
        ([node("a", "False", message="network is not ready")], r"a is not ready \(network is not ready\)"),
        ([node("a", "Unknown"), node("b", unschedulable=True)], r"a is not ready \(no reason given\); b is cordoned"),
        ([node("a", taint="node.kubernetes.io/not-ready")], r"a is not ready \(it has the taint node.kubernetes.io/not-ready\)"),
    ],
)
def test_a_cluster_without_a_node_to_work_on(api: Api, nodes: list[dict[str, object]], told: str) -> None:
    api.nodes = nodes
    with pytest.raises(existing.NotReady, match=told):
        existing.examine(access(api), "images")


def test_one_node_that_is_ready_is_enough(api: Api) -> None:
    api.nodes = [node("a", "False"), node("b")]
    existing.examine(access(api), "images")


def test_users_of_one_namespace_see_neither_nodes_nor_namespaces(api: Api) -> None:
    api.status["/api/v1/nodes"] = api.status[NAMESPACE] = 403
    existing.examine(access(api), "images")


def test_waiting_ends_with_the_last_reason(api: Api) -> None:
    api.nodes = [node("a", "False", message="starting")]
    with pytest.raises(OcneError, match=r"not ready within 0 s\. .*starting"):
        existing.wait(access(api), "images", 0)


def test_waiting_does_not_go_on_where_it_is_in_vain(api: Api) -> None:
    api.forbidden.add("create jobs")
    with pytest.raises(OcneError, match="create jobs"):
        existing.wait(access(api), "images", 3600)
