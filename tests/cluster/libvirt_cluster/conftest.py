# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import libvirt_user, machine
from tests.support.command import run
from tests.support.libvirt_user import Clusters


@pytest.fixture
def clusters() -> Iterator[Clusters]:
    machine.install_packages(("virtual machines",))
    with libvirt_user.user() as someone:
        yield Clusters(someone)


@pytest.fixture(scope="session")
def empty_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with an EFI system partition, and nothing in it that boots."""
    folder = tmp_path_factory.mktemp("disks")
    raw, disk = folder / "empty.raw", folder / "empty.qcow2"
    with raw.open("wb") as file:
        file.truncate(64 << 20)
    run("sfdisk", "--quiet", raw, stdin="label: gpt\nstart=1MiB, size=32MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk)
    return disk
