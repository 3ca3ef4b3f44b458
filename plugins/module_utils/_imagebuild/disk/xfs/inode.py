# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inodes: their fields, their forks, and what a file contains."""

from __future__ import annotations

import stat

from ...errors import BuildError
from .extents import Extent, Mapping, pack_extents, read_extent_tree, unpack_extents
from .geometry import BLOCK_SIZE
from .ondisk import NULL32, Dinode
from .structure import seal
from .volume import Volume

# di_format, di_aformat; free inodes are DEVICE until they are first used
DEVICE, LOCAL, EXTENTS, BTREE = 0, 1, 2, 3

# di_flags
REALTIME, PREALLOCATED, IMMUTABLE, APPEND = 0x1, 0x2, 0x8, 0x10
_INHERITED = 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x4000

# di_flags2
FLAG2_REFLINK, FLAG2_BIGTIME, FLAG2_NREXT64 = 2, 8, 16
_FLAGS2_KNOWN = 31

#: di_mode's type -> the type in a directory entry (xfs_dir3_ftype)
FILE_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}

_BIGTIME_EPOCH = 1 << 31


class Inode:
    """A copy of an on-disk inode; store() puts it back into the volume."""

    def __init__(self, volume: Volume, ino: int, raw: bytearray) -> None:
        self.volume, self.ino, self.raw = volume, ino, raw
        self.disk = Dinode(raw)

    @property
    def type(self) -> int:
        """One of the S_IF… constants; 0 for a free inode."""
        return stat.S_IFMT(self.disk.mode)

    @property
    def literal_size(self) -> int:
        return len(self.raw) - Dinode.SIZE

    @property
    def data_fork_size(self) -> int:
        return self.disk.forkoff * 8 or self.literal_size

    @property
    def data_fork(self) -> bytes:
        return bytes(self.raw[Dinode.SIZE : Dinode.SIZE + self.data_fork_size])

    @property
    def attr_fork(self) -> bytes:
        """Empty where there is none."""
        return bytes(self.raw[Dinode.SIZE + self.disk.forkoff * 8 :]) if self.disk.forkoff else b""

    @property
    def has_large_counts(self) -> bool:
        return bool(self.disk.flags2 & FLAG2_NREXT64)

    def mapping(self) -> Mapping:
        """Where the data fork's blocks are."""
        count = self.disk.big_nextents if self.has_large_counts else self.disk.nextents
        return self._mapping(self.disk.format, self.data_fork, count)

    def attr_mapping(self) -> Mapping:
        count = self.disk.nextents if self.has_large_counts else self.disk.anextents
        return self._mapping(self.disk.aformat, self.attr_fork, count) if self.disk.forkoff else Mapping([], [])

    def _mapping(self, form: int, fork: bytes, count: int) -> Mapping:
        if form in (DEVICE, LOCAL):
            return Mapping([], [])
        blocks: list[int] = []
        if form == EXTENTS:
            records = fork[: 16 * count]
        elif form == BTREE:
            records, blocks = read_extent_tree(self.volume, self.ino, fork)
        else:
            raise self.damage(f"has an unknown fork format {form}")
        if len(records) != 16 * count:
            raise self.damage(f"should have {count} extents")
        return Mapping(unpack_extents(self.volume, self.ino, records), blocks)

    def read(self, limit: int) -> bytes:
        """The content of a regular file; BuildError where it is longer than `limit` bytes."""
        size = self.disk.size
        if size > limit:
            raise BuildError(f"{self.volume.geometry.name}: inode {self.ino} has {size} bytes, more than the limit of {limit}.")
        if self.disk.format == LOCAL:
            raise self.damage("is a regular file without extents")
        if self.disk.flags & REALTIME:
            raise self.volume.geometry.unsupported(f"inode {self.ino} lies in the realtime section")
        blocks = -(-size // BLOCK_SIZE)
        content = bytearray(blocks * BLOCK_SIZE)
        for extent in self.mapping().extents:
            count = min(extent.blocks, blocks - extent.offset)
            if count > 0 and not extent.unwritten:
                start = extent.offset * BLOCK_SIZE
                content[start : start + count * BLOCK_SIZE] = self.volume.read(extent.fsbno, count)
        return bytes(content[:size])

    def damage(self, what: str) -> BuildError:
        return self.volume.geometry.damage(f"inode {self.ino} {what}")

    def refuse_special(self) -> None:
        """Raise Unsupported for what a change of this inode would have to heed and does not."""
        disk, refuse = self.disk, self.volume.geometry.unsupported
        if disk.flags & (IMMUTABLE | APPEND):
            raise refuse(f"inode {self.ino} is immutable or append-only")
        if disk.flags & REALTIME:
            raise refuse(f"inode {self.ino} lies in the realtime section")
        if self.type == stat.S_IFDIR and disk.flags & _INHERITED:
            raise refuse(f"the directory of inode {self.ino} hands flags {disk.flags & _INHERITED:#x} down to new files")
        if disk.flags2 & ~_FLAGS2_KNOWN:
            raise refuse(f"inode {self.ino} has unknown flags {disk.flags2 & ~_FLAGS2_KNOWN:#x}")

    def set_data_fork(self, form: int, content: bytes, extents: int = 0) -> None:
        """Replace the data fork; the caller has made sure that it fits."""
        start, end = Dinode.SIZE, Dinode.SIZE + self.data_fork_size
        self.disk.format = form
        self.raw[start:end] = content.ljust(end - start, b"\0")
        if self.has_large_counts:
            self.disk.big_nextents = extents
        else:
            self.disk.nextents = extents

    def set_extents(self, extents: list[Extent]) -> None:
        if len(extents) * 16 > self.data_fork_size:
            raise self.volume.geometry.unsupported(f"inode {self.ino} has no room for {len(extents)} extents")
        self.set_data_fork(EXTENTS, pack_extents(extents), len(extents))

    def touch(self, seconds: int, *fields: str) -> None:
        """Set these timestamps, and count the change."""
        if self.disk.flags2 & FLAG2_BIGTIME:
            value = (seconds + _BIGTIME_EPOCH) * 10**9
        elif seconds < 1 << 31:
            value = seconds << 32
        else:
            raise self.volume.geometry.unsupported(f"inode {self.ino} cannot hold the time {seconds}")
        for field in fields:
            setattr(self.disk, field, value)
        self.disk.changecount += 1

    def store(self) -> None:
        seal(self.raw, Dinode.CRC)
        fsbno, offset = self.volume.geometry.inode_place(self.ino)
        self.volume.write(fsbno, bytes(self.raw), offset)


def read_inode(volume: Volume, ino: int) -> Inode:
    """The inode, free or in use; damage where there is none."""
    geometry = volume.geometry
    fsbno, offset = geometry.inode_place(ino)
    if not geometry.has_extent(fsbno, 1):
        raise geometry.damage(f"there is no inode {ino}")
    inode = Inode(volume, ino, bytearray(volume.verified(fsbno, offset, geometry.inode_size, Dinode.CRC, f"inode {ino}")))
    disk = inode.disk
    if disk.magic != Dinode.MAGIC or disk.version != 3 or disk.ino != ino or disk.uuid != geometry.metadata_uuid:
        raise geometry.damage(f"there is no inode {ino}")
    if disk.forkoff * 8 >= inode.literal_size:
        raise inode.damage("has an attribute fork outside of itself")
    return inode


def read_used_inode(volume: Volume, ino: int) -> Inode:
    inode = read_inode(volume, ino)
    if inode.type not in FILE_TYPES or not inode.disk.nlink:
        raise inode.damage(f"is in use by name, but not allocated (mode {inode.disk.mode:#o}, {inode.disk.nlink} links)")
    return inode


def format_inode(volume: Volume, ino: int, generation: int, lsn: int) -> Inode:
    """A free inode, as mkfs and the kernel write them."""
    inode = Inode(volume, ino, bytearray(volume.geometry.inode_size))
    disk = inode.disk
    disk.magic, disk.version, disk.gen = Dinode.MAGIC, 3, generation
    disk.next_unlinked, disk.lsn, disk.ino, disk.uuid = NULL32, lsn, ino, volume.geometry.metadata_uuid
    return inode
