# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who uses which blocks, and a ledger that shows whether two tellings of a change agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from .chunks import missing_inodes
from .group import Group
from .inode import Inode
from .records import INODES_PER_CHUNK, OWN_AG, OWN_INOBT, OWN_INODES, OWN_REFC, RMAP_ATTR, RMAP_BMBT, RMAP_UNWRITTEN, ReverseMapping


class Use(NamedTuple):
    """Blocks from an fsbno on, who uses them, and for what: fields as of a ReverseMapping."""

    fsbno: int
    blocks: int
    owner: int
    offset: int


class Ledger:
    """For every block (of any account) a sum, kept as its steps: what is entered once for and once against leaves none."""

    def __init__(self) -> None:
        self._steps: defaultdict[tuple[Hashable, int], int] = defaultdict(int)

    def enter(self, account: Hashable, fsbno: int, blocks: int, amount: int) -> None:
        self._steps[account, fsbno] += amount
        self._steps[account, fsbno + blocks] -= amount

    def first_imbalance(self) -> tuple[Hashable, int] | None:
        """(account, fsbno); None where every sum is zero."""
        return next((place for place, step in self._steps.items() if step), None)


def enter_references(ledger: Ledger, group: Group, amount: int) -> None:
    """Account None: how many users each block of the group has, by its free space and reference counts."""
    base = group.volume.geometry.fsbno(group.agno, 0)
    ledger.enter(None, base, group.agf.length, amount)
    for extent in group.free:
        ledger.enter(None, base + extent.start, extent.blocks, -amount)
    for record in group.refcounts:
        ledger.enter(None, base + record.start, record.blocks, amount * (record.refs - 1))


def enter_mappings(ledger: Ledger, group: Group, amount: int) -> None:
    """An account for each use: what the reverse mappings of the group say."""
    base = group.volume.geometry.fsbno(group.agno, 0)
    for mappings in group.mappings.values():
        for mapping in mappings:
            ledger.enter(_account(mapping, base), base + mapping.start, mapping.blocks, amount)


def enter_use(ledger: Ledger, use: Use, amount: int) -> None:
    ledger.enter(None, use.fsbno, use.blocks, amount)


def enter_use_as_mapping(ledger: Ledger, use: Use, amount: int) -> None:
    ledger.enter(_account(ReverseMapping(use.fsbno, *use[1:]), 0), use.fsbno, use.blocks, amount)


def _account(mapping: ReverseMapping, base: int) -> Hashable:
    """The same for all blocks of one mapping, and for no others with a different meaning."""
    flags = mapping.offset & (RMAP_ATTR | RMAP_BMBT | RMAP_UNWRITTEN)
    return mapping.owner, flags, base + mapping.start - (mapping.offset - flags) if mapping.is_for_data else None


def group_uses(group: Group) -> Iterator[Use]:
    """What the group uses for itself: trees, free list, inodes."""
    geometry, agno = group.volume.geometry, group.agno
    own = [block for tree in (group.bno, group.cnt, group.rmap) if tree for block in tree.blocks]
    inobt = [block for tree in (group.ino, group.fino) if tree for block in tree.blocks]
    refc = group.refc.blocks if group.refc else []
    for owner, blocks in ((OWN_AG, own + group.free_list), (OWN_INOBT, inobt), (OWN_REFC, refc), (OWN_INODES, _inode_blocks(group))):
        for block in blocks:
            yield Use(geometry.fsbno(agno, block), 1, owner, 0)


def _inode_blocks(group: Group) -> Iterator[int]:
    per_block, sparse = group.volume.geometry.inodes_per_block, group.volume.geometry.sparse_inodes
    for chunk in group.chunks:
        missing = missing_inodes(chunk, sparse)
        for place in range(0, INODES_PER_CHUNK, per_block):
            if not missing >> place & 1:
                yield (chunk.start + place) // per_block


def inode_uses(inode: Inode) -> Iterator[Use]:
    """What the inode's forks use."""
    for mapping, flag in ((inode.mapping(), 0), (inode.attr_mapping(), RMAP_ATTR)):
        for extent in mapping.extents:
            unwritten = RMAP_UNWRITTEN if extent.unwritten else 0
            yield Use(extent.fsbno, extent.blocks, inode.ino, extent.offset | flag | unwritten)
        for block in mapping.tree_blocks:
            yield Use(block, 1, inode.ino, flag | RMAP_BMBT)
