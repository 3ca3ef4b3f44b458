# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extents of a file: their packed form, and the B+tree (bmbt) that holds many of them.

Source: xfs_format.h, struct xfs_bmbt_rec: 1 bit unwritten, 54 bits file offset, 52 bits fsbno, 21 bits count.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .geometry import BLOCK_SIZE
from .ondisk import LongBtreeBlock
from .volume import Volume

_RECORD = struct.Struct(">QQ")
_MOST_LEVELS = 6
_MOST_BLOCKS = 512
_HIGHEST_OFFSET = (1 << 54) - 1


class Extent(NamedTuple):
    """`count` blocks of a file from file block `offset` on, at `fsbno`. Unwritten ones read as zeros."""

    offset: int
    fsbno: int
    blocks: int
    unwritten: bool = False


class Mapping(NamedTuple):
    """All extents of a fork, in order, and the blocks of the tree that holds them."""

    extents: list[Extent]
    tree_blocks: list[int]


def pack_extents(extents: Iterable[Extent]) -> bytes:
    return b"".join(
        _RECORD.pack(extent.unwritten << 63 | extent.offset << 9 | extent.fsbno >> 43, (extent.fsbno << 21 | extent.blocks) & (1 << 64) - 1)
        for extent in extents
    )


def unpack_extents(volume: Volume, ino: int, records: bytes) -> list[Extent]:
    """Extents in order, each inside one allocation group; damage otherwise."""
    geometry, found, end = volume.geometry, [], 0
    for high, low in _RECORD.iter_unpack(records):
        extent = Extent(high >> 9 & _HIGHEST_OFFSET, (high & 511) << 43 | low >> 21, low & ((1 << 21) - 1), bool(high >> 63))
        if extent.offset < end or not geometry.has_extent(extent.fsbno, extent.blocks):
            raise geometry.damage(f"inode {ino} has a wrong extent {tuple(extent)}")
        end = extent.offset + extent.blocks
        found.append(extent)
    return found


def join_extents(extents: Sequence[Extent]) -> list[Extent]:
    """The same mapping with as few extents as can be."""
    joined: list[Extent] = []
    for extent in sorted(extents):
        if joined:
            last = joined[-1]
            if last[:2] == (extent.offset - last.blocks, extent.fsbno - last.blocks) and last.unwritten == extent.unwritten:
                joined[-1] = last._replace(blocks=last.blocks + extent.blocks)
                continue
        joined.append(extent)
    return joined


def read_extent_tree(volume: Volume, ino: int, root: bytes) -> tuple[bytes, list[int]]:
    """(packed extents, tree blocks) below the root that an inode's fork holds."""
    geometry = volume.geometry
    level, count = struct.unpack_from(">HH", root)
    most = (len(root) - 4) // 16
    if not 1 <= level <= _MOST_LEVELS or not 1 <= count <= most:
        raise geometry.damage(f"inode {ino} has an extent tree of level {level} with {count} keys")
    pointers = list(struct.unpack_from(f">{count}Q", root, 4 + 8 * most))
    size = LongBtreeBlock.SIZE
    most = (BLOCK_SIZE - size) // 16
    blocks: list[int] = []
    records: list[bytes] = []
    while pointers:
        level -= 1
        below: list[int] = []
        for pointer in pointers:
            data = volume.verified(pointer, 0, BLOCK_SIZE, LongBtreeBlock.CRC, f"an extent tree block of inode {ino}")
            head = LongBtreeBlock(data)
            if (
                head.magic != head.MAGIC
                or head.owner != ino
                or head.level != level
                or head.uuid != geometry.metadata_uuid
                or not 1 <= head.numrecs <= most
            ):
                raise geometry.damage(f"the extent tree block {pointer:#x} does not belong to inode {ino}")
            blocks.append(pointer)
            if len(blocks) > _MOST_BLOCKS:
                raise geometry.unsupported(f"the extent tree of inode {ino} has more than {_MOST_BLOCKS} blocks")
            if level:
                below += struct.unpack_from(f">{head.numrecs}Q", data, size + 8 * most)
            else:
                records.append(data[size : size + 16 * head.numrecs])
        pointers = below
    if len(set(blocks)) != len(blocks):
        raise geometry.damage(f"the extent tree of inode {ino} has a loop")
    return b"".join(records), blocks
