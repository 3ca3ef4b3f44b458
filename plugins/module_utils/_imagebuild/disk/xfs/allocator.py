# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks and inodes of all allocation groups: what is asked for near a group comes from there, or from the next one."""

from __future__ import annotations

from collections.abc import Iterator

from .accounting import Use
from .crc32c import crc32c
from .extents import Extent
from .geometry import BLOCK_SIZE
from .group import Group, GroupHeaders
from .inode import Inode, format_inode, read_inode
from .records import INODES_PER_CHUNK, RMAP_UNWRITTEN
from .superblock import read_superblock, store_superblock
from .volume import Volume


class Allocator:
    """The groups of a volume. Those that are asked for something are held with their trees, the others by their headers."""

    def __init__(self, volume: Volume, lsn: int) -> None:
        self._volume, self._lsn = volume, lsn
        self._geometry = volume.geometry
        self._headers = [GroupHeaders(volume, agno) for agno in range(self._geometry.group_count)]
        self._groups: dict[int, Group] = {}
        self._released: list[Use] = []
        self._freed: list[int] = []
        sb = read_superblock(volume, 0)
        if (sb.icount, sb.ifree, sb.fdblocks) != self._totals():
            raise self._geometry.damage("the counters in its superblock do not fit its allocation groups")
        if any(headers.has_unlinked for headers in self._headers):
            raise self._geometry.unsupported("the XFS filesystem has unlinked inodes, whose removal was not finished")

    def _totals(self) -> tuple[int, int, int]:
        """(inodes, free inodes, free blocks)"""
        headers = self._headers
        return sum(h.agi.count for h in headers), sum(h.agi.freecount for h in headers), sum(h.free_blocks for h in headers)

    def _group(self, agno: int) -> Group:
        if agno not in self._groups:
            self._groups[agno] = Group(self._volume, agno)
            self._headers[agno] = self._groups[agno]
        return self._groups[agno]

    def _groups_from(self, agno: int) -> Iterator[Group]:
        count = self._geometry.group_count
        return (self._group((agno + n) % count) for n in range(count))

    def allocate(self, inode: Inode, offset: int, count: int) -> Extent:
        """New blocks in one piece for a file, from file block `offset` on."""
        for group in self._groups_from(self._geometry.split_ino(inode.ino)[0]):
            start = group.allocate(count, inode.ino, offset)
            if start is not None:
                return Extent(offset, self._geometry.fsbno(group.agno, start), count)
        raise self._geometry.unsupported(f"the XFS filesystem has no {count} free blocks in one piece to spare")

    def release(self, inode: Inode, extent: Extent, flags: int = 0) -> None:
        """Take blocks from a file, at the end of the plan: what was in use is not written to. flags: RMAP_ATTR, RMAP_BMBT."""
        unwritten = RMAP_UNWRITTEN if extent.unwritten else 0
        self._released.append(Use(extent.fsbno, extent.blocks, inode.ino, extent.offset | flags | unwritten))

    def allocate_inode(self, near: int) -> Inode:
        """A free inode, now counted as in use; `near` is an inode number."""
        home = self._geometry.split_ino(near)[0]
        for group in self._groups_from(home):
            agino = group.allocate_inode()
            if agino is not None:
                return read_inode(self._volume, self._geometry.ino(group.agno, agino))
        for group in self._groups_from(home):
            first = group.allocate_chunk() if self._may_grow_inodes() else None
            if first is not None:
                for agino in range(first, first + INODES_PER_CHUNK):
                    ino = self._geometry.ino(group.agno, agino)
                    format_inode(self._volume, ino, crc32c(ino.to_bytes(8, "big")), self._lsn).store()
                return self.allocate_inode(near)
        raise self._geometry.unsupported("the XFS filesystem has no free inode and no room for more")

    def _may_grow_inodes(self) -> bool:
        """Does the limit of the space for inodes (imax_pct) leave room for a chunk?"""
        percentage = self._geometry.inode_percentage
        size = (self._totals()[0] + INODES_PER_CHUNK) * self._geometry.inode_size
        return not percentage or size <= self._geometry.blocks * BLOCK_SIZE * percentage // 100

    def free_inode(self, inode: Inode) -> None:
        """Let the inode be free, at the end of the plan: an inode that is in use before and after is the same file."""
        self._freed.append(inode.ino)

    def store(self) -> None:
        """Write the groups that were asked for something, and the superblock's counters, into the volume."""
        for fsbno, blocks, owner, offset in self._released:
            agno, start = self._geometry.split(fsbno)
            self._group(agno).release(start, blocks, owner, offset)
            self._volume.forget(fsbno, blocks)
        for ino in self._freed:
            agno, agino = self._geometry.split_ino(ino)
            self._group(agno).free_inode(agino)
        for group in self._groups.values():
            group.store(self._lsn)
        sb = read_superblock(self._volume, 0)
        sb.icount, sb.ifree, sb.fdblocks = self._totals()
        store_superblock(self._volume, 0, sb)
