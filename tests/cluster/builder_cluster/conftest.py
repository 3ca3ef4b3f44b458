# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import build_cluster, cluster_accounts, module_call, registry
from tests.support.build_cluster import BuildCluster, is_building
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.sample_disk import SMALL, DiskSpec, boot_disk
from tests.support.sample_image import write_layout

#: Large enough for something to happen while it is on its way.
LARGER = DiskSpec(padding=300)
WHOLE = ["boot.oci", "boot.oci.build.json"]


class ClusterConverter:
    """ocne_boot_image on the cluster, with a namespace, a home, a folder and a cache of its own."""

    def __init__(self, cluster: BuildCluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace = cluster, namespace
        self.dest = folder / "images/boot.oci"
        self.home = folder / "home"
        self.params: dict[str, Any] = {
            "dest": str(self.dest),
            "cache_dir": str(folder / "cache"),
            "architecture": "amd64",
            "tls_verify": False,
            "builder": "cluster",
            "kubeconfig": str(cluster.kubeconfig),
            "namespace": namespace,
            "builder_image": cluster.image,
            "fetcher_image": cluster.image,
            "storage": "2Gi",
            "source": str(boot_disk(SMALL)),
        }

    def __call__(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return module_call.call("ocne_boot_image", {**self.params, **options}, check)

    def message(self, **options: Any) -> str:
        return module_call.message("ocne_boot_image", {**self.params, **options})

    def local(self, **options: Any) -> dict[str, Any]:
        """The same on this host, elsewhere."""
        return self(**{"builder": "local", "dest": f"{self.dest.parent}/local/", **options})

    def start(self, **options: Any) -> subprocess.Popen[str]:
        return module_call.start("ocne_boot_image", {**self.params, **options})

    def left(self) -> list[str]:
        """What is left of builds: on the cluster, and receipts on this host."""
        receipts = [path.name for path in (self.home / ".ocne/builds").glob("*")]
        return self.cluster.left(self.namespace) + receipts

    def inside(self, *command: str) -> str:
        """What a command writes in the builder's container of the pod that runs."""
        pod = self.cluster.wait_for_pod(self.namespace, is_building, 300)["metadata"]["name"]
        return self.cluster.kubectl("exec", "-n", self.namespace, pod, "-c", "build", "--", *command)

    def account(self, rules: Sequence[Mapping[str, Any]] = ()) -> str:
        """The kubeconfig of a new account that has these rights in the namespace, and no others."""
        return str(cluster_accounts.with_rights(self.cluster, self.namespace, self.home, rules))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.dest.parent.iterdir()) if self.dest.parent.is_dir() else []


def reached(registry: Registry) -> dict[str, object]:
    """Options with which the registry is reached."""
    return {"username": USER, "password": PASSWORD, "ca_certificates": str(registry.ca), "tls_verify": True}


@pytest.fixture(scope="session")
def boot_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boot") / "layout"
    write_layout(folder, architectures=("amd64", "arm64"), compression="gzip", more_layers=True)
    return folder


@pytest.fixture(scope="session")
def cluster() -> BuildCluster:
    return build_cluster.ready()


@pytest.fixture(scope="session")
def pod_registry(cluster: BuildCluster) -> Iterator[Registry]:
    """A registry that pods reach, with a password, over TLS."""
    with registry.serve(auth=True, tls=True, address=cluster.gateway) as running:
        yield running


@contextmanager
def converter(cluster: BuildCluster, folder: Path) -> Iterator[ClusterConverter]:
    """A converter whose namespace enforces 'restricted'. Receipts are kept in the home folder; those of others are none of its own."""
    with cluster.namespace("pod-security.kubernetes.io/enforce=restricted") as namespace, pytest.MonkeyPatch.context() as changed:
        made = ClusterConverter(cluster, namespace, folder)
        made.home.mkdir()
        changed.setenv("HOME", str(made.home))
        changed.delenv("KUBECONFIG", raising=False)
        yield made


@pytest.fixture
def convert(cluster: BuildCluster, tmp_path: Path) -> Iterator[ClusterConverter]:
    with converter(cluster, tmp_path) as made:
        yield made
