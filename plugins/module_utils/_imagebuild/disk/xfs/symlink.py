# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a symbolic link points."""

from __future__ import annotations

from .geometry import BLOCK_SIZE
from .inode import LOCAL, Inode
from .ondisk import SymlinkBlock

_LONGEST = 1024
_MOST_EXTENTS = 2


def read_symlink(inode: Inode) -> bytes:
    """The target: kept in the inode, or in up to 1024 bytes of blocks, each with a header of its own."""
    size = inode.disk.size
    if not 0 < size <= _LONGEST:
        raise inode.damage(f"is a symbolic link of {size} bytes")
    if inode.disk.format == LOCAL:
        target = inode.data_fork[:size]
    else:
        target = b""
        for extent in inode.mapping().extents[:_MOST_EXTENTS]:
            for fsbno in range(extent.fsbno, extent.fsbno + min(extent.blocks, 2)):
                data = inode.volume.verified(fsbno, 0, BLOCK_SIZE, SymlinkBlock.CRC, f"the target of symbolic link {inode.ino}")
                head = SymlinkBlock(data)
                if head.magic != head.MAGIC or head.owner != inode.ino or head.offset != len(target) or not head.bytes:
                    raise inode.damage(f"does not own the symbolic link block {fsbno:#x}")
                target += data[head.SIZE : head.SIZE + head.bytes]
        target = target[:size]
    if len(target) != size or b"\0" in target:
        raise inode.damage("is a symbolic link without a sound target")
    return target
