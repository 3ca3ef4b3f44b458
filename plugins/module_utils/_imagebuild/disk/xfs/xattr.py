# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extended attributes, as far as the SELinux label needs them.

Source: xfs_da_format.h, xfs_attr_sf_hdr, xfs_attr_leafblock. Inside the inode: a header of 4 bytes (size, count), then
(name length, value length, flags, name, value) each. In blocks: leaves, whose entries point at names and values.
"""

from __future__ import annotations

import struct

from .geometry import BLOCK_SIZE
from .inode import EXTENTS, LOCAL, Inode
from .ondisk import AttrLeafEntry, Da3Block, Dinode

_LABEL = b"selinux"
_IN_LEAF, _SECURE, _INCOMPLETE = 0x01, 0x04, 0x80
_NAMESPACES = 0x0E
_HEADER = struct.Struct(">HBx")
_MOST_BLOCKS = 512

#: The data fork must keep room for a few extents.
_SMALLEST_DATA_FORK = 64


def read_label(inode: Inode) -> bytes:
    """The value of security.selinux, as it is kept (it ends with NUL); empty where there is none."""
    if not inode.disk.forkoff:
        return b""
    if inode.disk.aformat == LOCAL:
        return _label_in_inode(inode)
    return _label_in_blocks(inode)


def _label_in_inode(inode: Inode) -> bytes:
    fork = inode.attr_fork
    if len(fork) < _HEADER.size:
        raise inode.damage("has no room for its attributes")
    size, count = _HEADER.unpack_from(fork)
    if not _HEADER.size <= size <= len(fork):
        raise inode.damage("has attributes outside of itself")
    at, label = _HEADER.size, b""
    for _turn in range(count):
        if at + 3 > size:
            raise inode.damage("has attributes outside of itself")
        name_length, value_length, flags = fork[at : at + 3]
        value_at = at + 3 + name_length
        name, at = fork[at + 3 : value_at], value_at + value_length
        if at > size:
            raise inode.damage("has attributes outside of itself")
        if name == _LABEL and flags & _NAMESPACES == _SECURE:
            label = fork[value_at:at]
    return label


def _label_in_blocks(inode: Inode) -> bytes:
    extents = inode.attr_mapping().extents
    if sum(extent.blocks for extent in extents) > _MOST_BLOCKS:
        raise inode.volume.geometry.unsupported(f"the attributes of inode {inode.ino} have more than {_MOST_BLOCKS} blocks")
    for extent in extents:
        for fsbno in range(extent.fsbno, extent.fsbno + extent.blocks):
            # Nodes and large values lie between the leaves; a label is too short to be among the latter.
            if Da3Block(inode.volume.block(fsbno)).magic != Da3Block.ATTR_LEAF_MAGIC:
                continue
            data = inode.volume.verified(fsbno, 0, BLOCK_SIZE, Da3Block.CRC, f"an attribute block of inode {inode.ino}")
            label = _label_in_leaf(inode, data)
            if label:
                return label
    return b""


def _label_in_leaf(inode: Inode, data: bytes) -> bytes:
    head = Da3Block(data)
    if head.owner != inode.ino:
        raise inode.damage("does not own its attribute block")
    for number in range(head.count):
        entry = AttrLeafEntry(data, AttrLeafEntry.FIRST + number * AttrLeafEntry.SIZE)
        if not entry.flags & _IN_LEAF or entry.flags & _INCOMPLETE or entry.flags & _NAMESPACES != _SECURE:
            continue
        local = data[entry.nameidx :]
        if len(local) < 3:
            raise inode.damage("has an attribute outside of its block")
        value_length, name_length = struct.unpack_from(">HB", local)
        if local[3 : 3 + name_length] == _LABEL:
            value = local[3 + name_length : 3 + name_length + value_length]
            if len(value) != value_length:
                raise inode.damage("has an attribute outside of its block")
            return value
    return b""


def set_label(inode: Inode, label: bytes) -> None:
    """Make the label the only attribute of a new inode, before its data fork is filled."""
    if not label:
        inode.disk.forkoff, inode.disk.aformat = 0, EXTENTS
        return
    entry = bytes([len(_LABEL), len(label) & 255, _SECURE]) + _LABEL + label
    fork = _HEADER.pack(_HEADER.size + len(entry), 1) + entry
    room = (inode.literal_size - len(fork)) // 8
    if len(label) > 255 or room * 8 < _SMALLEST_DATA_FORK:
        raise inode.volume.geometry.unsupported(f"the SELinux label for inode {inode.ino} has {len(label)} bytes")
    inode.disk.forkoff, inode.disk.aformat = room, LOCAL
    start = Dinode.SIZE + room * 8
    inode.raw[start:] = fork.ljust(len(inode.raw) - start, b"\0")
