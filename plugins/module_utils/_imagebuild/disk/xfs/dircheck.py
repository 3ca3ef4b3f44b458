# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a directory that was laid out here sound: do its indexes tell of the names that it holds, and of nothing else?"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .directory import FREE_BLOCK, LEAF_BLOCK, DataItem, block_tail, data_blocks, directory_places, name_hash, read_directory
from .geometry import BLOCK_SIZE
from .inode import LOCAL, Inode
from .ondisk import Da3Block, Dir3Block

_HashEntry = tuple[int, int]


def check_directory(inode: Inode) -> None:
    """Damage where the directory is not one that dirlayout writes."""
    read_directory(inode)
    if inode.disk.format == LOCAL:
        return
    places = directory_places(inode)
    names: list[_HashEntry] = []
    free: list[int] = []
    for number, (file_block, data, items) in enumerate(data_blocks(inode)):
        if file_block != number:
            raise inode.damage(f"has no directory block {number}")
        names += [(name_hash(item.name), (number * BLOCK_SIZE + item.offset) // 8) for item in items if item.name]
        free.append(_largest_free(inode, data, items))
    if inode.disk.size != len(free) * BLOCK_SIZE:
        raise inode.damage(f"has a directory of {len(free)} blocks and {inode.disk.size} bytes")
    index, used = _read_index(inode, places, free)
    if index != sorted(names):
        raise inode.damage("has a hash index that does not fit its names")
    if used != places.keys():
        raise inode.damage(f"has directory blocks that nothing leads to: {sorted(places.keys() - used)}")


def _largest_free(inode: Inode, data: bytes, items: list[DataItem]) -> int:
    """The length of the largest free piece, which the block's own table agrees with."""
    free = sorted(((item.length, item.offset) for item in items if not item.name), reverse=True)[:3]
    table = list(struct.iter_unpack(">HH", Dir3Block(data).bestfree))
    if table != [*((offset, length) for length, offset in free), *[(0, 0)] * (3 - len(free))]:
        raise inode.damage("has a directory block with a wrong table of free space")
    return free[0][0] if free else 0


def _read_index(inode: Inode, places: dict[int, int], free: list[int]) -> tuple[list[_HashEntry], set[int]]:
    """(the hash index, the file blocks that names and indexes take)"""
    used = set(range(len(free)))
    if LEAF_BLOCK not in places:
        data = inode.volume.block(places[0])
        count, stale = block_tail(data)
        if stale or Dir3Block(data).magic != Dir3Block.BLOCK_MAGIC:
            raise inode.damage("has a wrong directory block")
        return _entries(data, BLOCK_SIZE - 8 - 8 * count, count), used
    root = _da_block(inode, places, LEAF_BLOCK)
    used.add(LEAF_BLOCK)
    head = Da3Block(root)
    if head.magic == Da3Block.LEAF1_MAGIC:
        (count,) = struct.unpack_from(">I", root, BLOCK_SIZE - 4)
        if count != len(free) or list(struct.unpack_from(f">{count}H", root, BLOCK_SIZE - 4 - 2 * count)) != free or head.forw or head.back:
            raise inode.damage("has a directory leaf with a wrong table of free space")
        return _leaf_entries(inode, root, Da3Block.LEAF1_MAGIC), used
    if head.magic == Da3Block.LEAFN_MAGIC:
        index = _leaf_entries(inode, root, Da3Block.LEAFN_MAGIC)
    else:
        index = []
        for place, entries in _leaves_below(inode, places, root):
            used.add(place)
            index += entries
    used |= _check_free_index(inode, places, free)
    return index, used


def _leaves_below(inode: Inode, places: dict[int, int], root: bytes) -> Iterator[tuple[int, list[_HashEntry]]]:
    head = Da3Block(root)
    if head.magic != Da3Block.NODE_MAGIC or head.level != 1 or not head.count or head.forw or head.back:
        raise inode.damage("has a wrong root of its directory tree")
    children = _entries(root, Da3Block.SIZE, head.count)
    order = [0, *(place for _key, place in children), 0]
    for number, (last, place) in enumerate(children):
        leaf = _da_block(inode, places, place)
        entries = _leaf_entries(inode, leaf, Da3Block.LEAFN_MAGIC)
        head = Da3Block(leaf)
        if not entries or entries[-1][0] != last or (head.back, head.forw) != (order[number], order[number + 2]):
            raise inode.damage(f"has a wrong directory leaf {place}")
        yield place, entries


def _check_free_index(inode: Inode, places: dict[int, int], free: list[int]) -> set[int]:
    used: set[int] = set()
    told: list[int] = []
    while len(told) < len(free):
        place = FREE_BLOCK + len(used)
        data = _verified(inode, places, place, Dir3Block.CRC)
        head = Dir3Block(data)
        if (head.magic, head.owner, head.firstdb, head.nused) != (
            Dir3Block.FREE_MAGIC,
            inode.ino,
            len(told),
            head.nvalid,
        ) or not head.nvalid:
            raise inode.damage(f"has a wrong directory free index {place}")
        told += struct.unpack_from(f">{min(head.nvalid, (BLOCK_SIZE - Dir3Block.SIZE) // 2)}H", data, Dir3Block.SIZE)
        used.add(place)
    if told != free:
        raise inode.damage("has a directory free index that does not fit its blocks")
    return used


def _verified(inode: Inode, places: dict[int, int], place: int, crc_offset: int) -> bytes:
    if place not in places:
        raise inode.damage(f"has no directory block {place}")
    return inode.volume.verified(places[place], 0, BLOCK_SIZE, crc_offset, f"a directory block of inode {inode.ino}")


def _da_block(inode: Inode, places: dict[int, int], place: int) -> bytes:
    data = _verified(inode, places, place, Da3Block.CRC)
    head = Da3Block(data)
    geometry = inode.volume.geometry
    if (head.owner, head.uuid, head.blkno) != (inode.ino, geometry.metadata_uuid, geometry.daddr(places[place])):
        raise inode.damage(f"does not own its directory block {place}")
    return data


def _leaf_entries(inode: Inode, data: bytes, magic: int) -> list[_HashEntry]:
    head = Da3Block(data)
    if head.magic != magic or head.stale or Da3Block.SIZE + 8 * head.count > BLOCK_SIZE:
        raise inode.damage("has a wrong directory leaf")
    return _entries(data, Da3Block.SIZE, head.count)


def _entries(data: bytes, start: int, count: int) -> list[_HashEntry]:
    return list(struct.iter_unpack(">II", data[start : start + 8 * count]))
