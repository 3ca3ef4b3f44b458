# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free space, reference counts and reverse mappings as sorted lists: pure changes of them, without any block."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .records import RMAP_ATTR, RMAP_BMBT, RMAP_UNWRITTEN, FreeExtent, Refcount, ReverseMapping

_MOST_REFCOUNT_BLOCKS = (1 << 32) - 2


class SpaceError(ValueError):
    """The lists contradict what is asked of them."""


def find_free(free: list[FreeExtent], count: int, alignment: int = 1) -> int | None:
    """The first aligned block in the smallest free extent that holds `count` blocks from there on."""
    best: tuple[int, int] | None = None
    for extent in free:
        start = -(-extent.start // alignment) * alignment
        if start + count <= extent.end and (best is None or extent.blocks < best[0]):
            best = extent.blocks, start
    return best[1] if best else None


def overlap(left: Sequence[FreeExtent], right: Sequence[FreeExtent | Refcount]) -> bool:
    """Do two sorted lists of runs have a block in common?"""
    waiting = iter(left)
    other = next(waiting, None)
    for run in right:
        while other and other.end <= run.start:
            other = next(waiting, None)
        if other and other.start < run.end:
            return True
    return False


def take(free: list[FreeExtent], start: int, count: int) -> None:
    """Remove these blocks from the free space."""
    index = bisect_right(free, (start, _MOST_REFCOUNT_BLOCKS)) - 1
    if index < 0 or start + count > free[index].end:
        raise SpaceError(f"blocks {start}+{count} are not free")
    old = free[index]
    left = FreeExtent(old.start, start - old.start)
    right = FreeExtent(start + count, old.start + old.blocks - start - count)
    free[index : index + 1] = [extent for extent in (left, right) if extent.blocks]


def give(free: list[FreeExtent], start: int, count: int) -> None:
    """Add these blocks to the free space, joined with their neighbours."""
    index = bisect_left(free, (start, 0))
    low = high = index
    end = start + count
    if index and free[index - 1].end >= start:
        if free[index - 1].end > start:
            raise SpaceError(f"blocks {start}+{count} are already free")
        low, start = index - 1, free[index - 1].start
    if index < len(free) and free[index].start <= end:
        if free[index].start < end:
            raise SpaceError(f"blocks {start}+{count} are already free")
        high, end = index + 1, end + free[index].blocks
    free[low:high] = [FreeExtent(start, end - start)]


def drop_reference(refcounts: list[Refcount], start: int, count: int) -> list[FreeExtent]:
    """One user less for these blocks; those that have none left. A block without a record has one user."""
    end = start + count
    low = bisect_left(refcounts, (start, 0, 0))
    if low and refcounts[low - 1].end > start:
        low -= 1
    high = bisect_left(refcounts, (end, 0, 0))
    kept: list[Refcount] = []
    freed: list[FreeExtent] = []
    at = start
    for record in refcounts[low:high]:
        first, last = max(record.start, start), min(record.end, end)
        if at < first:
            freed.append(FreeExtent(at, first - at))
        kept += [
            Refcount(record.start, first - record.start, record.refs),
            Refcount(first, last - first, record.refs - 1),
            Refcount(last, record.end - last, record.refs),
        ]
        at = last
    if at < end:
        freed.append(FreeExtent(at, end - at))
    # what is on either side may have become equal to its neighbour
    before, after = max(low - 1, 0), high + 1
    changed = [record for record in kept if record.blocks and record.refs > 1]
    refcounts[before:after] = _joined(refcounts[before:low] + changed + refcounts[high:after])
    return freed


def _joined(records: list[Refcount]) -> list[Refcount]:
    joined: list[Refcount] = []
    for record in records:
        last = joined[-1] if joined else None
        if last and last.end == record.start and last.refs == record.refs:
            joined[-1] = last._replace(blocks=last.blocks + record.blocks)
        else:
            joined.append(record)
    return joined


def add_mapping(mappings: list[ReverseMapping], new: ReverseMapping) -> None:
    """Add to one owner's mappings, joined with those that it continues."""
    for old in list(mappings):
        if _continues(old, new):
            mappings.remove(old)
            new = old._replace(blocks=old.blocks + new.blocks)
        elif _continues(new, old):
            mappings.remove(old)
            new = new._replace(blocks=new.blocks + old.blocks)
    mappings.append(new)


def _continues(left: ReverseMapping, right: ReverseMapping) -> bool:
    flags = RMAP_ATTR | RMAP_BMBT | RMAP_UNWRITTEN
    return (
        left.end == right.start
        and left.offset & flags == right.offset & flags
        and (not left.is_for_data or left.offset + left.blocks == right.offset)
    )


def remove_mapping(mappings: list[ReverseMapping], gone: ReverseMapping) -> None:
    """Remove a part of one owner's mappings."""
    for old in mappings:
        skipped = gone.start - old.start
        if (
            0 <= skipped <= old.blocks - gone.blocks
            and old.offset & (RMAP_ATTR | RMAP_BMBT | RMAP_UNWRITTEN) == gone.offset & (RMAP_ATTR | RMAP_BMBT | RMAP_UNWRITTEN)
            and (not old.is_for_data or old.offset + skipped == gone.offset)
        ):
            mappings.remove(old)
            rest = old.blocks - skipped - gone.blocks
            after = skipped + gone.blocks
            if skipped:
                mappings.append(old._replace(blocks=skipped))
            if rest:
                offset = old.offset + after if old.is_for_data else old.offset
                mappings.append(old._replace(start=old.start + after, blocks=rest, offset=offset))
            return
    raise SpaceError(f"blocks {gone.start}+{gone.blocks} are not mapped to owner {gone.owner}")
