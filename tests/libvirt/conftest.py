# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import libvirt_user
from tests.support.libvirt_user import Clusters


@pytest.fixture
def clusters() -> Iterator[Clusters]:
    with libvirt_user.user() as someone:
        yield Clusters(someone)
