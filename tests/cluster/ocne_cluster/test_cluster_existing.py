# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ocne_cluster with a cluster that runs: the ways by which it is found, and whether it can be built on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import build_cluster, module_call
from tests.support.build_cluster import BuildCluster


@pytest.fixture(scope="module")
def cluster() -> BuildCluster:
    return build_cluster.ready()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With nothing in it that names a cluster, nor in the environment."""
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def find(cluster: BuildCluster, **options: Any) -> dict[str, Any]:
    """What is found, which has to be this cluster, and no other one is made."""
    found = module_call.call("ocne_cluster", options)
    assert (found["changed"], found["created"], found["provider"]) == (False, False, "existing")
    assert found["name"] == f"kind-{cluster.name}" and found["version"].startswith("v1.")
    return found


@pytest.mark.parametrize("variable", ["KUBECONFIG", "K8S_AUTH_KUBECONFIG"])
def test_the_one_that_a_variable_names(cluster: BuildCluster, home: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, str(cluster.kubeconfig))
    assert find(cluster, provider="auto")["kubeconfig"] == str(cluster.kubeconfig)


def test_the_one_of_the_users_own_kubeconfig(cluster: BuildCluster, home: Path) -> None:
    (home / ".kube").mkdir()
    shutil.copy(cluster.kubeconfig, home / ".kube/config")
    assert find(cluster)["kubeconfig"] == str(home / ".kube/config")


def test_one_without_a_node_that_takes_pods(cluster: BuildCluster, home: Path) -> None:
    named = {"provider": "auto", "kubeconfig": str(cluster.kubeconfig)}
    cluster.kubectl("cordon", cluster.node)
    try:
        assert f"{cluster.node} is cordoned" in module_call.message("ocne_cluster", named)
    finally:
        cluster.kubectl("uncordon", cluster.node)
    find(cluster, **named)
