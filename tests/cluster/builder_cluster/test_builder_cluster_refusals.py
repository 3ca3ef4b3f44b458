# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster refuses, or cannot give: each is told with what to do, and nothing is left."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._kubernetes import diagnosis

from tests.cluster.builder_cluster.conftest import ClusterConverter, converter
from tests.support import cluster_accounts
from tests.support.build_cluster import BuildCluster, is_building
from tests.support.network import free_port
from tests.support.sample_disk import DiskSpec, boot_disk
from tests.support.watching import wait_until


@pytest.fixture(autouse=True)
def nothing_left(convert: ClusterConverter) -> Iterator[None]:
    yield
    assert convert.left() == [] and convert.files() == []


@pytest.fixture(scope="module")
def overflowing(cluster: BuildCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterConverter]:
    with converter(cluster, tmp_path_factory.mktemp("overflowing")) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def full(overflowing: ClusterConverter) -> Iterator[subprocess.Popen[str]]:
    """A run that pauses when it has sent more than its pod has asked room for."""
    process = overflowing.start(source=str(boot_disk(DiskSpec(padding=300))), storage="64Mi")
    overflowing.cluster.wait_for_pod(overflowing.namespace, is_building, 300)
    wait_until(lambda: overflowing.inside("find", "/ocne/work", "-path", "*/sources/*", "-size", "+100M"), process)
    process.send_signal(signal.SIGSTOP)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What often passes by itself counts as failure soon."""
    for name in ("_UNSCHEDULABLE", "_NO_ROOM", "_NO_VOLUME"):
        monkeypatch.setattr(diagnosis, name, 1.0)
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        monkeypatch.setitem(diagnosis._CONTAINER_TROUBLES, reason, 1.0)


def test_no_cluster(convert: ClusterConverter) -> None:
    message = convert.message(kubeconfig=None)
    assert "There is no cluster to build on" in message and "builder: local" in message


def test_a_cluster_that_does_not_answer(convert: ClusterConverter) -> None:
    address = f"https://127.0.0.1:{free_port()}"
    message = convert.message(kubeconfig=None, host=address)
    assert f"on the cluster at {address}: no answer from the API server" in message and "Connection refused" in message


def test_a_wrong_context(convert: ClusterConverter) -> None:
    assert f"It has the contexts kind-{convert.cluster.name}: set context" in convert.message(context="elsewhere")


def test_expired_credentials(convert: ClusterConverter) -> None:
    message = convert.message(kubeconfig=str(cluster_accounts.expired(convert.cluster, convert.home)))
    assert "(401 Unauthorized)" in message and "have expired" in message


def test_an_account_that_may_nothing(convert: ClusterConverter) -> None:
    message = convert.message(kubeconfig=convert.account())
    assert f"Could not create Job {convert.namespace}/ocne-boot-image-" in message
    assert "(403 Forbidden)" in message and "Ask for a role" in message


def test_an_account_that_may_not_all(convert: ClusterConverter) -> None:
    """The refusal comes when the pod runs: what was made goes."""
    rules: list[dict[str, Any]] = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "delete"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["list", "get"]},
        {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["create", "delete"]},
    ]
    message = convert.message(kubeconfig=convert.account(rules))
    assert "pods/exec" in message and "(403 Forbidden)" in message


POD_QUOTA = {"kind": "ResourceQuota", "spec": {"hard": {"requests.memory": "256Mi"}}}
OBJECT_QUOTA = {"kind": "ResourceQuota", "spec": {"hard": {"count/configmaps": "1"}}}
LIMITS = {"kind": "LimitRange", "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (POD_QUOTA, ("quota does not allow its pod", "requests.memory=512Mi", "limited: requests.memory=256Mi")),
        (OBJECT_QUOTA, ("Could not create ConfigMap", "exceeded quota", "or have it raised")),
        (LIMITS, ("limits do not allow its pod", "maximum memory usage per Container is 1Gi", "Set resources")),
    ],
    ids=["pods", "objects", "limits"],
)
def test_a_namespace_with_limits(convert: ClusterConverter, limit: dict[str, Any], told: tuple[str, ...]) -> None:
    manifest = {"apiVersion": "v1", "metadata": {"name": "limit", "namespace": convert.namespace}, **limit}
    convert.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    message = convert.message()
    convert.cluster.kubectl("delete", limit["kind"], "limit", "-n", convert.namespace)
    assert all(part in message for part in told), message


def test_no_node_has_room(convert: ClusterConverter) -> None:
    message = convert.message(storage="100Ti")
    assert "No node of the cluster has room" in message and "ephemeral-storage 100Ti" in message
    assert f"node {convert.cluster.node} has free only ephemeral-storage" in message
    events = convert.cluster.get("events", convert.namespace)
    assert events == [], "nothing was begun"


@pytest.mark.usefixtures("impatient")
def test_no_node_has_room_for_whom_may_not_look_at_nodes(convert: ClusterConverter) -> None:
    message = convert.message(kubeconfig=convert.account(cluster_accounts.documented_rules()), storage="100Ti")
    assert "no node takes pod" in message and "Insufficient ephemeral-storage" in message and "change storage" in message


@pytest.mark.usefixtures("impatient")
def test_a_builder_image_that_cannot_be_pulled(convert: ClusterConverter) -> None:
    message = convert.message(builder_image=f"127.0.0.1:{free_port()}/builder:1")
    assert "container build of pod" in message and "connection refused" in message and "image_pull_secrets" in message


def test_an_image_that_cannot_convert(convert: ClusterConverter) -> None:
    (proxy, *_others) = convert.cluster.get("pods", "kube-system", "-l", "k8s-app=kube-proxy")
    message = convert.message(builder_image=proxy["spec"]["containers"][0]["image"])
    assert "cannot start" in message and "python3" in message and "Choose another image" in message


@pytest.mark.usefixtures("impatient")
def test_a_storage_class_that_is_not_there(convert: ClusterConverter) -> None:
    message = convert.message(storage_class="nowhere")
    assert 'storageclass.storage.k8s.io "nowhere" not found' in message and "Check storage_class" in message


def test_out_of_memory(convert: ClusterConverter) -> None:
    little = {"requests": {"memory": "12Mi"}, "limits": {"memory": "12Mi"}}
    message = convert.message(resources=little)
    assert "used more memory than it may" in message and "Raise the memory in resources" in message


def test_a_deadline(convert: ClusterConverter) -> None:
    message = convert.message(wait_timeout=1)
    assert "took longer than it may" in message and "Raise wait_timeout" in message


def test_more_storage_used_than_asked_for(full: subprocess.Popen[str], overflowing: ClusterConverter) -> None:
    """The last test, so that the kubelet has had a look at the volume meanwhile, as it does once in a minute."""
    try:
        overflowing.cluster.wait_for_pod(overflowing.namespace, lambda pod: pod["status"].get("reason") == "Evicted", 300)
    finally:
        full.send_signal(signal.SIGCONT)
    message = json.loads(full.communicate(timeout=300)[0])["msg"]
    assert "was evicted" in message and "exceeds" in message and "Raise storage" in message
    assert overflowing.left() == []
