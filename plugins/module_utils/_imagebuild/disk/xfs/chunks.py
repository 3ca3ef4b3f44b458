# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inode chunks: which of their 64 inode numbers exist, and which are free.

Source: xfs_format.h, struct xfs_inobt_rec; with sparse inodes, each bit of the hole mask stands for 4 inode numbers.
"""

from __future__ import annotations

from typing import NamedTuple

from .records import INODES_PER_CHUNK, INODES_PER_HOLE, InodeChunk

_ALL = (1 << INODES_PER_CHUNK) - 1


class ChunkState(NamedTuple):
    """inodes: how many exist; free_count: how many are free by the record; free: mask of those that exist and are free."""

    inodes: int
    free_count: int
    free: int


def missing_inodes(chunk: InodeChunk, sparse: bool) -> int:
    """Mask of the inode numbers for which there are no inodes."""
    if not sparse:
        return 0
    one_hole, holes = (1 << INODES_PER_HOLE) - 1, chunk.counts >> 16
    return sum(one_hole << bit * INODES_PER_HOLE for bit in range(INODES_PER_CHUNK // INODES_PER_HOLE) if holes >> bit & 1)


def chunk_state(chunk: InodeChunk, sparse: bool) -> ChunkState:
    if not sparse:
        return ChunkState(INODES_PER_CHUNK, chunk.counts, chunk.free)
    return ChunkState(chunk.counts >> 8 & 255, chunk.counts & 255, chunk.free & ~missing_inodes(chunk, sparse))


def is_consistent(chunk: InodeChunk, sparse: bool) -> bool:
    state = chunk_state(chunk, sparse)
    missing = bin(missing_inodes(chunk, sparse)).count("1")
    return state.inodes == INODES_PER_CHUNK - missing and state.free_count == bin(state.free).count("1")


def lowest_free(chunk: InodeChunk, sparse: bool) -> int | None:
    """The place in the chunk of the first free inode."""
    free = chunk_state(chunk, sparse).free
    return (free & -free).bit_length() - 1 if free else None


def mark(chunk: InodeChunk, place: int, free: bool) -> InodeChunk:
    """The chunk with this inode free or in use."""
    change = 1 if free else -1
    return chunk._replace(counts=chunk.counts + change, free=chunk.free ^ 1 << place)


def new_chunk(start: int, sparse: bool) -> InodeChunk:
    """A whole chunk of free inodes."""
    return InodeChunk(start, INODES_PER_CHUNK << 8 | INODES_PER_CHUNK if sparse else INODES_PER_CHUNK, _ALL)
