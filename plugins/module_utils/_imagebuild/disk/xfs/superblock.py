# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The superblock and its copies: read, changed and stored; a new UUID for the filesystem."""

from __future__ import annotations

import uuid

from .geometry import META_UUID
from .ondisk import Superblock
from .structure import seal
from .volume import Volume


def read_superblock(volume: Volume, agno: int) -> Superblock:
    """A copy of the superblock in this group, which describes the same filesystem as the first one."""
    geometry = volume.geometry
    data = volume.verified(geometry.fsbno(agno, 0), 0, geometry.sector_size, Superblock.CRC, f"superblock {agno}")
    sb = Superblock(bytearray(data))
    same = (sb.magic, sb.uuid, sb.dblocks, sb.agblocks, sb.agcount, sb.inodesize)
    if same != (Superblock.MAGIC, geometry.uuid.bytes, geometry.blocks, geometry.group_blocks, geometry.group_count, geometry.inode_size):
        raise geometry.damage(f"superblock {agno} describes another filesystem")
    return sb


def store_superblock(volume: Volume, agno: int, sb: Superblock) -> None:
    seal(sb.writable, Superblock.CRC)
    volume.write(volume.geometry.fsbno(agno, 0), bytes(sb.buffer))


def stamp_uuid(volume: Volume, new: uuid.UUID) -> None:
    """Set the UUID in every superblock. The old one stays in all other metadata, and is kept as sb_meta_uuid."""
    for agno in range(volume.geometry.group_count):
        sb = read_superblock(volume, agno)
        metadata = volume.geometry.metadata_uuid
        if new.bytes == metadata:
            sb.features_incompat &= ~META_UUID
            sb.meta_uuid = bytes(16)
        else:
            sb.features_incompat |= META_UUID
            sb.meta_uuid = metadata
        sb.uuid = new.bytes
        store_superblock(volume, agno, sb)
