# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fresh endpoint and home for each test, and one disk image for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.oci_endpoint import Endpoint, Settings
from tests.support.oci_import import Importer, make_disk


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 MiB of noise: more than four parts of an upload."""
    return make_disk(tmp_path_factory.mktemp("disk") / "boot.qcow2", 4)


@pytest.fixture(scope="session")
def other_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_disk(tmp_path_factory.mktemp("disk") / "other.qcow2", 4, seed=2)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint(settings=Settings(min_part_size=100, page_size=2, delete_while_importing=True)) as running:
        yield running


@pytest.fixture
def importer(endpoint: Endpoint, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Importer:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OCI_CONFIG_FILE", "OCI_CONFIG_PROFILE", "OCI_REGION", "OCI_TENANCY", "OCI_USER_ID", "OCI_ANSIBLE_AUTH_TYPE"):
        monkeypatch.delenv(name, raising=False)
    return Importer(endpoint, disk)
