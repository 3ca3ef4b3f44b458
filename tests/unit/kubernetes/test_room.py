# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.room import check_room, pod_requests, quantity

WANTED = {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "20Gi"}


def node(
    name: str = "one", storage: str = "100Gi", spec: Optional[Mapping[str, Any]] = None, ready: str = "True", labels: Any = None
) -> dict[str, Any]:
    allocatable = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": storage, "pods": "110"}
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": dict(spec or {}), "status": status}


def pod(on: str, **requests: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): amount for name, amount in requests.items()}
    return {"spec": {"nodeName": on, "containers": [{"resources": {"requests": named}}]}}


def refusal(*nodes: dict[str, Any], pods: Any = (), **options: Any) -> str:
    with pytest.raises(OcneError) as error:
        check_room(nodes, pods, WANTED, options.get("node_selector", {}), options.get("tolerations", []))
    return str(error.value)


def test_one_node_with_room_is_enough() -> None:
    check_room([node("one", "1Gi"), node("two")], [], WANTED, {}, [])


def test_what_is_free_is_told() -> None:
    said = refusal(node(storage="30Gi"), pods=[pod("one", ephemeral_storage="15Gi"), pod("two", ephemeral_storage="1Ti")])
    assert "asks for cpu 500m, memory 512Mi, ephemeral-storage 20Gi" in said
    assert "node one has free only ephemeral-storage 15.0Gi" in said


def test_a_node_that_takes_no_pods_has_no_room() -> None:
    assert "is not ready" in refusal(node(ready="False"))
    assert "takes no new pods" in refusal(node(spec={"unschedulable": True}))
    assert "has not the label disk=large" in refusal(node(), node_selector={"disk": "large"})
    assert "it has no nodes" in refusal()


def test_taints_count_unless_they_are_tolerated() -> None:
    tainted = node(spec={"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]})
    assert "has the taint gpu" in refusal(tainted)
    assert "has the taint gpu" in refusal(tainted, tolerations=[{"key": "gpu", "value": "no"}])
    for toleration in (
        {"operator": "Exists"},
        {"key": "gpu", "operator": "Exists"},
        {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
    ):
        check_room([tainted], [], WANTED, {}, [toleration])
    check_room([node(spec={"taints": [{"key": "a", "effect": "PreferNoSchedule"}]})], [], WANTED, {}, [])


def test_a_pod_takes_the_larger_of_its_containers_and_of_what_runs_before_them() -> None:
    def container(cpu: str) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}}

    spec = {"containers": [container("1"), container("500m")], "initContainers": [container("2"), container("1")]}
    assert pod_requests(spec) == {"cpu": 2}
    assert pod_requests({"containers": [{}]}) == {}
    assert pod_requests({"containers": [{}], "initContainers": [container("500m")]}) == {"cpu": quantity("500m")}


def test_a_node_without_a_resource_has_none_of_it() -> None:
    with pytest.raises(OcneError, match=r"node one has free only example\.com/gpu 0\."):
        check_room([node()], [], {"example.com/gpu": "1"}, {}, [])
    taken = pod("one", **{"example.com/gpu": "1"})
    with pytest.raises(OcneError, match=r"node one has free only example\.com/gpu -1\."):
        check_room([node()], [taken], {"example.com/gpu": "1"}, {}, [])


@pytest.mark.parametrize("text", ["", "20 GB", "many", "20gi"])
def test_what_is_no_quantity_is_said(text: str) -> None:
    with pytest.raises(OcneError, match="is no quantity"):
        quantity(text)
