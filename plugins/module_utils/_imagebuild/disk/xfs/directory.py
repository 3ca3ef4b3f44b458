# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories: the names they hold, in each of their forms.

Short form: inside the inode. Block form: one block with names and hash index. Leaf and node form: blocks with names from
file block 0, the hash index from LEAF_BLOCK, the index of free space from FREE_BLOCK. The names are read from where they
are kept; the indexes serve the kernel's look-ups, are written by dirlayout and verified by dircheck.
Source: xfs_da_format.h; "XFS Algorithms & Data Structures", chapter "Directories".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from .geometry import BLOCK_SIZE
from .inode import LOCAL, Inode
from .ondisk import Dir3Block

#: File blocks where the index of hashes and the index of free space begin (32 GiB, 64 GiB).
LEAF_BLOCK = (32 << 30) // BLOCK_SIZE
FREE_BLOCK = (64 << 30) // BLOCK_SIZE

UNUSED_TAG = 0xFFFF

#: Directories larger than 8 MiB are refused.
_MOST_BLOCKS = 2048

_TAIL = struct.Struct(">II")
_MASK = 0xFFFFFFFF


class Name(NamedTuple):
    """A directory entry. type: xfs_dir3_ftype, see inode.FILE_TYPES."""

    name: bytes
    ino: int
    type: int


class Directory(NamedTuple):
    """A directory's parent, and its entries without '.' and '..', by name, in the order they are kept in."""

    parent: int
    names: dict[bytes, Name]


class DataItem(NamedTuple):
    """A used or (name empty) unused piece of a directory data block."""

    offset: int
    length: int
    name: bytes
    ino: int
    type: int


def name_hash(name: bytes) -> int:
    """xfs_da_hashname()"""
    value = 0
    whole = len(name) // 4 * 4
    for a, b, c, d in zip(name[0:whole:4], name[1:whole:4], name[2:whole:4], name[3:whole:4]):
        value = a << 21 ^ b << 14 ^ c << 7 ^ d ^ (value << 28 | value >> 4) & _MASK
    rest = name[whole:]
    if rest:
        turn = 7 * len(rest)
        tail = 0
        for byte in rest:
            tail = tail << 7 ^ byte
        value = tail ^ (value << turn | value >> 32 - turn) & _MASK
    return value & _MASK


def entry_size(name: bytes) -> int:
    """Bytes of an entry in a data block: inode number, length, name, type, tag; in units of 8."""
    return (len(name) + 19) & ~7


def read_directory(inode: Inode) -> Directory:
    """All names of a directory; damage where they do not make sense."""
    if inode.disk.format == LOCAL:
        return _read_short_form(inode)
    names: dict[bytes, Name] = {}
    links: dict[bytes, int] = {}
    for _file_block, _data, items in data_blocks(inode):
        for item in items:
            if item.name in (b".", b".."):
                links[item.name] = item.ino
            elif item.name:
                if item.name in names:
                    raise inode.damage(f"has the name {item.name!r} twice")
                names[item.name] = Name(item.name, item.ino, item.type)
    if links.get(b".") != inode.ino or b".." not in links:
        raise inode.damage("is a directory without itself or its parent")
    return Directory(links[b".."], names)


def directory_places(inode: Inode) -> dict[int, int]:
    """{file block: fsbno} of all blocks of a directory, names and indexes, in order."""
    extents = inode.mapping().extents
    if sum(extent.blocks for extent in extents) > _MOST_BLOCKS:
        raise inode.volume.geometry.unsupported(f"the directory of inode {inode.ino} has more than {_MOST_BLOCKS} blocks")
    return {extent.offset + n: extent.fsbno + n for extent in extents for n in range(extent.blocks)}


def data_blocks(inode: Inode) -> list[tuple[int, bytes, list[DataItem]]]:
    """The blocks with names of a directory that is not in short form: (file block, block, its items)."""
    places = [(file_block, fsbno) for file_block, fsbno in directory_places(inode).items() if file_block < LEAF_BLOCK]
    found = []
    for file_block, fsbno in places:
        data = inode.volume.verified(fsbno, 0, BLOCK_SIZE, Dir3Block.CRC, f"a directory block of inode {inode.ino}")
        head = Dir3Block(data)
        if head.magic not in (Dir3Block.BLOCK_MAGIC, Dir3Block.DATA_MAGIC) or head.owner != inode.ino:
            raise inode.damage(f"does not own its directory block {fsbno:#x}")
        end = BLOCK_SIZE
        if head.magic == Dir3Block.BLOCK_MAGIC:
            count, _stale = block_tail(data)
            end = BLOCK_SIZE - _TAIL.size - 8 * count
            if len(places) != 1 or end < Dir3Block.SIZE:
                raise inode.damage(f"has a wrong directory block {fsbno:#x}")
        found.append((file_block, data, _items(inode, data, end)))
    if not found:
        raise inode.damage("is a directory without blocks")
    return found


def block_tail(data: bytes) -> tuple[int, int]:
    """(entries, stale entries) of the hash index at the end of a block-form directory."""
    count, stale = _TAIL.unpack_from(data, BLOCK_SIZE - _TAIL.size)
    return count, stale


def _items(inode: Inode, data: bytes, end: int) -> list[DataItem]:
    found = []
    offset = Dir3Block.SIZE
    while offset < end:
        if end - offset < 8:
            raise inode.damage(f"has a wrong directory entry at byte {offset}")
        tag, length = struct.unpack_from(">HH", data, offset)
        if tag == UNUSED_TAG:
            item = DataItem(offset, length, b"", 0, 0)
            valid = length >= 8 and not length & 7
        else:
            name_length = data[offset + 8] if offset + 8 < end else 0
            name = data[offset + 9 : offset + 9 + name_length]
            length = entry_size(name)
            valid = bool(name) and offset + length <= end and b"/" not in name and b"\0" not in name
            if valid:
                ino = int.from_bytes(data[offset : offset + 8], "big")
                item = DataItem(offset, length, name, ino, data[offset + 9 + name_length])
        if not valid or offset + length > end or int.from_bytes(data[offset + length - 2 : offset + length], "big") != offset:
            raise inode.damage(f"has a wrong directory entry at byte {offset}")
        found.append(item)
        offset += length
    return found


def _read_short_form(inode: Inode) -> Directory:
    """xfs_dir2_sf: count, count of 8-byte numbers, parent; then (length, offset, name, type, inode number) each."""
    fork = inode.data_fork[: inode.disk.size]
    if len(fork) != inode.disk.size or len(fork) < 6:
        raise inode.damage("is a short-form directory of a wrong size")
    count, width = fork[0], 8 if fork[1] else 4
    parent = int.from_bytes(fork[2 : 2 + width], "big")
    at = 2 + width
    names = {}
    for _turn in range(count):
        length = fork[at] if at < len(fork) else 0
        name = fork[at + 3 : at + 3 + length]
        after = at + 3 + length
        at = after + 1 + width
        if not name or at > len(fork) or b"/" in name or b"\0" in name:
            raise inode.damage("has a wrong entry in its short-form directory")
        names[name] = Name(name, int.from_bytes(fork[after + 1 : at], "big"), fork[after])
    if at != len(fork) or len(names) != count:
        raise inode.damage("is a short-form directory of a wrong size")
    return Directory(parent, names)
