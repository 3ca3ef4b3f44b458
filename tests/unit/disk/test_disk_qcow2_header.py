# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
from pathlib import Path
from typing import Callable

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.qcow2_header import inspect_header
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.tiny_disk import make_qcow2

DISK = bytes(200_000) + bytes(range(256)) * 1000 + bytes(300_000)
CLUSTER = 1 << 16

Change = Callable[[bytearray], object]


def at(offset: int, form: str, value: int) -> Change:
    return lambda data: struct.pack_into(">" + form, data, offset, value)


def cut(length: int) -> Change:
    return lambda data: data.__delitem__(slice(length, None))


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
        (at(3 * CLUSTER, "Q", 1 << 40 | 1 << 63), "truncated: an L2 table"),
        (at(3 * CLUSTER, "Q", 512 | 1 << 63), "L2 table 0 is not aligned"),
        (at(4 * CLUSTER, "Q", 512 | 1 << 63), "cluster at 512 is not aligned"),
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
