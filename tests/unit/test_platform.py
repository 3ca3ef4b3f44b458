# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _platform
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError


@pytest.mark.parametrize(("asked", "name"), [("amd64", "amd64"), ("x86_64", "amd64"), ("arm64", "arm64"), ("aarch64", "arm64")])
def test_architectures_have_two_names(asked: str, name: str) -> None:
    assert _platform.architecture(asked) == name


def test_other_architectures_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_platform.platform, "machine", lambda: "riscv64")
    with pytest.raises(OcneError, match=r"this host is riscv64\. Set the option architecture\."):
        _platform.architecture(None)


@pytest.mark.parametrize("version", ["1.33", "1.33.1", "1.33.1-2", "1.33-test.1"])
def test_versions_are_tags(version: str) -> None:
    assert _platform.kubernetes_version(version) == version


@pytest.mark.parametrize("version", ["", "1", "v1.33", "1.33/../x", "1.33 ", "1.33\n", "latest"])
def test_what_is_no_version_is_told(version: str) -> None:
    with pytest.raises(OcneError, match="kubernetes_version is"):
        _platform.kubernetes_version(version)


def test_a_boot_image_has_its_usual_name_in_a_folder(tmp_path: Path) -> None:
    assert _platform.boot_image_path(str(tmp_path), "1.32", "aarch64") == str(tmp_path / "boot.qcow2-1.32-arm64.oci")
    assert _platform.boot_image_path(str(tmp_path / "mine"), "1.32", "amd64") == str(tmp_path / "mine")
    assert _platform.boot_image_path("", None, "amd64").endswith("/.ocne/images/boot.qcow2-1.33-amd64.oci")
    assert _platform.ostree_archive_name("1.33", "amd64") == "ock-1.33-amd64-ostree.tar"
