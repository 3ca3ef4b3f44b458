# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The on-disk structures of XFS v5.

Sources: "XFS Algorithms & Data Structures", 3rd edition (the kernel's Documentation/filesystems/xfs), and Linux
fs/xfs/libxfs/xfs_format.h, xfs_da_format.h, xfs_log_format.h. The names are theirs, without their prefixes.
"""

from __future__ import annotations

from .structure import Bytes, Structure, u8, u16, u32, u64

#: "No block" in 32-bit and "no inode" in 32-bit AG-relative fields.
NULL32 = 0xFFFFFFFF
NULL64 = 0xFFFFFFFFFFFFFFFF


class Superblock(Structure):
    """xfs_dsb: sector 0 of every allocation group; the first is the one that counts, the others are copies.

    Those copies get new UUIDs and features, while their counters stay as they were made.
    """

    SIZE, CRC = 264, 224
    MAGIC = b"XFSB"
    magic = Bytes(0, 4)
    blocksize = u32(4)
    dblocks = u64(8)
    rblocks = u64(16)
    uuid = Bytes(32, 16)
    logstart = u64(48)
    rootino = u64(56)
    agblocks = u32(84)
    agcount = u32(88)
    logblocks = u32(96)
    versionnum = u16(100)
    sectsize = u16(102)
    inodesize = u16(104)
    inopblock = u16(106)
    fname = Bytes(108, 12)
    blocklog = u8(120)
    sectlog = u8(121)
    inodelog = u8(122)
    inopblog = u8(123)
    agblklog = u8(124)
    inprogress = u8(126)
    imax_pct = u8(127)
    icount = u64(128)
    ifree = u64(136)
    fdblocks = u64(144)
    qflags = u16(176)
    inoalignmt = u32(180)
    dirblklog = u8(192)
    features2 = u32(200)
    features_compat = u32(208)
    features_ro_compat = u32(212)
    features_incompat = u32(216)
    features_log_incompat = u32(220)
    lsn = u64(240)
    meta_uuid = Bytes(248, 16)


class Agf(Structure):
    """xfs_agf: sector 1 of an allocation group, its free space."""

    SIZE, CRC = 220, 216
    MAGIC = b"XAGF"
    magic = Bytes(0, 4)
    versionnum = u32(4)
    seqno = u32(8)
    length = u32(12)
    bno_root = u32(16)
    cnt_root = u32(20)
    rmap_root = u32(24)
    bno_level = u32(28)
    cnt_level = u32(32)
    rmap_level = u32(36)
    flfirst = u32(40)
    fllast = u32(44)
    flcount = u32(48)
    freeblks = u32(52)
    longest = u32(56)
    btreeblks = u32(60)
    uuid = Bytes(64, 16)
    rmap_blocks = u32(80)
    refcount_blocks = u32(84)
    refcount_root = u32(88)
    refcount_level = u32(92)
    lsn = u64(208)


class Agi(Structure):
    """xfs_agi: sector 2 of an allocation group, its inodes."""

    SIZE, CRC = 344, 312
    MAGIC = b"XAGI"
    UNLINKED_BUCKETS = 64
    magic = Bytes(0, 4)
    versionnum = u32(4)
    seqno = u32(8)
    length = u32(12)
    count = u32(16)
    root = u32(20)
    level = u32(24)
    freecount = u32(28)
    newino = u32(32)
    unlinked = Bytes(40, 4 * UNLINKED_BUCKETS)
    uuid = Bytes(296, 16)
    lsn = u64(320)
    free_root = u32(328)
    free_level = u32(332)
    iblocks = u32(336)
    fblocks = u32(340)


class Agfl(Structure):
    """xfs_agfl: sector 3 of an allocation group; block numbers, a ring, fill the rest of the sector."""

    SIZE, CRC = 36, 32
    MAGIC = b"XAFL"
    magic = Bytes(0, 4)
    seqno = u32(4)
    uuid = Bytes(8, 16)
    lsn = u64(24)


class ShortBtreeBlock(Structure):
    """xfs_btree_block, short form: a block of a B+tree inside one allocation group."""

    SIZE, CRC = 56, 52
    magic = Bytes(0, 4)
    level = u16(4)
    numrecs = u16(6)
    leftsib = u32(8)
    rightsib = u32(12)
    blkno = u64(16)
    lsn = u64(24)
    uuid = Bytes(32, 16)
    owner = u32(48)


class LongBtreeBlock(Structure):
    """xfs_btree_block, long form: a block of a file's extent B+tree (bmbt)."""

    SIZE, CRC = 72, 64
    MAGIC = b"BMA3"
    magic = Bytes(0, 4)
    level = u16(4)
    numrecs = u16(6)
    leftsib = u64(8)
    rightsib = u64(16)
    blkno = u64(24)
    uuid = Bytes(40, 16)
    owner = u64(56)


class Dinode(Structure):
    """xfs_dinode version 3; the data fork and the attribute fork fill the rest of the inode (the literal area)."""

    SIZE, CRC = 176, 100
    MAGIC = b"IN"
    magic = Bytes(0, 2)
    mode = u16(2)
    version = u8(4)
    format = u8(5)
    uid = u32(8)
    gid = u32(12)
    nlink = u32(16)
    projid_lo = u16(20)
    projid_hi = u16(22)
    big_nextents = u64(24)
    atime = u64(32)
    mtime = u64(40)
    ctime = u64(48)
    size = u64(56)
    nblocks = u64(64)
    extsize = u32(72)
    nextents = u32(76)
    anextents = u16(80)
    forkoff = u8(82)
    aformat = u8(83)
    flags = u16(90)
    gen = u32(92)
    next_unlinked = u32(96)
    changecount = u64(104)
    lsn = u64(112)
    flags2 = u64(120)
    cowextsize = u32(128)
    crtime = u64(144)
    ino = u64(152)
    uuid = Bytes(160, 16)


class Dir3Block(Structure):
    """xfs_dir3_data_hdr: a block with names of a directory; the blocks of its free index begin alike (xfs_dir3_blk_hdr)."""

    SIZE, CRC = 64, 4
    BLOCK_MAGIC, DATA_MAGIC, FREE_MAGIC = b"XDB3", b"XDD3", b"XDF3"
    magic = Bytes(0, 4)
    blkno = u64(8)
    lsn = u64(16)
    uuid = Bytes(24, 16)
    owner = u64(40)
    bestfree = Bytes(48, 12)
    # of the free index only:
    firstdb = u32(48)
    nvalid = u32(52)
    nused = u32(56)


class Da3Block(Structure):
    """xfs_da3_blkinfo and what follows in leaves and nodes: a block of the hash tree of a directory or of attributes."""

    SIZE, CRC = 64, 12
    LEAF1_MAGIC, LEAFN_MAGIC, NODE_MAGIC, ATTR_LEAF_MAGIC = 0x3DF1, 0x3DFF, 0x3EBE, 0x3BEE
    forw = u32(0)
    back = u32(4)
    magic = u16(8)
    blkno = u64(16)
    lsn = u64(24)
    uuid = Bytes(32, 16)
    owner = u64(48)
    count = u16(56)
    stale = u16(58)
    level = u16(58)


class AttrLeafEntry(Structure):
    """xfs_attr_leaf_entry; the entries begin at byte 80 of an attribute leaf block."""

    SIZE = 8
    FIRST = 80
    hashval = u32(0)
    nameidx = u16(4)
    flags = u8(6)


class SymlinkBlock(Structure):
    """xfs_dsymlink_hdr: before each piece of a symlink's target that lies in a block of its own."""

    SIZE, CRC = 56, 12
    MAGIC = b"XSLM"
    magic = Bytes(0, 4)
    offset = u32(4)
    bytes = u32(8)
    uuid = Bytes(16, 16)
    owner = u64(32)


class LogRecord(Structure):
    """xlog_rec_header: the first sector of a record in the log."""

    SIZE, CRC = 328, 32
    MAGIC = 0xFEEDBABE
    magic = u32(0)
    cycle = u32(4)
    version = u32(8)
    len = u32(12)
    lsn = u64(16)
    tail_lsn = u64(24)
    prev_block = u32(36)
    num_logops = u32(40)
    fmt = u32(300)
    fs_uuid = Bytes(304, 16)
    h_size = u32(320)
