# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ocne_cluster with the real kind: what is made is real, removed without a trace, and nothing of others is touched."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import module_call
from tests.support.command import run
from tests.support.kind import cluster
from tests.support.kind.cluster import Tools
from tests.support.watching import wait_until

LABEL = "io.x-k8s.kind.cluster"


class Clusters:
    """ocne_cluster with the provider kind, and a home folder and a name of the test's own."""

    def __init__(self, tools: Tools, home: Path) -> None:
        self.home = home
        self.name = f"test-{secrets.token_hex(3)}"
        self.params: dict[str, Any] = {"provider": "kind", "name": self.name, "node_image": tools.node_image, "wait_timeout": 240}

    def __call__(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return module_call.call("ocne_cluster", {**self.params, **options}, check)

    def message(self, **options: Any) -> str:
        return module_call.message("ocne_cluster", {**self.params, **options})

    def nodes(self) -> list[str]:
        """Ids of the containers of the cluster of that name."""
        return run("docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={self.name}").split()

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())


@pytest.fixture(scope="session")
def tools() -> Tools:
    return cluster.tools()


@pytest.fixture
def clusters(tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clusters]:
    for name, value in {**tools.environment, "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    these = Clusters(tools, tmp_path)
    yield these
    for node in these.nodes():
        run("docker", "rm", "--force", "--volumes", node)


def test_a_cluster_is_made_found_started_and_removed(clusters: Clusters) -> None:
    predicted = clusters(check=True)
    assert predicted["changed"] and predicted["created"] and not clusters.nodes() and not clusters.files()
    made = clusters()
    assert made["actions"] == predicted["actions"] and made["diff"] == predicted["diff"]
    kubeconfig = Path(made["kubeconfig"])
    assert kubeconfig == clusters.home / f".kube/kubeconfig.{clusters.name}.local"
    assert clusters.files() == [f".kube/{kubeconfig.name}", f".ocne/clusters/{clusters.name}.json"]
    assert all((clusters.home / name).stat().st_mode & 0o777 == 0o600 for name in clusters.files())
    (node,) = clusters.nodes()
    ready = run("docker", "exec", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "nodes", "-o", "json")
    conditions = json.loads(ready)["items"][0]["status"]["conditions"]
    assert {each["type"]: each["status"] for each in conditions}["Ready"] == "True"

    again = clusters()
    assert not again["changed"] and not again["created"] and again["kubeconfig"] == made["kubeconfig"]
    existing = clusters(provider="existing", kubeconfig=made["kubeconfig"])
    assert existing["provider"] == "existing" and existing["name"] == f"kind-{clusters.name}"
    assert "contexts kind-" in clusters.message(provider="existing", kubeconfig=made["kubeconfig"], context="other")

    run("docker", "stop", "--time", "2", node)
    kubeconfig.unlink()
    assert clusters(check=True)["actions"] == [f"start the kind cluster {clusters.name}", f"write {kubeconfig}"]
    started = clusters()
    assert started["changed"] and not started["created"] and clusters.nodes() == [node]

    assert clusters(check=True, state="absent")["changed"] and clusters.nodes() == [node]
    assert clusters(state="absent")["changed"]
    assert not clusters.nodes() and not clusters.files()
    assert not clusters(state="absent")["changed"]


def test_a_cluster_that_somebody_else_made_stays(clusters: Clusters) -> None:
    run("kind", "create", "cluster", "--name", clusters.name, "--image", clusters.params["node_image"], "--kubeconfig", clusters.home / "k")
    nodes = clusters.nodes()
    assert "no receipt" in clusters.message()
    assert not clusters(state="absent")["changed"]
    assert clusters.nodes() == nodes


def test_what_a_killed_run_left_goes_with_the_next(clusters: Clusters) -> None:
    process = module_call.start("ocne_cluster", clusters.params)
    wait_until(lambda: run("docker", "ps", "--quiet", "--filter", f"label={LABEL}={clusters.name}"), process)
    process.kill()
    process.communicate()
    assert f".ocne/clusters/{clusters.name}.json" in clusters.files()
    assert clusters(state="absent")["changed"]
    assert not clusters.nodes() and [name for name in clusters.files() if not name.endswith(".lock")] == []


def test_a_node_image_that_is_not_there_is_told_and_leaves_nothing(clusters: Clusters) -> None:
    message = clusters.message(node_image="localhost:1/nowhere/node:v1")
    assert "could not make the cluster" in message and "nowhere/node" in message
    assert not clusters.nodes() and not clusters.files()


def test_missing_programs_and_a_daemon_that_does_not_answer_are_told(clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("DOCKER_HOST", f"unix://{clusters.home}/nothing.sock")
        assert "docker does not answer" in clusters.message()
    kind = Path(run("which", "kind").strip()).parent
    without = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != kind]
    with monkeypatch.context() as changed:
        changed.setenv("PATH", os.pathsep.join(without))
        assert "kind is not in PATH" in clusters.message()
        assert "There is no cluster" in clusters.message(provider="auto")
    assert not clusters.files()
