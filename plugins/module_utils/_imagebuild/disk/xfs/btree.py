# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B+trees of an allocation group: read whole, and cut anew into blocks after their records have changed.

A tree is small enough to be held in memory. So a change is one of a sorted list of records, and not of blocks; afterwards
recut() finds out which leaves split, join or stay, and the same for the nodes above. Leaves that stay as they are keep
their blocks and bytes. Source: xfs_format.h, struct xfs_btree_block; xfs_btree.c for the least filling.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from dataclasses import dataclass
from typing import Callable, Generic, NamedTuple, Optional, TypeVar

from .geometry import BLOCK_SIZE
from .ondisk import NULL32, ShortBtreeBlock
from .records import Kind, Record
from .volume import Volume

_MOST_LEVELS = 9
#: Trees of more blocks than this are refused: 1 MiB, or 129,000 free extents, or 43,000 reverse mappings.
_MOST_BLOCKS = 256

Item = TypeVar("Item")
#: Something to be kept in one block: where it is kept (None: nowhere yet), and what.
Part = tuple[Optional[int], list[Item]]


class Block(NamedTuple):
    """A block of a tree: its number in the group, its key as its parent has it, and the index of its parent."""

    number: int
    key: bytes
    parent: int


@dataclass
class Btree(Generic[Record]):
    """A tree as it is on disk. levels: the blocks of each level, leaves first; leaves: their records."""

    kind: Kind[Record]
    levels: list[list[Block]]
    leaves: list[list[Record]]

    @property
    def records(self) -> list[Record]:
        return [record for leaf in self.leaves for record in leaf]

    @property
    def blocks(self) -> list[int]:
        return [block.number for level in self.levels for block in level]

    @property
    def root(self) -> int:
        return self.levels[-1][0].number

    @property
    def height(self) -> int:
        return len(self.levels)


def most_items(kind: Kind[Record], level: int) -> int:
    """Records of a leaf, or children of a node."""
    return (BLOCK_SIZE - ShortBtreeBlock.SIZE) // (kind.key_size + 4 if level else kind.record.size)


def _least_items(kind: Kind[Record], level: int) -> int:
    """The same for every block but the root."""
    return most_items(kind, level) // 2


def read_btree(volume: Volume, agno: int, kind: Kind[Record], root: int, height: int) -> Btree[Record]:
    """The whole tree; damage where its shape, keys, order or links are not as they must be."""
    geometry = volume.geometry
    where = f"the {kind.name} tree of group {agno}"
    if not 1 <= height <= _MOST_LEVELS:
        raise geometry.damage(f"{where} has {height} levels")
    levels: list[list[Block]] = []
    leaves: list[list[Record]] = []
    # (number, key that the parent has, index of the parent)
    row = [Block(root, b"", 0)]
    total = 0
    for level in range(height - 1, -1, -1):
        below: list[Block] = []
        total += len(row)
        if total > _MOST_BLOCKS:
            raise geometry.unsupported(f"{where} has more than {_MOST_BLOCKS} blocks")
        keys = []
        for index, block in enumerate(row):
            data = _read_block(volume, agno, kind, level, row, index)
            count = ShortBtreeBlock(data).numrecs
            if level:
                children = _children(kind, data, count)
                below += [Block(number, key, index) for number, key in children]
                keys.append(kind.join([key for _child, key in children]))
            else:
                size = kind.record.size
                packed = data[ShortBtreeBlock.SIZE : ShortBtreeBlock.SIZE + count * size]
                leaves.append([kind.unpack(fields) for fields in kind.record.iter_unpack(packed)])
                keys.append(kind.key(leaves[-1]) if leaves[-1] else b"")
            if block.key and keys[-1] != kind.join([block.key]):
                raise geometry.damage(f"{where} has a wrong key for block {block.number}")
        levels.insert(0, [block._replace(key=key) for block, key in zip(row, keys)])
        row = below
    tree = Btree(kind, levels, leaves)
    if len(set(tree.blocks)) != total:
        raise geometry.damage(f"{where} has a loop")
    orders = [kind.order(record) for record in tree.records]
    if any(not a < b for a, b in zip(orders, orders[1:])):
        raise geometry.damage(f"{where} is not in order")
    return tree


def _read_block(volume: Volume, agno: int, kind: Kind[Record], level: int, row: list[Block], index: int) -> bytes:
    geometry, number = volume.geometry, row[index].number
    where = f"the {kind.name} tree of group {agno}"
    if not 0 < number < geometry.group_size(agno):
        raise geometry.damage(f"{where} has a block {number}, which is outside of the group")
    data = volume.verified(geometry.fsbno(agno, number), 0, BLOCK_SIZE, ShortBtreeBlock.CRC, where)
    head = ShortBtreeBlock(data)
    left = row[index - 1].number if index else NULL32
    right = row[index + 1].number if index + 1 < len(row) else NULL32
    least = _least_items(kind, level) if len(row) > 1 else min(level, 1)
    if (
        head.magic != kind.magic
        or head.level != level
        or head.owner != agno
        or head.uuid != geometry.metadata_uuid
        or (head.leftsib, head.rightsib) != (left, right)
        or not least <= head.numrecs <= most_items(kind, level)
    ):
        raise geometry.damage(f"{where} has a wrong block {number}")
    return data


def _children(kind: Kind[Record], data: bytes, count: int) -> list[tuple[int, bytes]]:
    first = ShortBtreeBlock.SIZE
    keys = [data[first + n * kind.key_size : first + (n + 1) * kind.key_size] for n in range(count)]
    numbers = struct.unpack_from(f">{count}I", data, first + most_items(kind, 1) * kind.key_size)
    return list(zip(numbers, keys))


def recut(parts: list[Part[Item]], most: int) -> tuple[list[Part[Item]], list[int]]:
    """Parts of at least most // 2 and at most `most` items, or one of any smaller number; and the blocks left over.

    Too small parts join a neighbour; too large ones split evenly. Parts of a right size stay as they are.
    """
    joined: list[tuple[list[int], list[Item]]] = []
    for number, items in parts:
        numbers = [] if number is None else [number]
        if joined and (len(items) < most // 2 or len(joined[-1][1]) < most // 2):
            before = joined.pop()
            joined.append((before[0] + numbers, before[1] + items))
        else:
            joined.append((numbers, list(items)))
    cut: list[Part[Item]] = []
    left_over: list[int] = []
    for numbers, items in joined:
        pieces = max(-(-len(items) // most), 1)
        for piece in range(pieces):
            share = items[len(items) * piece // pieces : len(items) * (piece + 1) // pieces]
            cut.append((numbers.pop(0) if numbers else None, share))
        left_over += numbers
    return cut, left_over


def update_btree(
    volume: Volume,
    agno: int,
    tree: Btree[Record],
    records: list[Record],
    allocate: Callable[[], int],
    release: Callable[[int], None],
    lsn: int,
) -> Btree[Record]:
    """The tree with these records instead (in order), written to the volume. Blocks are numbers in the group."""
    kind = tree.kind
    orders = [kind.order(record) for record in records]
    bounds = [0, *(bisect_left(orders, kind.order(leaf[0])) for leaf in tree.leaves[1:]), len(records)]
    parts: list[Part[Record]] = [(block.number, records[low:high]) for block, low, high in zip(tree.levels[0], bounds, bounds[1:])]
    cut, spare = recut(parts, most_items(kind, 0))

    def number_of(number: int | None) -> int:
        if number is not None:
            return number
        return spare.pop(0) if spare else allocate()

    leaves = [items for _key, items in cut]
    level = [Block(number_of(number), kind.key(items) if items else b"", 0) for number, items in cut]
    contents: list[list[bytes]] = [[kind.record.pack(*record) for record in items] for items in leaves]
    levels: list[list[Block]] = []
    while True:
        level = _with_parents(tree, len(levels), level)
        levels.append(level)
        _write_level(volume, agno, kind, len(levels) - 1, level, contents, lsn)
        if len(level) == 1:
            break
        children: dict[int | None, list[Block]] = {}
        olds = tree.levels[len(levels)] if len(levels) < tree.height else []
        for block in level:
            children.setdefault(olds[block.parent].number if olds else None, []).append(block)
        groups, left_over = recut(list(children.items()), most_items(kind, 1))
        spare += left_over
        spare += [old.number for old in olds if old.number not in children]
        contents = [[block.key for block in group] + [block.number.to_bytes(4, "big") for block in group] for _key, group in groups]
        level = [Block(number_of(number), kind.join([block.key for block in group]), 0) for number, group in groups]
    for old_level in tree.levels[len(levels) :]:
        spare += [old.number for old in old_level]
    for number in spare:
        release(number)
    return Btree(kind, levels, leaves)


def _with_parents(tree: Btree[Record], height: int, level: list[Block]) -> list[Block]:
    """The blocks with the parents that they have had; a new block goes with its left neighbour."""
    before = {block.number: block.parent for block in tree.levels[height]} if height < tree.height else {}
    parent, found = 0, []
    for block in level:
        parent = max(before.get(block.number, parent), parent)
        found.append(block._replace(parent=parent))
    return found


def _write_level(
    volume: Volume, agno: int, kind: Kind[Record], level: int, blocks: list[Block], contents: list[list[bytes]], lsn: int
) -> None:
    """Write the blocks of one level that differ from what is there. contents: packed records, or keys and then pointers."""
    geometry = volume.geometry
    for index, (block, content) in enumerate(zip(blocks, contents)):
        fsbno = geometry.fsbno(agno, block.number)
        old = volume.block(fsbno)
        data = bytearray(old)
        head = ShortBtreeBlock(data)
        if (head.magic, head.blkno, head.uuid) != (kind.magic, geometry.daddr(fsbno), geometry.metadata_uuid):
            data[:] = bytes(BLOCK_SIZE)
            head.magic, head.blkno, head.uuid, head.owner, head.lsn = kind.magic, geometry.daddr(fsbno), geometry.metadata_uuid, agno, lsn
        head.level = level
        head.numrecs = len(content) // 2 if level else len(content)
        head.leftsib = blocks[index - 1].number if index else NULL32
        head.rightsib = blocks[index + 1].number if index + 1 < len(blocks) else NULL32
        _put(data, ShortBtreeBlock.SIZE, b"".join(content[: head.numrecs]))
        if level:
            _put(data, ShortBtreeBlock.SIZE + most_items(kind, 1) * kind.key_size, b"".join(content[head.numrecs :]))
        volume.write_sealed(fsbno, data, ShortBtreeBlock.CRC)


def _put(data: bytearray, at: int, content: bytes) -> None:
    data[at : at + len(content)] = content
