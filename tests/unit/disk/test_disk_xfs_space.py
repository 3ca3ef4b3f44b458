# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.records import (
    RMAP_BMBT,
    FreeExtent,
    Refcount,
    ReverseMapping,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.space import (
    SpaceError,
    add_mapping,
    drop_reference,
    find_free,
    give,
    overlap,
    remove_mapping,
    take,
)


def test_the_smallest_extent_that_fits_is_found() -> None:
    free = [FreeExtent(10, 8), FreeExtent(30, 3), FreeExtent(50, 5)]
    assert find_free(free, 3) == 30
    assert find_free(free, 4) == 50
    assert find_free(free, 9) is None


def test_alignment_counts() -> None:
    assert find_free([FreeExtent(9, 8), FreeExtent(33, 30)], 8, alignment=8) == 40


def test_space_can_be_taken_and_given_in_any_order() -> None:
    dice = random.Random(4)
    free = [FreeExtent(1, 99)]
    taken: set[int] = set()
    for _turn in range(3000):
        if dice.random() < 0.5:
            start = find_free(free, count := dice.randint(1, 5))
            if start is not None:
                take(free, start, count)
                assert not taken & set(range(start, start + count))
                taken |= set(range(start, start + count))
        elif taken:
            start = dice.choice(sorted(taken))
            give(free, start, 1)
            taken.remove(start)
        blocks = [block for extent in free for block in range(extent.start, extent.end)]
        assert set(blocks) == set(range(1, 100)) - taken
        assert all(a.end < b.start for a, b in zip(free, free[1:]))


@pytest.mark.parametrize(("start", "count"), [(1, 4), (12, 2), (9, 2), (0, 1)])
def test_what_is_not_free_cannot_be_taken(start: int, count: int) -> None:
    with pytest.raises(SpaceError):
        take([FreeExtent(2, 3), FreeExtent(10, 3)], start, count)


@pytest.mark.parametrize(("start", "count"), [(1, 2), (3, 1), (4, 7), (12, 1)])
def test_what_is_free_cannot_be_given(start: int, count: int) -> None:
    with pytest.raises(SpaceError):
        give([FreeExtent(2, 3), FreeExtent(10, 3)], start, count)


@pytest.mark.parametrize("seed", range(50))
def test_overlaps_are_seen(seed: int) -> None:
    dice = random.Random(seed)
    left, right = (
        [FreeExtent(at, dice.randint(1, 4)) for at in sorted(dice.sample(range(0, 60, 4), dice.randint(0, 5)))] for _turn in range(2)
    )
    blocks = [{block for extent in extents for block in range(extent.start, extent.end)} for extents in (left, right)]
    assert overlap(left, right) == bool(blocks[0] & blocks[1])


def counts(records: list[Refcount]) -> dict[int, int]:
    return {block: record.refs for record in records for block in range(record.start, record.end)}


def test_references_drop_block_by_block() -> None:
    dice = random.Random(5)
    for _turn in range(400):
        records: list[Refcount] = []
        at = 0
        for _turn in range(dice.randint(0, 6)):
            at += dice.randint(0, 3)
            length = dice.randint(1, 5)
            records.append(Refcount(at, length, dice.choice([2, 2, 3, 4])))
            at += length
        before = counts(records)
        start, count = dice.randint(0, 30), dice.randint(1, 12)
        freed = {block for extent in drop_reference(records, start, count) for block in range(extent.start, extent.end)}
        expected = {block: refs - (start <= block < start + count) for block, refs in before.items()}
        assert counts(records) == {block: refs for block, refs in expected.items() if refs > 1}
        assert freed == {block for block in range(start, start + count) if block not in before}


def test_equal_neighbours_become_one_record() -> None:
    records = [Refcount(0, 2, 2), Refcount(2, 2, 3), Refcount(4, 2, 2)]
    assert drop_reference(records, 2, 2) == []
    assert records == [Refcount(0, 6, 2)]


def test_mappings_of_a_file_join_where_offsets_follow() -> None:
    mappings = [ReverseMapping(10, 2, 99, 0), ReverseMapping(14, 1, 99, 4)]
    add_mapping(mappings, ReverseMapping(12, 2, 99, 2))
    assert mappings == [ReverseMapping(10, 5, 99, 0)]
    add_mapping(mappings, ReverseMapping(15, 1, 99, 77))
    assert len(mappings) == 2


def test_mappings_of_extent_trees_join_whatever_the_offset() -> None:
    mappings = [ReverseMapping(10, 1, 99, RMAP_BMBT)]
    add_mapping(mappings, ReverseMapping(11, 1, 99, RMAP_BMBT))
    assert mappings == [ReverseMapping(10, 2, 99, RMAP_BMBT)]


def test_a_part_of_a_mapping_goes() -> None:
    mappings = [ReverseMapping(10, 10, 99, 100)]
    remove_mapping(mappings, ReverseMapping(13, 2, 99, 103))
    assert sorted(mappings) == [ReverseMapping(10, 3, 99, 100), ReverseMapping(15, 5, 99, 105)]
    with pytest.raises(SpaceError):
        remove_mapping(mappings, ReverseMapping(15, 2, 99, 104))
