# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check of a plan, before it is written: a fresh reader goes through the filesystem as it would be.

It knows nothing of how the plan was made. It takes the blocks that would change, finds the allocation groups and inodes in
them, and holds before against after: every block must have as many users more or less as the inodes, trees and lists that
changed say; every inode as many links as names have come and gone; and nothing may change that none of this explains.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from .accounting import Ledger, Use, enter_mappings, enter_references, enter_use, enter_use_as_mapping, group_uses, inode_uses
from .chunks import missing_inodes
from .dircheck import check_directory
from .directory import Directory, read_directory
from .geometry import BLOCK_SIZE
from .group import Group, GroupHeaders
from .inode import FILE_TYPES, FLAG2_REFLINK, Inode, read_inode
from .log import read_clean_log
from .records import INODES_PER_CHUNK, FreeExtent
from .space import overlap
from .superblock import read_superblock
from .volume import Volume

#: The header sectors of an allocation group after the superblock: AGF, AGI, AGFL.
_HEADER_SECTORS = 4


@dataclass
class _Side:
    """The filesystem before or after, as far as it changes. inodes: those that change, in use or free."""

    volume: Volume
    groups: dict[int, Group] = field(default_factory=dict)
    inodes: dict[int, Inode] = field(default_factory=dict)
    directories: dict[int, Directory] = field(default_factory=dict)

    def used(self, ino: int) -> Inode | None:
        inode = self.inodes.get(ino)
        return inode if inode and inode.disk.mode else None


def check_plan(before: Volume, after: Volume, changed: Collection[int], names: Collection[bytes]) -> None:
    """Raise BuildError where the plan is wrong.

    :param changed: the fsbnos of the blocks that would change.
    :param names: the names that may come, go, or get another inode.
    """
    _Check(before, after, changed).run(names)


class _Check:
    def __init__(self, before: Volume, after: Volume, changed: Collection[int]) -> None:
        self._before, self._after = _Side(before), _Side(after)
        self._sides = (self._before, self._after)
        self._changed = set(changed)
        self._geometry = after.geometry

    def run(self, names: Collection[bytes]) -> None:
        self._check_whole()
        for agno in sorted({self._geometry.split(fsbno)[0] for fsbno in self._unexplained_by_uuid()}):
            for side in self._sides:
                side.groups[agno] = Group(side.volume, agno)
        for side in self._sides:
            self._read_inodes(side)
        self._check_inodes()
        self._check_blocks()
        self._check_mappings()
        self._check_names(names)
        self._check_explained()

    def _check_whole(self) -> None:
        """Superblocks, log and counters."""
        volume, geometry = self._after.volume, self._geometry
        if geometry.metadata_uuid != self._before.volume.geometry.metadata_uuid:
            raise geometry.damage("the UUID of its metadata would change")
        read_clean_log(volume)
        first = read_superblock(volume, 0)
        headers = [GroupHeaders(volume, agno) for agno in range(geometry.group_count)]
        for agno in range(geometry.group_count):
            copy = read_superblock(volume, agno)
            if (copy.meta_uuid, copy.features_incompat) != (first.meta_uuid, first.features_incompat):
                raise geometry.damage(f"superblock {agno} would have another UUID")
        counted = sum(h.agi.count for h in headers), sum(h.agi.freecount for h in headers), sum(h.free_blocks for h in headers)
        if (first.icount, first.ifree, first.fdblocks) != counted:
            raise geometry.damage(f"its counters would be wrong: not {counted}")

    def _unexplained_by_uuid(self) -> list[int]:
        """The changed blocks other than the log's, and superblocks beside which nothing changes."""
        geometry = self._geometry
        log = range(geometry.log_start, geometry.log_start + geometry.log_blocks)
        return [
            fsbno for fsbno in self._changed if fsbno not in log and (geometry.split(fsbno)[1] or self._differs_after_superblock(fsbno))
        ]

    def _differs_after_superblock(self, fsbno: int) -> bool:
        old, new = (side.volume.block(fsbno)[self._geometry.sector_size :] for side in self._sides)
        return old != new

    def _read_inodes(self, side: _Side) -> None:
        """All inodes whose bytes change, on this side."""
        size, per_block = self._geometry.inode_size, self._geometry.inodes_per_block
        for agno, group in side.groups.items():
            for chunk in group.chunks:
                missing = missing_inodes(chunk, self._geometry.sparse_inodes)
                for place in range(0, INODES_PER_CHUNK, per_block):
                    fsbno = self._geometry.fsbno(agno, (chunk.start + place) // per_block)
                    if fsbno not in self._changed or missing >> place & 1:
                        continue
                    old, new = self._before.volume.block(fsbno), self._after.volume.block(fsbno)
                    for number in range(per_block):
                        if old[number * size : (number + 1) * size] != new[number * size : (number + 1) * size]:
                            self._read_inode(side, agno, chunk.start + place + number, bool(chunk.free >> (place + number) & 1))

    def _read_inode(self, side: _Side, agno: int, agino: int, free: bool) -> None:
        inode = read_inode(side.volume, self._geometry.ino(agno, agino))
        if free == bool(inode.disk.mode) or (inode.disk.mode and inode.type not in FILE_TYPES):
            raise inode.damage(f"has mode {inode.disk.mode:#o}, and is counted as {'free' if free else 'in use'}")
        side.inodes[inode.ino] = inode
        if inode.type == stat.S_IFDIR:
            side.directories[inode.ino] = read_directory(inode)

    def _check_inodes(self) -> None:
        for ino, inode in self._after.inodes.items():
            mappings = inode.mapping(), inode.attr_mapping()
            blocks = sum(extent.blocks for mapping in mappings for extent in mapping.extents) + sum(len(m.tree_blocks) for m in mappings)
            if inode.disk.nblocks != blocks:
                raise inode.damage(f"would count {inode.disk.nblocks} blocks, and have {blocks}")
            if not inode.disk.mode and (blocks or inode.disk.nlink or inode.disk.size):
                raise inode.damage("would be free, and not empty")
            if inode.type == stat.S_IFREG:
                end = sum(mappings[0].extents[-1][0:3:2]) * BLOCK_SIZE if mappings[0].extents else 0
                if not end - BLOCK_SIZE < inode.disk.size <= end and (inode.disk.size or end):
                    self._check_size_kept(inode)
            if inode.type == stat.S_IFDIR:
                check_directory(inode)
            old = self._before.used(ino)
            if old and inode.disk.mode:
                self._check_kept(old, inode)

    def _check_size_kept(self, inode: Inode) -> None:
        """A file that is not written anew keeps its size, however its blocks are."""
        old = self._before.used(inode.ino)
        if not old or (old.disk.size, old.data_fork) != (inode.disk.size, inode.data_fork):
            raise inode.damage(f"would have {inode.disk.size} bytes, and other blocks")

    @staticmethod
    def _check_kept(old: Inode, new: Inode) -> None:
        """An inode that stays in use keeps its identity, owner, mode and attributes."""
        a, b = old.disk, new.disk
        same = (
            (a.mode, a.uid, a.gid, a.gen, a.projid_lo, a.projid_hi, a.crtime, a.forkoff, a.aformat)
            == (b.mode, b.uid, b.gid, b.gen, b.projid_lo, b.projid_hi, b.crtime, b.forkoff, b.aformat)
            and old.attr_fork == new.attr_fork
            and (a.flags2 ^ b.flags2) & ~FLAG2_REFLINK == 0
            and b.changecount > a.changecount
        )
        if not same:
            raise new.damage("would change in what should stay as it is")

    def _check_blocks(self) -> None:
        """The users of every block change by what groups and inodes say of themselves."""
        ledger = Ledger()
        for side, amount in ((self._before, -1), (self._after, 1)):
            for group in side.groups.values():
                enter_references(ledger, group, amount)
                for use in group_uses(group):
                    enter_use(ledger, use, -amount)
            for inode in side.inodes.values():
                for use in inode_uses(inode):
                    self._check_not_free(side, use)
                    enter_use(ledger, use, -amount)
        wrong = ledger.first_imbalance()
        if wrong:
            raise self._geometry.damage(f"block {wrong[1]:#x} would be lost, or used twice")

    def _check_not_free(self, side: _Side, use: Use) -> None:
        agno, block = self._geometry.split(use.fsbno)
        if agno in side.groups and overlap(side.groups[agno].free, [FreeExtent(block, use.blocks)]):
            raise self._geometry.damage(f"inode {use.owner} uses block {use.fsbno:#x}, which is free")

    def _check_mappings(self) -> None:
        """The same for the reverse mappings, where there are any."""
        if not self._geometry.rmapbt:
            return
        ledger = Ledger()
        for side, amount in ((self._before, -1), (self._after, 1)):
            for group in side.groups.values():
                enter_mappings(ledger, group, amount)
                for use in group_uses(group):
                    enter_use_as_mapping(ledger, use, -amount)
            for inode in side.inodes.values():
                for use in inode_uses(inode):
                    enter_use_as_mapping(ledger, use, -amount)
        wrong = ledger.first_imbalance()
        if wrong:
            raise self._geometry.damage(f"block {wrong[1]:#x} would have a wrong reverse mapping")

    def _check_names(self, names: Collection[bytes]) -> None:
        """Links follow the names, and only the given names change."""
        links: Counter[int] = Counter()
        for side, amount in ((self._before, -1), (self._after, 1)):
            for ino, directory in side.directories.items():
                links[ino] += amount
                links[directory.parent] += amount
                for name in directory.names.values():
                    links[name.ino] += amount
            for ino in side.inodes:
                inode = side.used(ino)
                links[ino] -= amount * inode.disk.nlink if inode else 0
        for ino, surplus in links.items():
            if surplus:
                raise self._geometry.damage(f"inode {ino} would have a wrong number of links (by {surplus})")
        for ino in self._before.directories.keys() | self._after.directories.keys():
            old, new = (side.directories[ino].names if ino in side.directories else {} for side in self._sides)
            for key in old.keys() | new.keys():
                if old.get(key) == new.get(key):
                    continue
                target = self._after.used(new[key].ino) if key in new else None
                if key not in names or (key in new and (not target or FILE_TYPES[target.type] != new[key].type)):
                    raise self._geometry.damage(f"the name {key!r} in the directory of inode {ino} would be wrong")

    def _check_explained(self) -> None:
        """Every changed block is part of something that changes; contents of files go to blocks that were free."""
        geometry = self._geometry
        headers = range(-(-_HEADER_SECTORS * geometry.sector_size // BLOCK_SIZE))
        explained = {geometry.fsbno(agno, block) for agno in range(geometry.group_count) for block in headers}
        for group in self._after.groups.values():
            explained.update(use.fsbno for use in group_uses(group))
        for inode in self._after.inodes.values():
            for use in inode_uses(inode):
                blocks = {fsbno for fsbno in self._changed if use.fsbno <= fsbno < use.fsbno + use.blocks}
                if inode.type == stat.S_IFREG and any(not self._was_free(block) for block in blocks):
                    raise inode.damage("would be written into blocks that were in use")
                explained |= blocks
        for fsbno in self._unexplained_by_uuid():
            if fsbno not in explained:
                raise geometry.damage(f"block {fsbno:#x} would change for no reason")

    def _was_free(self, fsbno: int) -> bool:
        agno, block = self._geometry.split(fsbno)
        return overlap(self._before.groups[agno].free, [FreeExtent(block, 1)])
