# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header of a qcow2 image and what can be refused by it, before any tool opens the image.

Source: QEMU, docs/interop/qcow2.txt. Nothing here follows a name that the image gives.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass

from ..errors import BuildError
from .device import Device

MAGIC = b"QFI\xfb"

#: Default limit of the virtual size: what Oracle Cloud takes as a custom image.
VIRTUAL_SIZE_LIMIT = 400 * 10**9

#: QEMU's own limits of the two tables (block/qcow2.h).
_L1_LIMIT = 32 << 20
_REFCOUNT_TABLE_LIMIT = 8 << 20

#: Bytes that a file may have beside twice those of its virtual disk.
_FILE_OVERHEAD = 64 << 20

#: How other formats are recognised (oslo.utils' format_inspector, which refuses what is of several): name, offset, magic.
_OTHER_FORMATS = (
    ("VDI", 64, b"\x7f\x10\xda\xbe"),
    ("MBR", 510, b"\x55\xaa"),
    *(("ISO 9660 or UDF", 32769, magic) for magic in (b"CD001", b"NSR02", b"NSR03")),
)

_FIXED = struct.Struct(">4sIQIIQIIQQIIQ")
_VERSION_3 = struct.Struct(">QQQII")

_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION_TYPE, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_INCOMPATIBLE = _DIRTY | _CORRUPT | _DATA_FILE | _COMPRESSION_TYPE | _EXTENDED_L2

#: Of an entry of an L1 or L2 table: where it leads, and that the cluster there is compressed.
OFFSET = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62


@dataclass(frozen=True)
class Qcow2Header:
    """What a reader needs. Sizes and offsets in bytes; compression: 'zlib' or 'zstd'."""

    version: int
    cluster_bits: int
    virtual_size: int
    l1_entries: int
    l1_offset: int
    refcount_table_offset: int
    refcount_table_clusters: int
    refcount_bits: int
    compression: str
    extended_l2: bool
    autoclear: int

    @property
    def cluster_size(self) -> int:
        return 1 << self.cluster_bits

    def compressed_extent(self, entry: int) -> tuple[int, int]:
        """(offset, length) of the compressed cluster that an L2 entry describes."""
        bits = 62 - (self.cluster_bits - 8)
        offset = entry & ((1 << bits) - 1)
        sectors = ((entry & (COMPRESSED - 1)) >> bits) + 1
        return offset, sectors * 512 - (offset & 511)


def read_words(file: Device, offset: int, count: int) -> array[int]:
    """A table of big-endian 64-bit numbers, in 8 bytes each."""
    words = array("Q", file.read(offset, 8 * count))
    if sys.byteorder == "little":
        words.byteswap()
    return words


def pack_words(words: array[int]) -> bytes:
    copy = array("Q", words)
    if sys.byteorder == "little":
        copy.byteswap()
    return copy.tobytes()


def is_qcow2(device: Device) -> bool:
    return device.size >= len(MAGIC) and device.read(0, len(MAGIC)) == MAGIC


def _other_format(file: Device) -> str:
    """The name of another format that the file has, too; '' where there is none."""
    for name, offset, magic in _OTHER_FORMATS:
        if offset + len(magic) <= file.size and file.read(offset, len(magic)) == magic:
            return name
    return ""


def read_header(file: Device, virtual_size_limit: int = VIRTUAL_SIZE_LIMIT) -> Qcow2Header:
    """The header of a self-contained qcow2 file; no table is looked into.

    :raises BuildError: a backing file, an external data file, encryption, snapshots, unknown incompatible features, an unclean close,
        insane geometry, a virtual size above the limit, tables beyond the end of the file, or a file that is of another format, too.
    """

    def refuse(found: str, hint: str = "") -> BuildError:
        return BuildError(f"{file.name}: {found}.", hint)

    if not is_qcow2(file):
        raise refuse("this is not a qcow2 image", "Give a qcow2 disk image.")
    if file.size < _FIXED.size:
        raise refuse(f"the qcow2 header is cut short ({file.size} bytes)")
    other = _other_format(file)
    if other:
        raise refuse(f"it is a qcow2 image and an image of the format {other} in one", "Give an image that means the same to everybody.")
    fixed = _FIXED.unpack(file.read(0, _FIXED.size))
    (
        _magic,
        version,
        backing,
        _backing_size,
        cluster_bits,
        size,
        crypt,
        l1_entries,
        l1_offset,
        table_offset,
        table_clusters,
        snapshots,
        _snapshots_offset,
    ) = fixed
    if version not in (2, 3):
        raise refuse(f"qcow2 version {version} is not known")
    incompatible = autoclear = compression = length = 0
    refcount_order = 4
    if version == 3:
        if file.size < _FIXED.size + _VERSION_3.size:
            raise refuse(f"the qcow2 header is cut short ({file.size} bytes)")
        incompatible, _compatible, autoclear, refcount_order, length = _VERSION_3.unpack(file.read(_FIXED.size, _VERSION_3.size))
        if not 104 <= length <= 4096 or length > file.size:
            raise refuse(f"the qcow2 header says it is {length} bytes long")
        if length > 104:
            compression = file.read(104, 1)[0]
    if backing:
        raise refuse("the qcow2 image has a backing file", "Flatten it: qemu-img convert -O qcow2.")
    if crypt:
        raise refuse(f"the qcow2 image is encrypted (method {crypt})")
    if incompatible & _DATA_FILE:
        raise refuse("the qcow2 image keeps its data in an external file", "Flatten it: qemu-img convert -O qcow2.")
    if incompatible & ~_KNOWN_INCOMPATIBLE:
        raise refuse(f"the qcow2 image has unknown incompatible features {incompatible & ~_KNOWN_INCOMPATIBLE:#x}")
    if incompatible & (_DIRTY | _CORRUPT):
        state = "corrupt" if incompatible & _CORRUPT else "not closed cleanly"
        raise refuse(f"the qcow2 image is marked as {state}", "Fetch it again, or repair it: qemu-img check -r all.")
    if snapshots:
        raise refuse(f"the qcow2 image has {snapshots} internal snapshots", "Flatten it: qemu-img convert -O qcow2.")
    if not 9 <= cluster_bits <= 21:
        raise refuse(f"the qcow2 image has clusters of 2^{cluster_bits} bytes")
    if length > 1 << cluster_bits:
        raise refuse(f"the qcow2 header says it is {length} bytes long, more than a cluster")
    if refcount_order > 6:
        raise refuse(f"the qcow2 image has reference counts of 2^{refcount_order} bits")
    if bool(incompatible & _COMPRESSION_TYPE) != bool(compression) or compression > 1:
        raise refuse(f"the qcow2 image has compression type {compression}")
    if size > virtual_size_limit:
        raise refuse(f"the virtual disk has {size} bytes, more than the limit of {virtual_size_limit}")
    if file.size > 2 * size + _FILE_OVERHEAD:
        raise refuse(f"the file has {file.size} bytes for a virtual disk of {size} bytes", "Write it anew: qemu-img convert -O qcow2.")
    extended_l2 = bool(incompatible & _EXTENDED_L2)
    cluster = 1 << cluster_bits
    per_l2 = cluster // (16 if extended_l2 else 8)
    if l1_entries * 8 > _L1_LIMIT or l1_entries * per_l2 * cluster < size:
        raise refuse(f"the L1 table has {l1_entries} entries for a virtual disk of {size} bytes")
    if not table_clusters or table_clusters * cluster > _REFCOUNT_TABLE_LIMIT:
        raise refuse(f"the refcount table has {table_clusters} clusters")
    if l1_offset % cluster or table_offset % cluster or not table_offset or (l1_entries and not l1_offset):
        raise refuse(f"a table is not aligned to a cluster (L1 at {l1_offset}, refcounts at {table_offset})")
    for name, start, length in (("L1 table", l1_offset, l1_entries * 8), ("refcount table", table_offset, table_clusters * cluster)):
        if start + length > file.size:
            raise refuse(f"it is truncated: the {name} ends at {start + length}, the file at {file.size}", "Fetch it again.")
    return Qcow2Header(
        version,
        cluster_bits,
        size,
        l1_entries,
        l1_offset,
        table_offset,
        table_clusters,
        1 << refcount_order,
        "zstd" if compression else "zlib",
        extended_l2,
        autoclear,
    )
