# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of the B+trees of an allocation group: what they say, how they are packed, and how they are ordered.

Block numbers are relative to the group. Source: xfs_format.h, xfs_alloc_rec, xfs_inobt_rec, xfs_refcount_rec, xfs_rmap_rec.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Callable, Generic, NamedTuple, TypeVar

INODES_PER_CHUNK = 64
INODES_PER_HOLE = 4

#: Owners of blocks that belong to no file (xfs_format.h, XFS_RMAP_OWN_…), as unsigned numbers.
OWN_AG, OWN_INOBT, OWN_INODES, OWN_REFC = ((1 << 64) - n for n in (5, 6, 7, 8))

#: Flags in the offset of a reverse mapping.
RMAP_ATTR, RMAP_BMBT, RMAP_UNWRITTEN = 1 << 63, 1 << 62, 1 << 61

#: Flag in the start of a reference count: blocks set aside for copy-on-write.
REFCOUNT_COW = 1 << 31


class FreeExtent(NamedTuple):
    """Blocks that nobody uses."""

    start: int
    blocks: int

    @property
    def end(self) -> int:
        """The block after the last one."""
        return self.start + self.blocks


class Refcount(NamedTuple):
    """Blocks that `refs` (2 or more) files share."""

    start: int
    blocks: int
    refs: int

    @property
    def end(self) -> int:
        """The block after the last one."""
        return self.start + self.blocks


class ReverseMapping(NamedTuple):
    """Blocks and who uses them: an inode from a file block on, or one of OWN_…; offset carries the RMAP_… flags."""

    start: int
    blocks: int
    owner: int
    offset: int

    @property
    def end(self) -> int:
        """The block after the last one."""
        return self.start + self.blocks

    @property
    def is_for_data(self) -> bool:
        """Do offsets of neighbours have to follow each other, for them to be one mapping?"""
        return not self.owner >> 63 and not self.offset & RMAP_BMBT


class InodeChunk(NamedTuple):
    """64 inode numbers. counts: free inodes, or, with sparse inodes, hole mask << 16 | inodes << 8 | free inodes.

    free: bit mask; the bits of holes are set, too.
    """

    start: int
    counts: int
    free: int


Record = TypeVar("Record", bound=NamedTuple)


@dataclass(frozen=True)
class Kind(Generic[Record]):
    """A kind of tree: its block magic, its packed records, and the keys its nodes have."""

    name: str
    magic: bytes
    record: struct.Struct
    key_size: int
    unpack: Callable[[Iterable[Any]], Record]
    #: where a record stands in the order
    order: Callable[[Record], Any]
    #: the key, as a node has it, of a block with these records
    key: Callable[[list[Record]], bytes]
    #: the key of a block with these keys
    join: Callable[[list[bytes]], bytes]


#: the lowest and the highest key of a block
_RMAP_RANGE = struct.Struct(">IQQIQQ")


def rmap_order(record: ReverseMapping) -> tuple[int, int, int]:
    return record.start, record.owner, record.offset & ~RMAP_UNWRITTEN


def _rmap_last(record: ReverseMapping) -> tuple[int, int, int]:
    """The highest key that the mapping covers."""
    start, owner, offset = rmap_order(record)
    last = record.blocks - 1
    return start + last, owner, offset + last if record.is_for_data else offset


def _rmap_key(records: list[ReverseMapping]) -> bytes:
    return _RMAP_RANGE.pack(*rmap_order(records[0]), *max(map(_rmap_last, records)))


def _rmap_join(keys: list[bytes]) -> bytes:
    """Lowest and highest of the children. Kernels before 6.3 kept the unwritten flag in keys, without heeding it."""
    ranges = [_RMAP_RANGE.unpack(key) for key in keys]
    low = (*ranges[0][:2], ranges[0][2] & ~RMAP_UNWRITTEN)
    return _RMAP_RANGE.pack(*low, *max((start, owner, offset & ~RMAP_UNWRITTEN) for *_rest, start, owner, offset in ranges))


def _first(keys: list[bytes]) -> bytes:
    return keys[0]


def _start_key(records: list[Any]) -> bytes:
    key: bytes = records[0].start.to_bytes(4, "big")
    return key


def _extent_key(records: list[FreeExtent]) -> bytes:
    return struct.pack(">II", *records[0])


def _start(record: Any) -> int:
    start: int = record.start
    return start


def by_size(extent: FreeExtent) -> tuple[int, int]:
    return extent.blocks, extent.start


_EXTENT = struct.Struct(">II")
_CHUNK = struct.Struct(">IIQ")

BNO: Kind[FreeExtent] = Kind("free space by block", b"AB3B", _EXTENT, 8, FreeExtent._make, _start, _extent_key, _first)
CNT: Kind[FreeExtent] = Kind("free space by size", b"AB3C", _EXTENT, 8, FreeExtent._make, by_size, _extent_key, _first)
REFC: Kind[Refcount] = Kind("reference count", b"R3FC", struct.Struct(">III"), 4, Refcount._make, _start, _start_key, _first)
RMAP: Kind[ReverseMapping] = Kind(
    "reverse mapping", b"RMB3", struct.Struct(">IIQQ"), 40, ReverseMapping._make, rmap_order, _rmap_key, _rmap_join
)
INO: Kind[InodeChunk] = Kind("inode", b"IAB3", _CHUNK, 4, InodeChunk._make, _start, _start_key, _first)
FINO: Kind[InodeChunk] = Kind("free inode", b"FIB3", _CHUNK, 4, InodeChunk._make, _start, _start_key, _first)
