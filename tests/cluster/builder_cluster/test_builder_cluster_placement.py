# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where builds run, with what storage, and by which way they reach registries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._kubernetes import diagnosis

from tests.cluster.builder_cluster.conftest import ClusterConverter, reached
from tests.support import proxy
from tests.support.build_cluster import BuildCluster
from tests.support.command import run
from tests.support.registry import PASSWORD, USER, Registry


def test_an_image_is_fetched_through_a_proxy_with_a_password(convert: ClusterConverter, pod_registry: Registry, boot_layout: Path) -> None:
    source = pod_registry.push(f"oci:{boot_layout}:1.33", "olcne/ock:proxied")
    gateway = convert.cluster.gateway
    with proxy.serve(gateway) as running:
        made = convert(source=source, proxy={"https": running.url}, **reached(pod_registry))
    assert {target for _client, target in running.tunnels} == {pod_registry.host}
    assert any(client != gateway for client, _target in running.tunnels), "the pod goes through it, too"
    assert made["changed"] and proxy.PASSWORD not in json.dumps(made)
    assert convert.left() == []


def test_a_build_goes_to_the_node_with_the_label(convert: ClusterConverter) -> None:
    node, label = convert.cluster.node, f"{convert.namespace}/disk"
    assert f"has not the label {label}=large" in convert.message(node_selector={label: "large"})
    convert.cluster.kubectl("label", "node", node, f"{label}=large")
    try:
        assert convert(node_selector={label: "large"})["changed"]
    finally:
        convert.cluster.kubectl("label", "node", node, f"{label}-")


def test_a_build_goes_to_a_node_with_a_taint(convert: ClusterConverter) -> None:
    """What keeps others away from a node for builds, and from anything that already runs there nothing."""
    node, key = convert.cluster.node, f"{convert.namespace}/builds"
    convert.cluster.kubectl("taint", "node", node, f"{key}=only:NoSchedule")
    try:
        assert f"node {node} has the taint {key}" in convert.message()
        assert f"node {node} has the taint {key}" in convert.message(tolerations=[{"key": key, "value": "others"}])
        assert convert.left() == []
        assert convert(tolerations=[{"key": key, "value": "only", "effect": "NoSchedule"}])["changed"]
    finally:
        convert.cluster.kubectl("taint", "node", node, f"{key}-")
    assert convert.left() == []


def test_an_image_is_pulled_with_the_account_of_a_secret(
    convert: ClusterConverter, pod_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "image.tar"
    run("docker", "save", "--output", archive, convert.cluster.image, env=convert.cluster.env)
    image = pod_registry.push(f"docker-archive:{archive}", "mirror/python:3").partition("//")[2]
    archive.unlink()
    with trusted_by_node(convert.cluster, pod_registry), monkeypatch.context() as impatient:
        for reason in ("ErrImagePull", "ImagePullBackOff"):
            impatient.setitem(diagnosis._CONTAINER_TROUBLES, reason, 1.0)
        message = convert.message(builder_image=image)
        assert image in message and "image_pull_secrets" in message and convert.left() == []
    account = ["--docker-server", pod_registry.host, "--docker-username", USER, "--docker-password", PASSWORD]
    convert.cluster.kubectl("create", "secret", "docker-registry", "mirror-account", "-n", convert.namespace, *account)
    assert convert(builder_image=image, image_pull_secrets=["mirror-account"])["changed"]
    assert convert.left() == ["Secret/mirror-account"], "it is the user's own"


@contextmanager
def trusted_by_node(cluster: BuildCluster, registry: Registry) -> Iterator[None]:
    """The node's container runtime trusts the registry's certificate; it reads those only when it starts."""
    assert registry.ca
    certificate = f"/etc/ssl/certs/{registry.host.replace(':', '-')}.pem"
    run("docker", "exec", "-i", cluster.node, "tee", certificate, stdin=registry.ca.read_text(), env=cluster.env)
    run("docker", "exec", cluster.node, "systemctl", "restart", "containerd", env=cluster.env)
    try:
        yield
    finally:
        run("docker", "exec", cluster.node, "rm", certificate, env=cluster.env)


def test_a_volume_of_a_storage_class(convert: ClusterConverter) -> None:
    """A volume of the node's, made beforehand, as an administrator without a provisioner does."""
    name, folder = f"{convert.namespace}-volume", f"/var/{convert.namespace}"
    on_node = ("docker", "exec", convert.cluster.node)
    run(*on_node, "mkdir", "--mode=0777", folder, env=dict(convert.cluster.env))
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [convert.cluster.node]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }
    convert.cluster.kubectl("create", "-f", "-", stdin=json.dumps(volume))
    try:
        assert convert(storage_class=name)["sha256"] == convert.local()["sha256"]
        assert run(*on_node, "find", folder, "-name", "output", env=dict(convert.cluster.env)), "it worked in the volume"
        assert convert.left() == []
    finally:
        convert.cluster.kubectl("delete", "persistentvolume", name, "--wait=false")
        run(*on_node, "rm", "-r", folder, env=dict(convert.cluster.env))
