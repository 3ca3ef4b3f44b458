# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.crc32c import crc32c


def bit_by_bit(data: bytes, crc: int = 0) -> int:
    state = crc ^ 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _turn in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def test_check_value_of_the_algorithm() -> None:
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("length", [0, 1, 7, 8, 63, 64, 65, 128, 176, 512, 1000, 1024, 4096])
def test_every_way_through_gives_the_same(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert crc32c(data) == bit_by_bit(data)
    assert crc32c(data, 0x12345678) == bit_by_bit(data, 0x12345678)
