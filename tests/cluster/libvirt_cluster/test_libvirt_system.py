# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt of the system, by root and from another host: a machine is made there, is watched, and goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import libvirt_system, machine
from tests.support.libvirt_system import System
from tests.support.libvirt_user import Clusters


@pytest.fixture
def system() -> Iterator[System]:
    machine.install_packages(("virtual machines", "a host over SSH"))
    with tempfile.TemporaryDirectory(prefix="lv-", dir="/tmp") as folder, libvirt_system.serve(Path(folder)) as root:
        yield root


def test_root_has_its_machine_in_libvirt_of_the_system(system: System, empty_disk: Path) -> None:
    before = system.there()
    message = Clusters(system).message(source=str(empty_disk), connection_uri=libvirt_system.URI)
    assert "does not boot by UEFI" in message and "BdsDxe: failed to load" in message
    assert system.there() == before


def test_a_machine_is_made_on_another_host(system: System, clusters: Clusters, empty_disk: Path, tmp_path: Path) -> None:
    there, here = system.there(), clusters.user.there()
    with system.by_ssh(tmp_path) as uri:
        message = clusters.message(source=str(empty_disk), connection_uri=uri)
    assert "does not boot by UEFI" in message and "BdsDxe: failed to load" in message
    assert (system.there(), clusters.user.there()) == (there, here)
