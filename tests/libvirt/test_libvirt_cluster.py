# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole life of a libvirt cluster, as an ordinary user has it: a stand-in of the OCK boot image boots, and builds.

Where KVM does not work, the processor is emulated: a node takes minutes. So two are all that is made here: one by the
module, and one by roles, in Molecule's scenario.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from ansible_collections.ocne.images.plugins.module_utils import _kubernetes_client as kube

from tests.support import module_call
from tests.support.collection import collections_path
from tests.support.command import ROOT, run
from tests.support.libvirt_user import Clusters
from tests.support.ock_node import image
from tests.support.sample_disk import SMALL, boot_disk

#: Seconds for a node to get ready, or for a build on it, where the processor is emulated on a busy machine.
_PATIENCE = 1500


def api(kubeconfig: str) -> Any:
    return kube.library().CoreV1Api(kube.connect(kube.Access("the test", True, kubeconfig)))


def wait_for_pods(kubeconfig: str, *names: str) -> None:
    """Wait until pods whose names begin so are ready."""
    deadline = time.monotonic() + _PATIENCE
    missing = set(names)
    while missing:
        pods = api(kubeconfig).list_pod_for_all_namespaces().items
        for pod in pods:
            if all(status.ready for status in pod.status.container_statuses or [None] if status) and pod.status.phase == "Running":
                missing -= {name for name in missing if pod.metadata.name.startswith(name)}
        assert time.monotonic() < deadline, (missing, [(pod.metadata.name, pod.status.phase) for pod in pods])
        time.sleep(2)


def test_a_cluster_is_made_found_started_builds_and_is_removed(clusters: Clusters, tmp_path: Path) -> None:
    user = clusters.user
    before = user.there()
    clusters.params.update(source=str(image.image()), kubernetes_version=image.KUBERNETES_VERSION, disk_size=10, wait_timeout=_PATIENCE)
    predicted = clusters(check=True)
    assert predicted["changed"] and predicted["created"] and user.there() == before
    made = clusters()
    assert made["actions"] == predicted["actions"] and made["created"] and made["hypervisor"] in ("kvm", "tcg")
    kubeconfig = user.home / f".kube/kubeconfig.{clusters.name}.local"
    assert made["kubeconfig"] == str(kubeconfig) and made["version"].startswith(f"v{image.KUBERNETES_VERSION}.")
    _check_files(clusters, kubeconfig)

    (node,) = api(made["kubeconfig"]).list_node().items
    assert node.metadata.name == clusters.machine and not node.spec.taints
    again = clusters()
    assert not again["changed"] and not again["created"]
    assert "has Kubernetes 1.34, and 1.33 is asked for. Set force" in clusters.message(kubernetes_version="1.33")
    anew = clusters(check=True, kubernetes_version="1.33", force=True)["actions"]
    assert anew[0].startswith(f"remove the libvirt cluster {clusters.name}: it has Kubernetes 1.34") and anew[1:] == made["actions"]

    kubeconfig.unlink()
    user.virsh("shutdown", clusters.machine)
    user.wait_for("domstate", clusters.machine, contains="shut off")
    started = clusters()
    assert started["actions"] == [f"start the libvirt cluster {clusters.name}", f"write {kubeconfig}"] and not started["created"]
    wait_for_pods(started["kubeconfig"], "kube-flannel-ds", "kube-proxy", "coredns")
    _check_build(started["kubeconfig"], tmp_path)

    removed = clusters(state="absent")
    assert removed["changed"] and user.there() == before
    assert not clusters(state="absent")["changed"]


def _check_files(clusters: Clusters, kubeconfig: Path) -> None:
    """What is there carries the names that the documentation gives, and what is secret is for its owner only."""
    user = clusters.user
    there = user.there()
    volumes = [each.partition(" ")[2] for each in there if each.startswith("volume ")]
    (base,) = [name for name in volumes if name.startswith("boot.qcow2-1.34-")]
    ours = {f"{clusters.machine}{suffix}" for suffix in (".qcow2", "-init.ign", "-console.log")}
    assert set(volumes) == {base, *ours} and f"machine {clusters.machine}" in there
    receipt = user.home / f".ocne/clusters/{clusters.name}.json"
    named = json.loads(receipt.read_text())["owned"]
    assert named["uuid"] == user.virsh("domuuid", clusters.machine).strip() and named["base"] == base
    secret = [kubeconfig, receipt, user.home / f".local/share/libvirt/images/{clusters.machine}-init.ign"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in secret)
    assert "PRIVATE KEY" not in receipt.read_text()


def _check_build(kubeconfig: str, folder: Path) -> None:
    """A build on the cluster gives what a build on this host does."""
    params = {"source": str(boot_disk(SMALL)), "architecture": "amd64", "cache_dir": str(folder / "cache"), "engine": "native"}
    remote = {"builder": "cluster", "kubeconfig": kubeconfig, "storage": "1Gi", "wait_timeout": _PATIENCE}
    images = {"builder_image": image.BUILDER_IMAGE, "fetcher_image": image.BUILDER_IMAGE}
    built = module_call.call("ocne_boot_image", {**params, **remote, **images, "dest": str(folder / "remote.oci")})
    here = module_call.call("ocne_boot_image", {**params, "dest": str(folder / "local.oci")})
    assert built["sha256"] == here["sha256"] and built["changed"]


def test_roles_build_where_there_is_no_cluster(clusters: Clusters, tmp_path: Path) -> None:
    for made_by_root in (image.image, boot_disk):
        made_by_root()
    user = clusters.user
    before = user.there()
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections_path()), "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path), "NO_COLOR": "1"}
    command = user.command("molecule", "test", "--scenario-name=libvirt_cluster", "--destroy=never")
    run(*command, cwd=ROOT, env={**user.environment, **environment})
    assert set(user.there()) <= set(before)
