# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allocation groups: headers, free list, and the contents of their trees, as lists that are changed and then stored."""

from __future__ import annotations

import struct
from typing import TypeVar

from ...errors import BuildError
from .btree import Btree, read_btree, update_btree
from .chunks import chunk_state, is_consistent, lowest_free, mark, new_chunk
from .geometry import BLOCK_SIZE
from .ondisk import NULL32, Agf, Agfl, Agi
from .records import (
    BNO,
    CNT,
    FINO,
    INO,
    INODES_PER_CHUNK,
    OWN_INOBT,
    OWN_INODES,
    OWN_REFC,
    REFC,
    REFCOUNT_COW,
    RMAP,
    FreeExtent,
    InodeChunk,
    Refcount,
    ReverseMapping,
    by_size,
    rmap_order,
)
from .space import SpaceError, add_mapping, drop_reference, find_free, give, overlap, remove_mapping, take
from .structure import Structure, seal
from .volume import Volume

_Record = TypeVar("_Record", FreeExtent, InodeChunk, Refcount, ReverseMapping)
_Header = TypeVar("_Header", Agf, Agi, Agfl)

#: Blocks that are left free: what the kernel sets aside in a group at mount, and a margin for its free list.
_MARGIN = 32


class GroupHeaders:
    """AGF, AGI and AGFL of a group: copies, checked, that store() puts back."""

    def __init__(self, volume: Volume, agno: int) -> None:
        self.volume, self.agno = volume, agno
        self.agf, self.agi, self.agfl = self._read(Agf, 1), self._read(Agi, 2), self._read(Agfl, 3)
        size = volume.geometry.group_size(agno)
        for header in (self.agf, self.agi):
            if (header.seqno, header.length, header.versionnum) != (agno, size, 1):
                raise self.damage("has headers of another group")
        capacity = self._free_list_capacity
        agf = self.agf
        if (
            agf.flfirst >= capacity
            or agf.fllast >= capacity
            or agf.flcount > capacity
            or (agf.flcount and (agf.flfirst + agf.flcount - 1) % capacity != agf.fllast)
        ):
            raise self.damage("has a wrong free list")
        if any(not 0 < block < size for block in self.free_list):
            raise self.damage("has a wrong block in its free list")

    def _read(self, kind: type[_Header], sector: int) -> _Header:
        fsbno, offset = self._place(sector)
        size = self.volume.geometry.sector_size
        data = self.volume.verified(fsbno, offset, size, kind.CRC, f"the {kind.__name__.upper()} of group {self.agno}")
        header = kind(bytearray(data))
        if header.magic != kind.MAGIC or header.uuid != self.volume.geometry.metadata_uuid:
            raise self.damage(f"has no {kind.__name__.upper()}")
        return header

    def _place(self, sector: int) -> tuple[int, int]:
        block, offset = divmod(sector * self.volume.geometry.sector_size, BLOCK_SIZE)
        return self.volume.geometry.fsbno(self.agno, block), offset

    def damage(self, what: str) -> BuildError:
        return self.volume.geometry.damage(f"allocation group {self.agno} {what}")

    @property
    def _free_list_capacity(self) -> int:
        return (self.volume.geometry.sector_size - Agfl.SIZE) // 4

    @property
    def free_list(self) -> list[int]:
        """The blocks that are kept for the growth of the free space and reverse mapping trees."""
        capacity = self._free_list_capacity
        ring = struct.unpack_from(f">{capacity}I", self.agfl.buffer, Agfl.SIZE)
        return [ring[(self.agf.flfirst + n) % capacity] for n in range(self.agf.flcount)]

    def pop_free_list(self) -> int:
        if self.agf.flcount < 2:
            raise self.volume.geometry.unsupported(f"the free list of allocation group {self.agno} is used up")
        block = self.free_list[0]
        self.agf.flfirst = (self.agf.flfirst + 1) % self._free_list_capacity
        self.agf.flcount -= 1
        return block

    def push_free_list(self, block: int) -> None:
        capacity = self._free_list_capacity
        if self.agf.flcount >= capacity:
            raise self.volume.geometry.unsupported(f"the free list of allocation group {self.agno} is full")
        self.agf.fllast = (self.agf.fllast + 1) % capacity
        struct.pack_into(">I", self.agfl.writable, Agfl.SIZE + 4 * self.agf.fllast, block)
        self.agf.flcount += 1

    @property
    def free_blocks(self) -> int:
        """What the group adds to sb_fdblocks."""
        return self.agf.freeblks + self.agf.flcount + self.agf.btreeblks

    @property
    def has_unlinked(self) -> bool:
        """Are there inodes without a name, whose blocks wait to be freed?"""
        return self.agi.unlinked != NULL32.to_bytes(4, "big") * Agi.UNLINKED_BUCKETS

    def store_headers(self) -> None:
        headers: tuple[tuple[int, Structure], ...] = ((1, self.agf), (2, self.agi), (3, self.agfl))
        for sector, header in headers:
            seal(header.writable, header.CRC)
            self.volume.write(*self._with_data(sector, bytes(header.buffer)))

    def _with_data(self, sector: int, data: bytes) -> tuple[int, bytes, int]:
        fsbno, offset = self._place(sector)
        return fsbno, data, offset


class Group(GroupHeaders):
    """A group with its trees. Block numbers and inode numbers are relative to the group.

    free, refcounts, chunks: sorted records; mappings: records by owner. The trees by size and of free inodes follow from
    the others.
    """

    def __init__(self, volume: Volume, agno: int) -> None:
        super().__init__(volume, agno)
        geometry, agf, agi = volume.geometry, self.agf, self.agi
        self.bno = read_btree(volume, agno, BNO, agf.bno_root, agf.bno_level)
        self.cnt = read_btree(volume, agno, CNT, agf.cnt_root, agf.cnt_level)
        self.ino = read_btree(volume, agno, INO, agi.root, agi.level)
        self.fino = read_btree(volume, agno, FINO, agi.free_root, agi.free_level) if geometry.finobt else None
        self.refc = read_btree(volume, agno, REFC, agf.refcount_root, agf.refcount_level) if geometry.reflink else None
        self.rmap = read_btree(volume, agno, RMAP, agf.rmap_root, agf.rmap_level) if geometry.rmapbt else None
        self.free: list[FreeExtent] = self.bno.records
        self.chunks: list[InodeChunk] = self.ino.records
        self.refcounts: list[Refcount] = self.refc.records if self.refc else []
        self.mappings: dict[int, list[ReverseMapping]] = {}
        for mapping in self.rmap.records if self.rmap else ():
            self.mappings.setdefault(mapping.owner, []).append(mapping)
        self._check()

    def _check(self) -> None:
        """The trees agree with each other and with the headers."""
        size, sparse = self.volume.geometry.group_size(self.agno), self.volume.geometry.sparse_inodes
        end = 0
        for extent in self.free:
            if extent.start < max(end, 1) or not extent.blocks or (end and extent.start == end):
                raise self.damage(f"has wrong free space at block {extent.start}")
            end = extent.end
        if end > size or self.cnt.records != sorted(self.free, key=by_size):
            raise self.damage("has free space trees that differ")
        end = 0
        for record in self.refcounts:
            if record.start & REFCOUNT_COW:
                raise self.volume.geometry.unsupported(f"allocation group {self.agno} has blocks left over from a copy-on-write")
            if record.start < end or not record.blocks or record.refs < 2:
                raise self.damage(f"has a wrong reference count at block {record.start}")
            end = record.end
        if end > size:
            raise self.damage("has reference counts beyond its end")
        if overlap(self.free, self.refcounts):
            raise self.damage("has blocks that are both free and shared")
        trees = [tree.blocks for tree in (self.bno, self.cnt, self.ino, self.fino, self.refc, self.rmap) if tree]
        own = sorted([*self.free_list, *(block for blocks in trees for block in blocks)])
        if overlap(self.free, [FreeExtent(block, 1) for block in own]) or len(set(own)) != len(own):
            raise self.damage("has tree blocks that are also something else")
        inodes = size * self.volume.geometry.inodes_per_block
        end = 0
        for chunk in self.chunks:
            if chunk.start < end or chunk.start + INODES_PER_CHUNK > inodes or not is_consistent(chunk, sparse):
                raise self.damage(f"has a wrong inode chunk at {chunk.start}")
            end = chunk.start + INODES_PER_CHUNK
        states = [chunk_state(chunk, sparse) for chunk in self.chunks]
        if self.fino and self.fino.records != [chunk for chunk, state in zip(self.chunks, states) if state.free]:
            raise self.damage("has a wrong tree of free inodes")
        if (self.agi.count, self.agi.freecount) != (sum(state.inodes for state in states), sum(state.free_count for state in states)):
            raise self.damage("has wrong counts of inodes")
        if self._counters() != (self.agf.freeblks, self.agf.longest, self.agf.btreeblks):
            raise self.damage("has wrong counts of free blocks")
        geometry = self.volume.geometry
        if (self.rmap and self.agf.rmap_blocks != len(self.rmap.blocks)) or (
            self.refc and self.agf.refcount_blocks != len(self.refc.blocks)
        ):
            raise self.damage("has wrong counts of tree blocks")
        if geometry.inobt_counts:
            counted = self.agi.iblocks, self.agi.fblocks
            if counted != (len(self.ino.blocks), len(self.fino.blocks) if self.fino else 0):
                raise self.damage("has wrong counts of inode tree blocks")

    def _counters(self) -> tuple[int, int, int]:
        """(free blocks, the longest free extent, blocks of the trees that grow by the free list, without their roots)"""
        trees = [tree for tree in (self.bno, self.cnt, self.rmap) if tree]
        counts = [extent.blocks for extent in self.free]
        return sum(counts), max(counts, default=0), sum(len(tree.blocks) - 1 for tree in trees)

    @property
    def reserve(self) -> int:
        geometry = self.volume.geometry
        size = geometry.group_size(self.agno)
        share = size // 64 if geometry.rmapbt else size // 200 if geometry.reflink or geometry.finobt else 0
        return _MARGIN + share

    def allocate(self, count: int, owner: int, offset: int, alignment: int = 1) -> int | None:
        """A run of blocks for a file (offset: the file block) or for OWN_…; None where the group has none to spare."""
        start = find_free(self.free, count, alignment)
        if start is None or sum(extent.blocks for extent in self.free) < count + self.reserve:
            return None
        take(self.free, start, count)
        if self.rmap:
            add_mapping(self.mappings.setdefault(owner, []), ReverseMapping(start, count, owner, offset))
        return start

    def release(self, start: int, count: int, owner: int, offset: int) -> None:
        """One user less: the inverse of allocate(), for shared blocks, too. offset carries the RMAP_… flags."""
        try:
            if self.rmap:
                remove_mapping(self.mappings.get(owner, []), ReverseMapping(start, count, owner, offset))
            for freed in drop_reference(self.refcounts, start, count):
                give(self.free, *freed)
        except SpaceError as error:
            raise self.damage(f"contradicts itself: {error}") from error

    def allocate_inode(self) -> int | None:
        """The number of a free inode, now in use."""
        sparse = self.volume.geometry.sparse_inodes
        for index, chunk in enumerate(self.chunks):
            place = lowest_free(chunk, sparse)
            if place is not None:
                self.chunks[index] = mark(chunk, place, free=False)
                return chunk.start + place
        return None

    def allocate_chunk(self) -> int | None:
        """The first inode number of a new chunk; the caller writes the inodes."""
        geometry = self.volume.geometry
        blocks = INODES_PER_CHUNK // geometry.inodes_per_block
        start = self.allocate(blocks, OWN_INODES, 0, geometry.chunk_alignment)
        if start is None:
            return None
        first = start * geometry.inodes_per_block
        self.chunks = sorted([*self.chunks, new_chunk(first, geometry.sparse_inodes)])
        self.agi.newino = first
        return first

    def free_inode(self, agino: int) -> None:
        index = next((n for n, chunk in enumerate(self.chunks) if 0 <= agino - chunk.start < INODES_PER_CHUNK), None)
        if index is None or self.chunks[index].free >> (agino - self.chunks[index].start) & 1:
            raise self.damage(f"has no inode {agino} in use")
        self.chunks[index] = mark(self.chunks[index], agino - self.chunks[index].start, free=True)

    def store(self, lsn: int) -> None:
        """Write trees and headers into the volume. Trees that take blocks from the free space come first."""
        sparse, agf, agi = self.volume.geometry.sparse_inodes, self.agf, self.agi
        if self.refc:
            self.refc = self._store_tree(self.refc, self.refcounts, lsn, OWN_REFC)
            agf.refcount_root, agf.refcount_level, agf.refcount_blocks = self.refc.root, self.refc.height, len(self.refc.blocks)
        self.ino = self._store_tree(self.ino, self.chunks, lsn, OWN_INOBT)
        agi.root, agi.level = self.ino.root, self.ino.height
        states = [chunk_state(chunk, sparse) for chunk in self.chunks]
        agi.count, agi.freecount = sum(state.inodes for state in states), sum(state.free_count for state in states)
        if self.fino:
            with_free = [chunk for chunk, state in zip(self.chunks, states) if state.free]
            self.fino = self._store_tree(self.fino, with_free, lsn, OWN_INOBT)
            agi.free_root, agi.free_level = self.fino.root, self.fino.height
        if self.volume.geometry.inobt_counts:
            agi.iblocks, agi.fblocks = len(self.ino.blocks), len(self.fino.blocks) if self.fino else 0
        if self.rmap:
            everything = sorted((mapping for mappings in self.mappings.values() for mapping in mappings), key=rmap_order)
            self.rmap = self._store_tree(self.rmap, everything, lsn)
            agf.rmap_root, agf.rmap_level, agf.rmap_blocks = self.rmap.root, self.rmap.height, len(self.rmap.blocks)
        self.bno = self._store_tree(self.bno, self.free, lsn)
        self.cnt = self._store_tree(self.cnt, sorted(self.free, key=by_size), lsn)
        agf.bno_root, agf.bno_level = self.bno.root, self.bno.height
        agf.cnt_root, agf.cnt_level = self.cnt.root, self.cnt.height
        agf.freeblks, agf.longest, agf.btreeblks = self._counters()
        self.store_headers()

    def _store_tree(self, tree: Btree[_Record], records: list[_Record], lsn: int, owner: int = 0) -> Btree[_Record]:
        """owner: of a tree that lives in the free space; the others live on the free list."""

        def allocate() -> int:
            block = self.allocate(1, owner, 0) if owner else self.pop_free_list()
            if block is None:
                raise self.volume.geometry.unsupported(f"allocation group {self.agno} is nearly full")
            return block

        def release(block: int) -> None:
            if owner:
                self.release(block, 1, owner, 0)
            else:
                self.push_free_list(block)

        return update_btree(self.volume, self.agno, tree, records, allocate, release, lsn)
