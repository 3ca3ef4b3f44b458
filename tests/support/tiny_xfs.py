# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""XFS filesystems of a few MiB, made in memory without any tool: two allocation groups, a clean log, an empty root directory.

They are smaller than mkfs.xfs makes them, and good enough for the engine's own readers. What the kernel and xfs_repair say
of the engine is for the integration tests.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.device import Overlay, Window
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.editor import Editor
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.geometry import BLOCK_SIZE
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.inode import LOCAL, Inode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.ondisk import (
    NULL32,
    Agf,
    Agfl,
    Agi,
    Dinode,
    LogRecord,
    ShortBtreeBlock,
    Superblock,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.structure import seal
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume

UUID = uuid.UUID("5ca1ab1e-0000-4000-8000-00000000c0de")
GROUP_BLOCKS, GROUPS, LOG_BLOCKS = 1024, 2, 64
SECTOR, INODE_SIZE = 512, 512
LABEL = b"system_u:object_r:etc_t:s0\0"

_GROUP_BITS, _INODE_BITS = 10, 3
_LOG_START, _CHUNK_START = 64, 16
_CHUNK_BLOCKS = 8
_FREE_LIST = (8, 9, 10, 11)
_ROOT = _CHUNK_START << _INODE_BITS
_LSN = 1 << 32
_MASK64 = (1 << 64) - 1
_OWN_FS, _OWN_LOG, _OWN_AG, _OWN_INOBT, _OWN_INODES, _OWN_REFC = (_MASK64 + 1 - n for n in (3, 4, 5, 6, 7, 8))


class Memory:
    """A Device in memory."""

    def __init__(self, data: bytearray, name: str = "memory") -> None:
        self.data, self.name, self.size = data, name, len(data)

    def read(self, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= self.size
        return bytes(self.data[offset : offset + length])

    def commit(self, writes: dict[int, bytes]) -> None:
        for offset, data in writes.items():
            self.data[offset : offset + len(data)] = data


@dataclass(frozen=True)
class Features:
    """What mkfs.xfs -m and -i call finobt, rmapbt, reflink, inobtcount, sparse, bigtime, nrext64."""

    finobt: bool = True
    rmapbt: bool = False
    reflink: bool = True
    inobtcount: bool = False
    sparse: bool = True
    bigtime: bool = False
    nrext64: bool = False


def make_xfs(features: Features = Features()) -> Memory:
    """An empty filesystem."""
    memory = Memory(bytearray(GROUPS * GROUP_BLOCKS * BLOCK_SIZE))
    for agno in range(GROUPS):
        _make_group(memory, features, agno)
    _make_log(memory)
    _make_root(memory, features)
    return memory


def _extents(agno: int) -> tuple[list[tuple[int, int]], list[tuple[int, int, int, int]]]:
    """(free space, reverse mappings) of a group."""
    if agno:
        used = 12
        inodes: list[tuple[int, int, int, int]] = []
        log: list[tuple[int, int, int, int]] = []
        free = [(used, GROUP_BLOCKS - used)]
    else:
        inodes = [(_CHUNK_START, _CHUNK_BLOCKS, _OWN_INODES, 0)]
        log = [(_LOG_START, LOG_BLOCKS, _OWN_LOG, 0)]
        after_chunk, after_log = _CHUNK_START + _CHUNK_BLOCKS, _LOG_START + LOG_BLOCKS
        free = [(12, _CHUNK_START - 12), (after_chunk, _LOG_START - after_chunk), (after_log, GROUP_BLOCKS - after_log)]
    own = [(0, 1, _OWN_FS, 0), (1, 2, _OWN_AG, 0), (3, 2, _OWN_INOBT, 0), (5, 1, _OWN_REFC, 0), (6, 1, _OWN_AG, 0)]
    own += [(7, 1, _OWN_FS, 0), (8, 4, _OWN_AG, 0)]
    return free, own + inodes + log


def _make_group(memory: Memory, features: Features, agno: int) -> None:
    base = agno * GROUP_BLOCKS * BLOCK_SIZE
    free, mappings = _extents(agno)
    chunks = 0 if agno else 1
    counts = 64 << 8 | 63 if features.sparse else 63
    inodes = [(_ROOT, counts, _MASK64 - 1)][:chunks]
    _make_tree(memory, agno, 1, b"AB3B", ">II", free)
    _make_tree(memory, agno, 2, b"AB3C", ">II", sorted(free, key=lambda extent: (extent[1], extent[0])))
    _make_tree(memory, agno, 3, b"IAB3", ">IIQ", inodes)
    _make_tree(memory, agno, 4, b"FIB3", ">IIQ", inodes)
    _make_tree(memory, agno, 5, b"R3FC", ">III", [])
    _make_tree(memory, agno, 6, b"RMB3", ">IIQQ", mappings)
    data = memory.data
    agf = Agf(data, base + SECTOR)
    agf.magic, agf.versionnum, agf.seqno, agf.length, agf.uuid = b"XAGF", 1, agno, GROUP_BLOCKS, UUID.bytes
    agf.bno_root, agf.cnt_root, agf.bno_level, agf.cnt_level = 1, 2, 1, 1
    agf.refcount_root, agf.refcount_level, agf.refcount_blocks = (5, 1, 1) if features.reflink else (0, 0, 0)
    agf.rmap_root, agf.rmap_level, agf.rmap_blocks = (6, 1, 1) if features.rmapbt else (0, 0, 0)
    agf.flfirst, agf.fllast, agf.flcount = 0, len(_FREE_LIST) - 1, len(_FREE_LIST)
    agf.freeblks, agf.longest = sum(count for _start, count in free), max(count for _start, count in free)
    agi = Agi(data, base + 2 * SECTOR)
    agi.magic, agi.versionnum, agi.seqno, agi.length, agi.uuid = b"XAGI", 1, agno, GROUP_BLOCKS, UUID.bytes
    agi.root, agi.level, agi.count, agi.freecount = 3, 1, 64 * chunks, 63 * chunks
    agi.newino = _ROOT if chunks else NULL32
    agi.unlinked = b"\xff" * 256
    agi.free_root, agi.free_level = (4, 1) if features.finobt else (0, 0)
    if features.inobtcount:
        agi.iblocks, agi.fblocks = 1, int(features.finobt)
    agfl = Agfl(data, base + 3 * SECTOR)
    agfl.magic, agfl.seqno, agfl.uuid = b"XAFL", agno, UUID.bytes
    struct.pack_into(f">{(SECTOR - Agfl.SIZE) // 4}I", data, base + 3 * SECTOR + Agfl.SIZE, *_FREE_LIST, *[NULL32] * 115)
    _make_superblock(memory, features, base)
    for sector, kind in enumerate((Superblock, Agf, Agi, Agfl)):
        _seal(data, base + sector * SECTOR, SECTOR, kind.CRC)


def _make_superblock(memory: Memory, features: Features, base: int) -> None:
    sb = Superblock(memory.data, base)
    sb.magic, sb.blocksize, sb.dblocks, sb.uuid = b"XFSB", BLOCK_SIZE, GROUPS * GROUP_BLOCKS, UUID.bytes
    sb.logstart, sb.rootino, sb.agblocks, sb.agcount, sb.logblocks = _LOG_START, _ROOT, GROUP_BLOCKS, GROUPS, LOG_BLOCKS
    sb.versionnum, sb.sectsize, sb.inodesize, sb.inopblock = 0xB4A5 | 0x80, SECTOR, INODE_SIZE, 8
    sb.blocklog, sb.sectlog, sb.inodelog, sb.inopblog, sb.agblklog = 12, 9, 9, _INODE_BITS, _GROUP_BITS
    sb.icount, sb.ifree = 64, 63
    sb.fdblocks = sum(count for agno in range(GROUPS) for _start, count in _extents(agno)[0]) + GROUPS * len(_FREE_LIST)
    sb.inoalignmt = _CHUNK_BLOCKS
    sb.features_ro_compat = features.finobt | features.rmapbt << 1 | features.reflink << 2 | features.inobtcount << 3
    sb.features_incompat = 1 | features.sparse << 1 | features.bigtime << 3 | features.nrext64 << 5


def _make_tree(memory: Memory, agno: int, block: int, magic: bytes, record: str, records: Sequence[tuple[int, ...]]) -> None:
    start = (agno * GROUP_BLOCKS + block) * BLOCK_SIZE
    head = ShortBtreeBlock(memory.data, start)
    head.magic, head.numrecs, head.leftsib, head.rightsib = magic, len(records), NULL32, NULL32
    head.blkno, head.owner, head.uuid = start // 512, agno, UUID.bytes
    packed = b"".join(struct.pack(record, *fields) for fields in records)
    memory.data[start + head.SIZE : start + head.SIZE + len(packed)] = packed
    _seal(memory.data, start, BLOCK_SIZE, head.CRC)


def _make_log(memory: Memory) -> None:
    start = _LOG_START * BLOCK_SIZE
    record = LogRecord(memory.data, start)
    record.magic, record.cycle, record.version, record.len, record.lsn, record.tail_lsn = LogRecord.MAGIC, 1, 2, 512, _LSN, _LSN
    record.num_logops, record.fmt, record.fs_uuid, record.h_size = 1, 1, UUID.bytes, 32768
    struct.pack_into(">IIBBH", memory.data, start + 512, 1, 8, 0xAA, 0x20, 0)


def _make_root(memory: Memory, features: Features) -> None:
    for number in range(64):
        start = _CHUNK_START * BLOCK_SIZE + number * INODE_SIZE
        inode = Dinode(memory.data, start)
        inode.magic, inode.version, inode.next_unlinked, inode.ino, inode.uuid = b"IN", 3, NULL32, _ROOT + number, UUID.bytes
        if not number:
            inode.mode, inode.format, inode.aformat, inode.nlink, inode.size = 0o040755, LOCAL, 2, 2, 6
            inode.flags2 = features.bigtime << 3 | features.nrext64 << 4
            memory.data[start + Dinode.SIZE : start + Dinode.SIZE + 6] = bytes(2) + _ROOT.to_bytes(4, "big")
        _seal(memory.data, start, INODE_SIZE, Dinode.CRC)


def _seal(data: bytearray, start: int, length: int, crc_offset: int) -> None:
    piece = data[start : start + length]
    seal(piece, crc_offset)
    data[start : start + length] = piece


class Maker(Editor):
    """Makes what the editor has no need to make: symbolic and hard links, labels, and other attributes of files."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.volume = Volume(memory)
        super().__init__(self.volume, 1)

    def symlink(self, path: bytes, target: bytes) -> None:
        directory, _slash, name = path.rpartition(b"/")
        parent = self._tree.lookup(directory or b"/").inode
        inode = self._new_inode(parent, 0o120777, 0, 0, b"")
        inode.set_data_fork(LOCAL, target)
        inode.disk.size = len(target)
        inode.store()
        self._link(parent, name, inode)

    def hard_link(self, old: bytes, new: bytes) -> None:
        inode = self._tree.lookup(old).inode
        inode.disk.nlink += 1
        inode.store()
        directory, _slash, name = new.rpartition(b"/")
        self._link(self._tree.lookup(directory or b"/").inode, name, inode)

    def label(self, path: bytes, label: bytes) -> None:
        """Label a file or directory that is empty."""
        from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.xattr import set_label

        inode = self.inode(path)
        fork = inode.data_fork
        form = inode.disk.format
        set_label(inode, label)
        inode.set_data_fork(form, fork[: inode.disk.size if form == LOCAL else 0])
        inode.store()

    def inode(self, path: bytes) -> Inode:
        return self._tree.lookup(path, follow=False).inode

    def save(self) -> Memory:
        self.memory.commit(self.finish())
        return self.memory


def edited(memory: Memory) -> Volume:
    """A fresh reader."""
    return Volume(Window(Overlay(memory, {}), 0, memory.size, "edited"))
