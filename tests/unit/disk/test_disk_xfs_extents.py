# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.extents import (
    Extent,
    join_extents,
    pack_extents,
    unpack_extents,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.records import (
    RMAP_ATTR,
    RMAP_UNWRITTEN,
    ReverseMapping,
    rmap_order,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.tiny_xfs import Features, Maker, make_xfs

EXTENTS = [Extent(0, 40, 2), Extent(2, 50, 3, True), Extent(100, 60, 1)]


def test_extents_are_read_as_they_were_written() -> None:
    volume = Maker(make_xfs(Features())).volume
    packed = pack_extents(EXTENTS)
    assert packed[16] == 0x80, "the first bit says that nothing was written there"
    assert unpack_extents(volume, 128, packed) == EXTENTS


@pytest.mark.parametrize("wrong", [[Extent(0, 40, 2), Extent(1, 50, 1)], [Extent(0, 1 << 40, 1)]])
def test_wrong_extents_are_told(wrong: list[Extent]) -> None:
    with pytest.raises(BuildError, match="inode 128 has a wrong extent"):
        unpack_extents(Maker(make_xfs(Features())).volume, 128, pack_extents(wrong))


def test_neighbours_become_one_extent_where_both_are_written_or_neither_is() -> None:
    assert join_extents([Extent(2, 42, 3), Extent(0, 40, 2)]) == [Extent(0, 40, 5)]
    apart = [Extent(0, 40, 2), Extent(2, 42, 3, True)]
    assert join_extents(apart) == apart
    apart = [Extent(0, 40, 2), Extent(3, 42, 3)]
    assert join_extents(apart) == apart


def test_whether_blocks_are_written_does_not_count_for_the_order_of_reverse_mappings() -> None:
    plain, unwritten = (ReverseMapping(5, 2, 128, 7 | flag) for flag in (0, RMAP_UNWRITTEN))
    assert rmap_order(plain) == rmap_order(unwritten) == (5, 128, 7)
    assert rmap_order(ReverseMapping(5, 2, 128, 7 | RMAP_ATTR)) == (5, 128, 7 | RMAP_ATTR)
