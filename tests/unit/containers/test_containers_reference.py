# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import parse_reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("registry.example.com/ock:1", "docker://registry.example.com/ock:1"),
        ("localhost:5000/ock", "docker://localhost:5000/ock"),
        ("dir", "docker://dir"),
        ("docker://a", "docker://a"),
        ("oci:/srv/layout:1", "oci:/srv/layout:1"),
    ],
)
def test_a_name_without_a_transport_is_one_of_a_registry(text: str, reference: str) -> None:
    assert str(parse_reference(text)) == reference


@pytest.mark.parametrize("text", ["", "docker://", "oci:", "docker://-o", "a b", "https://host/name", "docker://host/a\nb"])
def test_what_is_no_reference_is_told(text: str) -> None:
    with pytest.raises(OcneError, match="is not a reference to an image"):
        parse_reference(text)


def test_a_forgotten_slash_is_told() -> None:
    with pytest.raises(OcneError, match=r"'docker:host/a' is not a reference: docker: is followed by //\. Write docker://host/a\."):
        parse_reference("docker:host/a")


@pytest.mark.parametrize("name", ["a/b", "a/b:1", "a/b@sha256:1", "a/b:1@sha256:1", "b"])
def test_an_image_is_pinned_in_its_own_repository(name: str) -> None:
    pinned = parse_reference(f"docker://localhost:5000/{name}").at("sha256:2")
    assert str(pinned) == f"docker://localhost:5000/{name.partition(':')[0].partition('@')[0]}@sha256:2"


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("oci:/a:1", "oci:/b:1"),
        ("oci-archive:/a", "oci-archive:/b"),
        ("dir:/a:1", "dir:/b"),
        ("docker-archive:/a:n:1", "docker-archive:/b:n:1"),
    ],
)
def test_an_image_elsewhere_keeps_its_name(text: str, moved: str) -> None:
    assert str(parse_reference(text).with_path(Path("/b"))) == moved
