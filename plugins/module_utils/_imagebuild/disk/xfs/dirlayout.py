# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory's names, laid out afresh: in the smallest form that holds them.

A change of a directory is a new layout of all its names. That is more than the kernel would write, but it is one pure
function instead of a change, a growth and a shrinkage for each of four forms.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import NamedTuple, Union

from .directory import FREE_BLOCK, LEAF_BLOCK, UNUSED_TAG, Name, entry_size, name_hash
from .geometry import BLOCK_SIZE
from .inode import FILE_TYPES
from .ondisk import NULL32, Da3Block, Dir3Block

#: Where the first name of a directory lies, in bytes: after the block's header, '.' and '..'.
_FIRST_OFFSET = Dir3Block.SIZE + 2 * 16
_DIRECTORY_TYPE = FILE_TYPES[0o040000]

_PER_LEAF = (BLOCK_SIZE - Da3Block.SIZE) // 8
_PER_FREE = (BLOCK_SIZE - Dir3Block.SIZE) // 2

LayoutBlock = Union[Dir3Block, Da3Block]


class Layout(NamedTuple):
    """short_form: the inode's data fork, or empty; else blocks by file block, without address, owner and checksum.

    size: di_size.
    """

    size: int
    short_form: bytes
    blocks: dict[int, LayoutBlock]


class _HashEntry(NamedTuple):
    """A name in the hash index. address: its place in the directory, in units of 8 bytes."""

    hash: int
    address: int


def lay_out(ino: int, parent: int, names: Collection[Name], fork_size: int) -> Layout | None:
    """The directory `ino` with these names; None where it would be too large for the forms that are written here."""
    short = _short_form(parent, names)
    if len(short) <= fork_size and _fits_as_block(names):
        return Layout(len(short), short, {})
    everything = [Name(b".", ino, _DIRECTORY_TYPE), Name(b"..", parent, _DIRECTORY_TYPE), *names]
    block = _block_form(everything)
    if block:
        return Layout(BLOCK_SIZE, b"", {0: block})
    blocks: dict[int, LayoutBlock] = {}
    index: list[_HashEntry] = []
    best: list[int] = []
    for number, part in enumerate(_fill(everything)):
        blocks[number], entries, free = _data_block(Dir3Block.DATA_MAGIC, part, BLOCK_SIZE, number)
        index += entries
        best.append(free)
    index.sort()
    size = len(best) * BLOCK_SIZE
    if Da3Block.SIZE + 8 * len(index) + 2 * len(best) + 4 <= BLOCK_SIZE:
        blocks[LEAF_BLOCK] = _leaf_with_bests(index, best)
    else:
        tree = _hash_tree(index)
        if not tree:
            return None
        blocks.update(tree)
        blocks.update(_free_index(best))
    return Layout(size, b"", blocks)


def _short_form(parent: int, names: Collection[Name]) -> bytes:
    wide = sum(number > NULL32 for number in (parent, *(name.ino for name in names)))
    width, offset = 8 if wide else 4, _FIRST_OFFSET
    parts = [bytes([min(len(names), 255), min(wide, 255)]), parent.to_bytes(width, "big")]
    for name in names:
        parts += [
            bytes([len(name.name)]),
            (offset & 0xFFFF).to_bytes(2, "big"),
            name.name,
            bytes([name.type]),
            name.ino.to_bytes(width, "big"),
        ]
        offset += entry_size(name.name)
    return b"".join(parts)


def _fits_as_block(names: Collection[Name]) -> bool:
    """The kernel keeps a directory in short form only while its block form would fit, too."""
    used = _FIRST_OFFSET + sum(entry_size(name.name) for name in names)
    return len(names) < 255 and used + 8 * (len(names) + 2) + 8 <= BLOCK_SIZE


def _block_form(names: list[Name]) -> Dir3Block | None:
    end = BLOCK_SIZE - 8 - 8 * len(names)
    if Dir3Block.SIZE + sum(entry_size(name.name) for name in names) > end:
        return None
    block, index, _free = _data_block(Dir3Block.BLOCK_MAGIC, names, end, 0)
    tail = b"".join(struct.pack(">II", *entry) for entry in sorted(index)) + struct.pack(">II", len(index), 0)
    block.writable[end:] = tail
    return block


def _fill(names: list[Name]) -> list[list[Name]]:
    """The names by data block, in order."""
    parts: list[list[Name]] = []
    room = 0
    for name in names:
        size = entry_size(name.name)
        if size > room:
            parts.append([])
            room = BLOCK_SIZE - Dir3Block.SIZE
        parts[-1].append(name)
        room -= size
    return parts


def _data_block(magic: bytes, names: list[Name], end: int, number: int) -> tuple[Dir3Block, list[_HashEntry], int]:
    """A block with these names and one free piece up to `end`; its part of the hash index; the size of the free piece."""
    data = bytearray(BLOCK_SIZE)
    block = Dir3Block(data)
    block.magic = magic
    index = []
    offset = Dir3Block.SIZE
    for name, ino, kind in names:
        length = entry_size(name)
        struct.pack_into(f">QB{len(name)}sB", data, offset, ino, len(name), name, kind)
        struct.pack_into(">H", data, offset + length - 2, offset)
        index.append(_HashEntry(name_hash(name), (number * BLOCK_SIZE + offset) // 8))
        offset += length
    free = end - offset
    if free:
        struct.pack_into(">HH", data, offset, UNUSED_TAG, free)
        struct.pack_into(">H", data, end - 2, offset)
        block.bestfree = struct.pack(">HH8x", offset, free)
    return block, index, free


def _leaf(magic: int, index: list[_HashEntry]) -> tuple[Da3Block, bytearray]:
    data = bytearray(BLOCK_SIZE)
    leaf = Da3Block(data)
    leaf.magic, leaf.count = magic, len(index)
    packed = b"".join(struct.pack(">II", *entry) for entry in index)
    data[Da3Block.SIZE : Da3Block.SIZE + len(packed)] = packed
    return leaf, data


def _leaf_with_bests(index: list[_HashEntry], best: list[int]) -> Da3Block:
    """The only leaf: at its end, the largest free piece of each data block, and their number."""
    leaf, data = _leaf(Da3Block.LEAF1_MAGIC, index)
    tail = struct.pack(f">{len(best)}HI", *best, len(best))
    data[BLOCK_SIZE - len(tail) :] = tail
    return leaf


def _hash_tree(index: list[_HashEntry]) -> dict[int, LayoutBlock]:
    """Leaves, and one node above them where there are several; empty where one node would not do."""
    count = -(-len(index) // _PER_LEAF)
    if count == 1:
        return {LEAF_BLOCK: _leaf(Da3Block.LEAFN_MAGIC, index)[0]}
    if count > _PER_LEAF:
        return {}
    blocks: dict[int, LayoutBlock] = {}
    keys = []
    for number in range(count):
        part = index[len(index) * number // count : len(index) * (number + 1) // count]
        leaf, _rest = _leaf(Da3Block.LEAFN_MAGIC, part)
        place = LEAF_BLOCK + 1 + number
        leaf.back = place - 1 if number else 0
        leaf.forw = place + 1 if number + 1 < count else 0
        blocks[place] = leaf
        keys.append(_HashEntry(part[-1].hash, place))
    root, _rest = _leaf(Da3Block.NODE_MAGIC, keys)
    root.level = 1
    blocks[LEAF_BLOCK] = root
    return blocks


def _free_index(best: list[int]) -> dict[int, LayoutBlock]:
    blocks: dict[int, LayoutBlock] = {}
    for first in range(0, len(best), _PER_FREE):
        part = best[first : first + _PER_FREE]
        data = bytearray(BLOCK_SIZE)
        block = Dir3Block(data)
        block.magic = Dir3Block.FREE_MAGIC
        block.firstdb, block.nvalid, block.nused = first, len(part), len(part)
        struct.pack_into(f">{len(part)}H", data, Dir3Block.SIZE, *part)
        blocks[FREE_BLOCK + first // _PER_FREE] = block
    return blocks
