# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.qcow2_extents import inspect_header
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.tiny_disk import make_qcow2

DISK = bytes(200_000) + bytes(range(256)) * 1000 + bytes(300_000)
CLUSTER = 1 << 16

Change = Callable[[bytearray], object]


def at(offset: int, form: str, value: int) -> Change:
    return lambda data: struct.pack_into(">" + form, data, offset, value)


def cut(length: int) -> Change:
    return lambda data: data.__delitem__(slice(length, None))


def put(offset: int, value: bytes) -> Change:
    return lambda data: data.__setitem__(slice(offset, offset + len(value)), value)


def grow(count: int) -> Change:
    return lambda data: data.extend(bytes(count))


def both(first: Change, second: Change) -> Change:
    return lambda data: (first(data), second(data))


def twice(offset: int) -> Change:
    """The entry of a table again in the next one."""
    return lambda data: data.__setitem__(slice(offset + 8, offset + 16), data[offset : offset + 8])


def image(tmp_path: Path, *changes: Change, version: int = 3, compressed: bool = False) -> Path:
    data = bytearray(make_qcow2(DISK, version=version, compressed=compressed))
    for change in changes:
        change(data)
    path = tmp_path / "disk.qcow2"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_sound_image_is_described(tmp_path: Path, version: int, compressed: bool) -> None:
    header = inspect_header(image(tmp_path, version=version, compressed=compressed))
    assert (header.version, header.virtual_size, header.cluster_size, header.refcount_bits) == (version, len(DISK), CLUSTER, 16)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (at(0, "I", 0), "not a qcow2 image"),
        (cut(3), "not a qcow2 image"),
        (cut(60), "cut short"),
        (cut(100), "cut short"),
        (at(4, "I", 4), "version 4"),
        (at(8, "Q", 4096), "backing file"),
        (at(32, "I", 1), "encrypted .method 1"),
        (at(72, "Q", 4), "external file"),
        (at(72, "Q", 1 << 40), "unknown incompatible features 0x10000000000"),
        (at(72, "Q", 1), "not closed cleanly"),
        (at(72, "Q", 2), "marked as corrupt"),
        (at(60, "I", 2), "2 internal snapshots"),
        (at(20, "I", 8), r"clusters of 2\^8 bytes"),
        (at(20, "I", 22), r"clusters of 2\^22 bytes"),
        (at(20, "I", 1 << 31), "clusters of"),
        (at(24, "Q", 401 * 10**9), "401000000000 bytes, more than the limit of 400000000000"),
        (at(36, "I", 0), "L1 table has 0 entries"),
        (at(36, "I", 1 << 24), "L1 table has 16777216 entries"),
        (at(40, "Q", 77), "not aligned"),
        (at(40, "Q", 1 << 40), "truncated: the L1 table"),
        (at(48, "Q", 1 << 40), "truncated: the refcount table"),
        (at(48, "Q", 0), "not aligned"),
        (at(56, "I", 0), "refcount table has 0 clusters"),
        (at(56, "I", 1 << 20), "refcount table has 1048576 clusters"),
        (at(96, "I", 7), r"2\^7 bits"),
        (at(100, "I", 8), "8 bytes long"),
        (at(104, "B", 1), "compression type 1"),
        (at(72, "Q", 8), "compression type 0"),
        (cut(7 * CLUSTER), "truncated"),
        (cut(4 * CLUSTER), "truncated"),
        (at(3 * CLUSTER, "Q", 1 << 40 | 1 << 63), "truncated: the L2 table 0 is at 1099511627776"),
        (at(3 * CLUSTER, "Q", 512 | 1 << 63), "L2 table 0 is not aligned"),
        (at(4 * CLUSTER, "Q", 512 | 1 << 63), "cluster at 512 is not aligned"),
        (at(64, "I", 0x7F10DABE), "a qcow2 image and an image of the format VDI in one"),
        (put(510, b"\x55\xaa"), "of the format MBR in one"),
        (put(32769, b"CD001"), "of the format ISO 9660 or UDF in one"),
        (put(32769, b"NSR03"), "of the format ISO 9660 or UDF in one"),
        (grow(70 << 20), "has [0-9]+ bytes for a virtual disk of 756000 bytes"),
        (at(CLUSTER, "Q", 513), "refcount block 0 is not aligned"),
        (at(CLUSTER, "Q", 1 << 63), "truncated: the refcount block 0 is at 9223372036854775808"),
        (at(CLUSTER, "Q", CLUSTER), "refcount block 0 lies over another table .at 65536"),
        (at(CLUSTER + 8, "Q", 2 * CLUSTER), "refcount block 1 lies over another table .at 131072"),
        (at(48, "Q", 3 * CLUSTER), "refcount table lies over another table"),
        (at(40, "Q", 0), "not aligned"),
        (at(40, "Q", CLUSTER), "refcount table lies over another table .at 65536"),
        (at(3 * CLUSTER, "Q", 3 * CLUSTER | 1 << 63), "L2 table 0 lies over another table .at 196608"),
        (both(at(36, "I", 2), twice(3 * CLUSTER)), "L2 table 1 lies over another table .at 262144"),
        (at(4 * CLUSTER, "Q", 4 * CLUSTER | 1 << 63), "cluster at 262144 is a part of the disk and of a table"),
        (twice(4 * CLUSTER + 24), "is a part of the disk and of another part of the disk"),
        (at(4 * CLUSTER, "Q", 1 << 62 | 6 * CLUSTER), "is a part of the disk and of compressed clusters"),
        (at(4 * CLUSTER, "Q", 1 << 62 | 4 * CLUSTER), "is a part of the disk and of a table"),
    ],
)
def test_other_files_are_refused_by_name_and_reason(tmp_path: Path, change: Change, told: str) -> None:
    path = image(tmp_path, change)
    with pytest.raises(BuildError, match=told) as caught:
        inspect_header(path)
    assert caught.value.message.startswith(str(path))


def test_a_compressed_image_cut_short_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path, compressed=True)
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(BuildError, match="truncated: a cluster"):
        inspect_header(path)


def test_the_limit_of_the_size_can_be_set(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="more than the limit of 1000"):
        inspect_header(image(tmp_path), virtual_size_limit=1000)


def test_an_l1_table_of_a_whole_hostile_header_is_not_read(tmp_path: Path) -> None:
    """Cluster size 512 and a huge disk would take an L1 table of gigabytes."""
    with pytest.raises(BuildError, match="L1 table has"):
        inspect_header(image(tmp_path, at(20, "I", 9), at(24, "Q", 399 * 10**9), at(36, "I", 399 * 10**9 // 512 // 64)))


def test_a_header_longer_than_a_cluster_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    data = bytearray(make_qcow2(DISK, cluster_bits=9))
    struct.pack_into(">I", data, 100, 1024)
    path.write_bytes(data)
    with pytest.raises(BuildError, match="1024 bytes long, more than a cluster"):
        inspect_header(path)


def test_tables_of_more_than_any_disk_needs_are_not_read(tmp_path: Path) -> None:
    """A sparse file of 3 GiB, whose L2 tables would take minutes to go through."""
    tables, cluster, l1_at = 700_000, 512, 1 << 20
    path = tmp_path / "disk.qcow2"
    fixed = (b"QFI\xfb", 3, 0, 0, 9, 20 << 30, 0, 4 << 20, l1_at, 64 << 10, 1, 0, 0)
    with path.open("wb") as file:
        file.write(struct.pack(">4sIQIIQIIQQIIQ", *fixed) + struct.pack(">QQQII", 0, 0, 0, 4, 104))
        file.seek(l1_at)
        file.write(b"".join(struct.pack(">Q", (64 << 20) + number * cluster) for number in range(tables)))
        file.truncate(3 << 30)
    with pytest.raises(BuildError, match="it has 700000 L2 tables of 512 bytes, more than any disk needs"):
        inspect_header(path)


def test_a_file_of_too_many_clusters_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    data = bytearray(make_qcow2(DISK, cluster_bits=9))
    struct.pack_into(">Q", data, 24, 60 << 30)
    struct.pack_into(">I", data, 36, 2 << 20)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(40 << 30)
    with pytest.raises(BuildError, match="it has 83886080 clusters of 512 bytes, more than 67108864"):
        inspect_header(path)
