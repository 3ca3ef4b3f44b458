# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The execution environment is built, from bases that this machine has, and AWX's workflow runs in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.awx import Launcher, containers
from tests.support.awx import site as sites
from tests.support.podman import Podman


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """With the image in its storage."""
    running = Podman()
    try:
        containers.build(running, tmp_path_factory.mktemp("image"))
        yield running
    finally:
        running.close()


def _in_image(podman: Podman, *command: str) -> str:
    return podman("--runtime=crun", "run", "--rm", *containers.LIMITS, containers.IMAGE, *command)


def test_collection_and_all_that_it_needs_are_there(podman: Podman) -> None:
    assert "ocne.images" in _in_image(podman, "ansible-galaxy", "collection", "list")
    for program in ("skopeo", "zstd", "guestfish", "podman", "ssh"):
        assert _in_image(podman, "sh", "-c", f"command -v {program}").startswith("/usr/bin/")
    _in_image(podman, "python3", "-c", "import oci, kubernetes, yaml, isal")


def test_it_runs_as_any_user(podman: Podman) -> None:
    """AWX on Kubernetes takes the image's own, OpenShift one that nobody knows, and the group 0."""
    assert _in_image(podman, "id").startswith("uid=1000")
    printed = podman("--runtime=crun", "run", "--rm", *containers.LIMITS, "--user=123456:0", containers.IMAGE, "ansible", "--version")
    assert "ansible [core 2." in printed


def test_workflow_runs_in_it(podman: Podman, tmp_path: Path) -> None:
    with sites.site(tmp_path) as site:
        runner = containers.Runner(podman, tmp_path, [tmp_path / "shared"])
        launcher = Launcher(site.awx, tmp_path, runner)
        first, second = launcher.workflow("OCK image workflow"), launcher.workflow("OCK image workflow")
    assert [(job.status, job.changed) for job in first] == [("successful", 1)] * 4, first[-1].output
    assert [(job.status, job.changed) for job in second] == [("successful", 0)] * 4, second[-1].output
    kept = [content for job in (*first, *second) for content in job.written().values()]
    assert not [secret for secret in site.secrets() if any(secret.encode() in content for content in kept)]
