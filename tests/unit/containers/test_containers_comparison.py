# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.inspection import Found, compares_by_digest, keeps_manifest
from ansible_collections.ocne.images.plugins.module_utils._containers.manifest import OCI_MANIFEST, content_digest
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import parse_reference

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIGURATION: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-02T03:04:05.120Z",
    "config": {"Env": ["A=1"], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
    "history": [{"created_by": "x"}],
}


def _with(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CONFIGURATION), **changes}


@pytest.mark.parametrize(
    "other",
    [
        _with(created="2026-01-02T03:04:05.12Z"),
        _with(created="2026-01-02T03:04:05.1200Z"),
        _with(docker_version="20", container_config={"Cmd": ["x"]}),
        _with(config={**CONFIGURATION["config"], "Cmd": None, "Volumes": {}, "User": "", "Healthcheck": {"Test": ["x"]}}),
        _with(history=[]),
    ],
)
def test_conversion_between_formats_keeps_the_content(other: dict[str, Any]) -> None:
    assert content_digest(other) == content_digest(CONFIGURATION)


def test_a_fraction_of_nothing_is_none() -> None:
    whole, fraction = "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"
    assert content_digest(_with(created=fraction)) == content_digest(_with(created=whole))


@pytest.mark.parametrize(
    "other",
    [
        _with(architecture="arm64"),
        _with(created="2026-01-02T03:04:06Z"),
        _with(config={**CONFIGURATION["config"], "Env": ["A=2"]}),
        _with(config={**CONFIGURATION["config"], "ExposedPorts": {}}),
        _with(rootfs={"type": "layers", "diff_ids": ["sha256:2", "sha256:1"]}),
        _with(rootfs={"type": "layers", "diff_ids": ["sha256:1"]}),
    ],
)
def test_another_image_has_another_content(other: dict[str, Any]) -> None:
    assert content_digest(other) != content_digest(CONFIGURATION)


@pytest.mark.parametrize(
    ("source", "media_type", "dest", "kept"),
    [
        ("oci-archive:/a", OCI_MANIFEST, "docker://h/n", True),
        ("docker://h/n", DOCKER_MANIFEST, "docker://h/m", True),
        ("docker://h/n", DOCKER_MANIFEST, "dir:/d", True),
        ("docker://h/n", DOCKER_MANIFEST, "oci:/d:t", False),
        ("docker://h/n", OCI_MANIFEST, "oci:/d:t", True),
        ("docker://h/n", OCI_MANIFEST, "docker-archive:/d:n:t", False),
        ("docker://h/n", DOCKER_MANIFEST, "docker-archive:/d:n:t", False),
        ("docker-archive:/a", DOCKER_MANIFEST, "docker://h/n", False),
        ("containers-storage:n", OCI_MANIFEST, "docker://h/n", False),
        ("oci:/a", OCI_MANIFEST, "containers-storage:n", True),
        ("oci:/a", OCI_MANIFEST, "docker-daemon:n:t", False),
    ],
)
def test_who_keeps_the_manifest(source: str, media_type: str, dest: str, kept: bool) -> None:
    found = Found(parse_reference(source), "sha256:0", media_type, "")
    assert keeps_manifest(found, parse_reference(dest)) is kept


def test_containers_storage_is_compared_by_content() -> None:
    found = Found(parse_reference("oci:/a"), "sha256:0", OCI_MANIFEST, "")
    assert compares_by_digest(found, parse_reference("dir:/d"))
    assert not compares_by_digest(found, parse_reference("containers-storage:n"))
