# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules in a pod, as runners of CI have them: the cluster around it is found, and reached by the pod's service account."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.cluster.builder_cluster.conftest import ClusterConverter
from tests.support.build_cluster import BuildCluster
from tests.support.cluster_accounts import documented_rules
from tests.support.command import ROOT
from tests.support.sample_disk import SMALL, boot_disk

_FOLDER = "/runner"


class Runner:
    """A pod that runs modules, with the rights that are documented for its service account.

    :param account: of its namespace.
    """

    def __init__(self, cluster: BuildCluster, namespace: str, account: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        container = {
            "name": "runner",
            "image": cluster.image,
            "command": ["python3", "-c", "import signal; signal.pause()"],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "folder", "mountPath": _FOLDER}],
        }
        pod = {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "folder", "emptyDir": {}}],
        }
        manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runner", "namespace": namespace}, "spec": pod}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        cluster.kubectl("wait", "pod/runner", "-n", namespace, "--for=condition=Ready", "--timeout=120s")

    def put(self, archive: bytes) -> None:
        """Unpack a tar."""
        self._exec(["tar", "-x", "-C", _FOLDER], archive)

    def call(self, module: str, **params: Any) -> dict[str, Any]:
        environment = ["env", f"--chdir={_FOLDER}", f"HOME={_FOLDER}", f"PYTHONPATH={_FOLDER}/packages"]
        printed = self._exec([*environment, "python3", "-m", "tests.support.module_call", module], json.dumps(params).encode())
        result: dict[str, Any] = json.loads(printed)
        return result

    def _exec(self, command: list[str], stdin: bytes) -> bytes:
        kubectl = ["docker", "exec", "-i", self._cluster.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]
        words = [*kubectl, "exec", "-i", "-n", self._namespace, "runner", "--", *command]
        done = subprocess.run(words, input=stdin, capture_output=True, env={**os.environ, **self._cluster.env}, check=False)
        assert not done.returncode, done.stdout.decode() + done.stderr.decode()
        return done.stdout


@pytest.fixture
def runner(convert: ClusterConverter) -> Runner:
    """With the collection, the packages it needs, and a boot image."""
    account = Path(convert.account(documented_rules())).name
    made = Runner(convert.cluster, convert.namespace, account)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("plugins", "tests/__init__.py", "tests/conftest.py", "tests/support"):
            if (ROOT / name).exists():
                tar.add(ROOT / name, name, filter=_plain)
        for package in sorted(_needed("ansible-core") | _needed("kubernetes")):
            for file in distribution(package).files or []:
                # What is compiled is for the Python of this host; these packages have the same in Python.
                if (file.suffix == ".py" and ".." not in file.parts) or file.name == "cacert.pem":
                    tar.add(file.locate(), f"packages/{file}")
        tar.add(boot_disk(SMALL), "boot.qcow2")
    made.put(archive.getvalue())
    return made


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in member.name else member


def _needed(package: str) -> set[str]:
    """The package, and all that it needs."""
    names, to_do = set[str](), [package]
    while to_do:
        name = to_do.pop()
        if name in names:
            continue
        names.add(name)
        wanted = map(Requirement, distribution(name).requires or [])
        to_do += [each.name for each in wanted if not each.marker or each.marker.evaluate({"extra": ""})]
    return names


def test_the_cluster_around_a_pod_is_found_and_builds(convert: ClusterConverter, runner: Runner) -> None:
    found = runner.call("ocne_cluster", provider="existing", namespace=convert.namespace)
    assert (found["provider"], found["created"], found["kubeconfig"]) == ("existing", False, "")
    made = runner.call(
        "ocne_boot_image",
        **{name: convert.params[name] for name in ("builder", "namespace", "builder_image", "storage", "architecture")},
        source=f"{_FOLDER}/boot.qcow2",
        dest=f"{_FOLDER}/boot.oci",
    )
    assert made["changed"] and made["sha256"] == convert.local()["sha256"]
    assert convert.cluster.get("jobs,configmaps", convert.namespace, "-l", "app.kubernetes.io/managed-by=ocne.images") == []
