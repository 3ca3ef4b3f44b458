# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import random
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.btree import most_items, read_btree, recut, update_btree
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.records import BNO, RMAP, FreeExtent, Kind, ReverseMapping
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.tiny_xfs import Features, make_xfs


@pytest.mark.parametrize("seed", range(30))
def test_parts_end_up_of_a_right_size_and_in_order(seed: int) -> None:
    dice = random.Random(seed)
    items = iter(range(10_000))
    parts: list[tuple[Optional[int], list[int]]] = [
        (number, list(itertools.islice(items, dice.choice([0, 1, 4, 5, 8, 10, 11, 35])))) for number in range(dice.randint(1, 8))
    ]
    everything = [item for _key, part in parts for item in part]
    cut, left_over = recut(parts, 10)
    assert [item for _key, part in cut for item in part] == everything
    assert len(cut) == 1 or all(5 <= len(part) <= 10 for _key, part in cut)
    kept = [number for number, _part in cut if number is not None]
    assert sorted(kept + left_over) == list(range(len(parts)))


def test_parts_of_a_right_size_stay_as_they_are() -> None:
    parts: list[tuple[Optional[int], list[int]]] = [(7, [1] * 5), (8, [2] * 10), (9, [3] * 6)]
    assert recut(parts, 10) == (parts, [])


@pytest.mark.parametrize("kind", [BNO, RMAP], ids=["free space", "reverse mapping"])
def test_a_tree_grows_and_shrinks_over_levels(kind: Kind[Any]) -> None:
    volume = Volume(make_xfs(Features(rmapbt=True)))
    dice = random.Random(3)
    free = set(range(300, 900))
    tree = read_btree(volume, 0, kind, 1 if kind is BNO else 6, 1)
    for count in (3, most_items(kind, 0), most_items(kind, 0) + 1, 5000, 20_000, 4000, 700, 100, 0):
        records: list[Any] = [FreeExtent(3 * number, 1) for number in sorted(dice.sample(range(100_000), count))]
        if kind is RMAP:
            records = [ReverseMapping(start, 2, dice.choice([5, 9, 1 << 63]), 0) for start, _length in records]
        tree = update_btree(volume, 0, tree, records, free.pop, free.add, 1 << 32)
        assert tree.records == records
        again = read_btree(volume, 0, kind, tree.root, tree.height)
        assert (again.records, again.blocks) == (records, tree.blocks)
        assert not free & set(tree.blocks)
        assert len(free) + len(tree.blocks) == 601
    assert tree.height == 1


def test_leaves_that_keep_their_records_keep_their_bytes() -> None:
    volume = Volume(make_xfs())
    free = iter(range(300, 900))
    records = [FreeExtent(3 * number, 1) for number in range(3000)]
    tree = update_btree(volume, 0, read_btree(volume, 0, BNO, 1, 1), records, lambda: next(free), lambda _block: None, 1)
    before = dict(volume.changed)
    records[1600] = FreeExtent(4800, 2)
    tree = update_btree(volume, 0, tree, records, lambda: next(free), lambda _block: None, 1)
    changed = [fsbno for fsbno, data in volume.changed.items() if before.get(fsbno) != data]
    assert changed == [tree.levels[0][3].number]


def test_a_damaged_tree_is_told() -> None:
    volume = Volume(make_xfs())
    records = [FreeExtent(3 * number, 1) for number in range(3000)]
    free = iter(range(300, 900))
    tree = update_btree(volume, 0, read_btree(volume, 0, BNO, 1, 1), records, lambda: next(free), lambda _block: None, 1)
    leaf = tree.levels[0][2].number
    data = bytearray(volume.block(leaf))
    data[60] ^= 1
    volume.changed[leaf] = bytes(data)
    volume._sound.clear()
    with pytest.raises(BuildError, match="wrong checksum"):
        read_btree(volume, 0, BNO, tree.root, tree.height)
    with pytest.raises(BuildError, match="has 10 levels"):
        read_btree(volume, 0, BNO, tree.root, 10)
    with pytest.raises(BuildError, match="outside of the group"):
        read_btree(volume, 0, BNO, 5000, 1)
