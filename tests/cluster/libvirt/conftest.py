# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import libvirt_user, machine
from tests.support.libvirt_user import User
from tests.support.ock_node import image


@pytest.fixture(scope="session")
def node_image() -> Path:
    """The stand-in of the OCK boot image."""
    machine.install_packages(("virtual machines",))
    return image.image()


@pytest.fixture
def user() -> Iterator[User]:
    machine.install_packages(("virtual machines",))
    with libvirt_user.user() as someone:
        yield someone
