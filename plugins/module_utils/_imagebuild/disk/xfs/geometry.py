# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the superblock says of a filesystem: its features, its sizes, and how its addresses are put together.

An fsbno is (allocation group << agblklog | block in the group), an inode number the same with the inode's place in the
block below. Source: "XFS Algorithms & Data Structures", 3rd edition, chapters "Allocation Groups" and "On-disk Inode".
"""

from __future__ import annotations

import uuid

from ...errors import BuildError, Unsupported
from ..device import Device
from .ondisk import Superblock
from .structure import is_sound

BLOCK_SIZE = 4096
_MOST_GROUPS = 1024
_SMALLEST_GROUP = 64

# sb_versionnum
_VERSION_MASK, VERSION_ALIGN, _VERSION_ASCII_CI = 0xF, 0x80, 0x4000

# sb_features_ro_compat
_FINOBT, _RMAPBT, _REFLINK, _INOBTCNT = 1, 2, 4, 8
_RO_COMPAT_KNOWN = 15

# sb_features_incompat
_FTYPE, _SPARSE_INODES, META_UUID, _BIGTIME, _NEEDSREPAIR, _NREXT64, _EXCHRANGE = 1, 2, 4, 8, 16, 32, 64
_INCOMPAT_KNOWN = 127


class Geometry:
    """The unchanging facts of a filesystem. Sizes are in bytes where not said otherwise."""

    def __init__(self, sb: Superblock, name: str) -> None:
        self.name = name
        self.blocks = sb.dblocks
        self.group_blocks, self.group_count = sb.agblocks, sb.agcount
        self.group_bits, self.inode_bits = sb.agblklog, sb.inopblog
        self.sector_size, self.inode_size = sb.sectsize, sb.inodesize
        self.inodes_per_block = sb.inopblock
        self.root_inode = sb.rootino
        self.log_start, self.log_blocks = sb.logstart, sb.logblocks
        self.chunk_alignment = max(sb.inoalignmt, 1) if sb.versionnum & VERSION_ALIGN else 1
        self.inode_percentage = sb.imax_pct
        self.has_realtime = bool(sb.rblocks)
        ro, incompat = sb.features_ro_compat, sb.features_incompat
        self.finobt, self.rmapbt, self.reflink, self.inobt_counts = (bool(ro & bit) for bit in (_FINOBT, _RMAPBT, _REFLINK, _INOBTCNT))
        self.sparse_inodes, self.bigtime, self.large_extent_counts = (bool(incompat & bit) for bit in (_SPARSE_INODES, _BIGTIME, _NREXT64))
        self.uuid = uuid.UUID(bytes=sb.uuid)
        self.label = sb.fname.partition(b"\0")[0].decode("utf-8", "replace")
        #: the UUID that all metadata carries; sb_uuid may have been changed since
        self.metadata_uuid = sb.meta_uuid if incompat & META_UUID else sb.uuid

    def group_size(self, agno: int) -> int:
        """Blocks of the group; the last one may be shorter."""
        return min(self.group_blocks, self.blocks - agno * self.group_blocks)

    def fsbno(self, agno: int, agbno: int) -> int:
        return agno << self.group_bits | agbno

    def split(self, fsbno: int) -> tuple[int, int]:
        """(agno, agbno)"""
        return fsbno >> self.group_bits, fsbno & ((1 << self.group_bits) - 1)

    def has_extent(self, fsbno: int, count: int) -> bool:
        """Does this run of blocks lie inside one group?"""
        agno, agbno = self.split(fsbno)
        return count > 0 and agno < self.group_count and agbno + count <= self.group_size(agno)

    def linear(self, fsbno: int) -> int:
        """The block's place in the partition, in blocks."""
        if not self.has_extent(fsbno, 1):
            raise self.damage(f"the block number {fsbno:#x} is outside of it")
        agno, agbno = self.split(fsbno)
        return agno * self.group_blocks + agbno

    def daddr(self, fsbno: int) -> int:
        """The block's place in the partition, in units of 512 bytes, as metadata blocks note it."""
        return self.linear(fsbno) * (BLOCK_SIZE // 512)

    def from_linear(self, block: int) -> int:
        agno, agbno = divmod(block, self.group_blocks)
        return self.fsbno(agno, agbno)

    def ino(self, agno: int, agino: int) -> int:
        return agno << (self.group_bits + self.inode_bits) | agino

    def split_ino(self, ino: int) -> tuple[int, int]:
        """(agno, inode number in the group)"""
        bits = self.group_bits + self.inode_bits
        return ino >> bits, ino & ((1 << bits) - 1)

    def inode_place(self, ino: int) -> tuple[int, int]:
        """(fsbno, byte in the block)"""
        return ino >> self.inode_bits, (ino & ((1 << self.inode_bits) - 1)) * self.inode_size

    def damage(self, what: str) -> BuildError:
        return BuildError(f"{self.name}: the XFS filesystem is damaged: {what}.", "Fetch the image again, or run xfs_repair on it.")

    def unsupported(self, what: str) -> Unsupported:
        return Unsupported(f"{self.name}: {what}.")


def is_xfs(device: Device) -> bool:
    return device.size >= BLOCK_SIZE and device.read(0, 4) == Superblock.MAGIC


def read_geometry(device: Device) -> Geometry:
    """The geometry of a v5 filesystem whose features are all known; Unsupported and BuildError for others."""
    name = device.name
    head = device.read(0, BLOCK_SIZE)
    sb = Superblock(head)
    if sb.magic != Superblock.MAGIC:
        raise BuildError(f"{name}: this is not an XFS filesystem.")
    version = sb.versionnum & _VERSION_MASK
    if version != 5:
        raise Unsupported(f"{name}: XFS version {version} is not known, only 5.")
    if sb.sectsize not in (512, 1024, 2048, 4096) or not is_sound(head[: sb.sectsize], Superblock.CRC):
        raise BuildError(f"{name}: the XFS superblock is damaged (checksum).", "Fetch the image again.")
    for feature, known, kind in (
        (sb.features_compat, 0, "compatible"),
        (sb.features_ro_compat, _RO_COMPAT_KNOWN, "read-only compatible"),
        (sb.features_incompat, _INCOMPAT_KNOWN, "incompatible"),
        (sb.features_log_incompat, 0, "log"),
    ):
        if feature & ~known:
            raise Unsupported(f"{name}: the XFS filesystem has unknown {kind} features {feature & ~known:#x}.")
    if sb.features_incompat & _NEEDSREPAIR or sb.inprogress:
        raise BuildError(f"{name}: the XFS filesystem is marked as unfinished or in need of repair.", "Run xfs_repair on it.")
    if not sb.features_incompat & _FTYPE or sb.versionnum & _VERSION_ASCII_CI:
        raise Unsupported(f"{name}: the XFS directories have no file types or ignore case.")
    if sb.blocksize != BLOCK_SIZE or sb.blocklog != 12 or sb.dirblklog:
        raise Unsupported(f"{name}: the XFS filesystem has blocks of {sb.blocksize} bytes, directories of 2^{sb.dirblklog} blocks.")
    if (
        sb.sectsize != 1 << min(sb.sectlog, 16)
        or sb.inodesize != 1 << min(sb.inodelog, 16)
        or not 512 <= sb.inodesize <= 2048
        or sb.inopblock != BLOCK_SIZE // sb.inodesize
        or sb.inopblock != 1 << min(sb.inopblog, 16)
        or sb.agblocks < _SMALLEST_GROUP
        or sb.agblklog > 31
        or not 1 << sb.agblklog >= sb.agblocks > 1 << sb.agblklog >> 1
        or not (sb.agcount - 1) * sb.agblocks < sb.dblocks <= sb.agcount * sb.agblocks
        or sb.inoalignmt > sb.agblocks
    ):
        raise BuildError(f"{name}: the XFS superblock does not make sense (geometry).", "Fetch the image again.")
    if sb.dblocks * BLOCK_SIZE > device.size:
        raise BuildError(f"{name}: the XFS filesystem of {sb.dblocks * BLOCK_SIZE} bytes is larger than its partition of {device.size}.")
    if sb.agcount > _MOST_GROUPS:
        raise Unsupported(f"{name}: the XFS filesystem has {sb.agcount} allocation groups.")
    return Geometry(sb, name)
