# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a module's options in the manifests of a build."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._builder import cluster as builder
from ansible_collections.ocne.images.plugins.module_utils._builder.source import FileSource, ImageSource
from ansible_collections.ocne.images.plugins.module_utils._containers.access import Access
from ansible_collections.ocne.images.plugins.module_utils._containers.fetch import Resolved
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import parse_reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._kubernetes import manifest

pytest.importorskip("kubernetes")

DEFAULTS = {name: option.get("default") for name, option in builder.BUILDER_OPTIONS.items()}


def pod(source: Any = None, **options: Any) -> tuple[dict[str, Any], manifest.Build]:
    """A pod's specification, and the build that it belongs to."""
    params = {**DEFAULTS, "ca_certificates": None, **options}
    sources = [source or FileSource(Path(__file__), "sha256:00")]
    build, _deliveries = builder._plan(params, "boot_image", sources, [], {})
    job = manifest.job(build, builder._placement(params))
    return job["spec"]["template"]["spec"], build


def image(reference: str = "docker://registry.example.com/ock:1.33", **access: Any) -> ImageSource:
    skopeo: Any = SimpleNamespace(access=Access(**access))
    return ImageSource(Resolved(parse_reference(reference).at("sha256:" + "0" * 64), "sha256:" + "0" * 64, "amd64"), skopeo)


def test_the_usual_pod() -> None:
    spec, _build = pod()
    (container,) = spec["containers"]
    assert container["image"] == builder.DEFAULT_BUILDER_IMAGE and spec["initContainers"] == []
    assert container["resources"]["requests"] == {"ephemeral-storage": "20Gi", "cpu": "500m", "memory": "512Mi"}
    assert pod(engine="guestfs")[0]["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}


def test_options_reach_the_pod() -> None:
    toleration = {"key": "builders", "operator": "Exists"}
    spec, _build = pod(
        image(),
        builder_image="mine:1",
        fetcher_image="mine:2",
        node_selector={"disk": "large"},
        tolerations=[toleration],
        image_pull_secrets=["account"],
        resources={"requests": {"cpu": 2}},
        storage="1Gi",
        wait_timeout=77,
    )
    assert [each["image"] for each in (*spec["initContainers"], *spec["containers"])] == ["mine:2", "mine:1"]
    assert spec["nodeSelector"]["disk"] == "large" and spec["tolerations"] == [toleration]
    assert spec["imagePullSecrets"] == [{"name": "account"}]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["resources"]["requests"] == {"ephemeral-storage": "1Gi", "cpu": "2", "memory": "512Mi"}
    assert builder._placement({**DEFAULTS, "wait_timeout": 77}).deadline == 77


def test_a_registry_is_reached_as_the_host_reaches_it(tmp_path: Path) -> None:
    certificates = tmp_path / "ca.pem"
    certificates.write_text("certificates")
    source = image(username="me", password="pass-1", ca_certificates=certificates, proxy={"HTTPS_PROXY": "http://me:word@proxy:3128"})
    spec, build = pod(source, ca_certificates=str(certificates))
    (fetch,) = spec["initContainers"]
    assert f"--src-authfile={manifest.SECRETS}/0.json" in fetch["command"]
    assert f"--src-cert-dir={manifest.FILES}/certificates" in fetch["command"]
    assert build.files["certificates/ca.crt"] == b"certificates"
    assert "registry.example.com" in json.loads(build.secrets["0.json"])["auths"]
    assert build.secrets["HTTPS_PROXY"] == b"http://me:word@proxy:3128"
    assert "pass-1" not in json.dumps(spec) and "word" not in json.dumps(spec)


def test_what_is_no_quantity_and_no_namespace_is_told() -> None:
    for wrong in ({"storage": "much"}, {"namespace": "Not One"}):
        with pytest.raises(OcneError, match=r"much|Not One"):
            pod(**wrong)
