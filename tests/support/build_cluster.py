# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real cluster for tests that build on one, as the tests see it: namespaces of their own, and what is in them."""

from __future__ import annotations

import importlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Optional

from tests.support import builder_images
from tests.support.command import run

LABEL = "app.kubernetes.io/managed-by=ocne.images"


@dataclass(frozen=True)
class BuildCluster:
    """A kind cluster that has the images for a build.

    :param image: for both containers of a build.
    :param gateway: address of this machine as pods see it.
    :param env: with which docker and kind work.
    """

    name: str
    kubeconfig: Path
    image: str
    gateway: str
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """The container that is the only node."""
        return f"{self.name}-control-plane"

    def kubectl(self, *words: str, stdin: Optional[str] = None) -> str:
        """kubectl of the node, with the rights of an administrator."""
        command = ["docker", "exec", "-i", self.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", *words]
        return run(*command, stdin=stdin, env=self.env)

    def get(self, kinds: str, namespace: str, *options: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-n", namespace, "-o", "json", *options))["items"]
        return items

    def left(self, namespace: str) -> list[str]:
        """All that a build could leave, as kind/name."""
        found = self.get("all,secret,configmap,persistentvolumeclaim", namespace)
        names = [f"{each['kind']}/{each['metadata']['name']}" for each in found]
        return sorted(name for name in names if name != "ConfigMap/kube-root-ca.crt")

    @contextmanager
    def namespace(self, *labels: str) -> Iterator[str]:
        """A new namespace, removed afterwards."""
        name = f"test-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        if labels:
            self.kubectl("label", "namespace", name, *labels)
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    def wait_for_pod(self, namespace: str, fits: Callable[[dict[str, Any]], bool], timeout: float = 60) -> dict[str, Any]:
        """The first pod that fits."""
        deadline = time.monotonic() + timeout
        while True:
            for pod in self.get("pods", namespace):
                if fits(pod):
                    return pod
            assert time.monotonic() < deadline, f"no such pod came up in {namespace}: {self.left(namespace)}"
            time.sleep(0.1)


def is_building(pod: Mapping[str, Any]) -> bool:
    """Whether the program runs in this pod, and nobody has ended it."""
    states = [each["state"] for each in pod["status"].get("containerStatuses", [])]
    return "deletionTimestamp" not in pod["metadata"] and any("running" in state for state in states)


def ready() -> BuildCluster:
    """The cluster that OCNE_TEST_KUBECONFIG names (one of kind), else the project's own, made where it is missing."""
    given = os.environ.get("OCNE_TEST_KUBECONFIG")
    env: dict[str, str] = {}
    if given:
        kubeconfig = Path(given)
        env["PATH"] = os.pathsep.join([str(kubeconfig.parent / "bin"), os.environ["PATH"]])
    else:
        cluster = importlib.import_module("tests.support.kind.cluster")
        env.update(cluster.up().environment)
        kubeconfig = cluster.KUBECONFIG
    context = importlib.import_module("yaml").safe_load(kubeconfig.read_text())["current-context"]
    name = str(context).partition("kind-")[2]
    gateways = json.loads(run("docker", "network", "inspect", "kind", env=env))[0]["IPAM"]["Config"]
    gateway = next(each["Gateway"] for each in gateways if "." in each.get("Gateway", ""))
    return BuildCluster(name, kubeconfig, builder_images.load(name, env=env), gateway, env)


def kill_node(cluster: BuildCluster) -> None:
    """Restart the only node, and the API server with it."""
    subprocess.run(["docker", "restart", "--time", "1", cluster.node], env={**os.environ, **cluster.env}, check=True, capture_output=True)
