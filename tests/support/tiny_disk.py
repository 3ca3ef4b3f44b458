# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disk images in memory: a GUID partition table over partitions, as a raw or a qcow2 file."""

from __future__ import annotations

import struct
import zlib

SECTOR = 512
_FIRST = 2048
_TYPE = bytes(range(16))


def make_gpt(partitions: dict[str, bytes]) -> bytearray:
    """A raw disk with these partitions, by label, one after the other."""
    size = sum(-(-len(content) // SECTOR) for content in partitions.values())
    sectors = _FIRST + size + 34
    disk = bytearray(sectors * SECTOR)
    table = bytearray(128 * 128)
    at = _FIRST
    for number, (label, content) in enumerate(partitions.items()):
        length = -(-len(content) // SECTOR)
        name = label.encode("utf-16-le").ljust(72, b"\0")
        table[number * 128 : (number + 1) * 128] = struct.pack("<16s16sQQQ72s", _TYPE, bytes([number] * 16), at, at + length - 1, 0, name)
        disk[at * SECTOR : at * SECTOR + len(content)] = content
        at += length
    last = sectors - 1
    for own, other, place in ((1, last, 2), (last, 1, last - 32)):
        header = struct.pack(
            "<8s4sIIIQQQQ16sQIII",
            b"EFI PART",
            b"\0\0\1\0",
            92,
            0,
            0,
            own,
            other,
            34,
            last - 34,
            b"D" * 16,
            place,
            128,
            128,
            zlib.crc32(table),
        )
        header = header[:16] + zlib.crc32(header).to_bytes(4, "little") + header[20:]
        disk[own * SECTOR : own * SECTOR + len(header)] = header
        disk[place * SECTOR : place * SECTOR + len(table)] = table
    return disk


def make_qcow2(disk: bytes, cluster_bits: int = 16, version: int = 3, compressed: bool = False, compression: int = 0) -> bytes:
    """A qcow2 file of this disk, with refcounts; clusters of zeros have no place. compression: 0 zlib, 1 zstd."""
    cluster = 1 << cluster_bits
    clusters = [disk[at : at + cluster].ljust(cluster, b"\0") for at in range(0, len(disk), cluster)]
    per_l2 = cluster // 8
    l2_count = -(-len(clusters) // per_l2)
    l1_clusters = -(-l2_count * 8 // cluster)
    # header, refcount table, refcount blocks, L1, L2s, data
    blocks = 1 + (len(clusters) * 2 + l2_count + l1_clusters + 16) // (cluster // 2)
    l1_at = 2 + blocks
    l2_at = l1_at + l1_clusters
    file = bytearray((l2_at + l2_count) * cluster)
    entries = [0] * (l2_count * per_l2)
    references: dict[int, int] = dict.fromkeys(range(l2_at + l2_count), 1)
    for number, data in enumerate(clusters):
        if not any(data):
            continue
        if compressed:
            packed = _compress(data, compression)
            entries[number] = _compressed_entry(len(file), len(packed), cluster_bits)
            for place in range(len(file) // cluster, (len(file) + len(packed) - 1) // cluster + 1):
                references[place] = references.get(place, 0) + 1
            file += packed
        else:
            file += bytes(-len(file) % cluster)
            entries[number] = len(file) | 1 << 63
            references[len(file) // cluster] = 1
            file += data
    file += bytes(-len(file) % 512)
    struct.pack_into(f">{blocks}Q", file, cluster, *((2 + number) * cluster for number in range(blocks)))
    for place, count in references.items():
        struct.pack_into(">H", file, 2 * cluster + 2 * place, count)
    struct.pack_into(f">{l2_count}Q", file, l1_at * cluster, *((l2_at + number) * cluster | 1 << 63 for number in range(l2_count)))
    struct.pack_into(f">{len(entries)}Q", file, l2_at * cluster, *entries)
    incompatible = 8 if compression else 0
    fixed = (b"QFI\xfb", version, 0, 0, cluster_bits, len(disk), 0, l2_count, l1_at * cluster, cluster, 1, 0, 0)
    header = struct.pack(">4sIQIIQIIQQIIQ", *fixed)
    if version == 3:
        header += struct.pack(">QQQIIB7x", incompatible, 0, 0, 4, 112, compression)
    file[: len(header)] = header
    return bytes(file)


def _compress(data: bytes, compression: int) -> bytes:
    if compression:
        import zstandard

        return bytes(zstandard.ZstdCompressor().compress(data))
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def _compressed_entry(offset: int, length: int, cluster_bits: int) -> int:
    sectors = (offset + length - 1) // 512 - offset // 512
    return 1 << 62 | sectors << 62 - (cluster_bits - 8) | offset
