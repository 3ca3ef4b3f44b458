# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import zlib

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.gpt import read_gpt
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_disk import make_gpt
from tests.support.tiny_xfs import Memory

CONTENT = {"boot": b"b" * 700, "root": b"r" * 5000}


def test_partitions_are_found_by_name() -> None:
    disk = make_gpt(CONTENT)
    found = read_gpt(Memory(disk))
    assert [(entry.number, entry.name, entry.size) for entry in found.entries] == [(1, "boot", 1024), (2, "root", 5120)]
    assert disk[found.entries[1].start : found.entries[1].start + 3] == b"rrr"


def test_guids_are_told_as_people_write_them() -> None:
    found = read_gpt(Memory(make_gpt(CONTENT)))
    assert (found.uuid, found.sector_size) == ("44444444-4444-4444-4444-444444444444", 512)
    assert found.entries[0].type == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert found.entries[1].uuid == "01010101-0101-0101-0101-010101010101"


def test_the_backup_serves_where_the_header_is_damaged() -> None:
    disk = make_gpt(CONTENT)
    disk[512 + 20] ^= 1
    assert len(read_gpt(Memory(disk)).entries) == 2
    disk[-512 + 20] ^= 1
    with pytest.raises(BuildError, match=r"damaged \(checksum"):
        read_gpt(Memory(disk))


def test_the_backup_serves_where_the_header_is_gone() -> None:
    disk = make_gpt(CONTENT)
    disk[512:1024] = bytes(512)
    assert len(read_gpt(Memory(disk)).entries) == 2


def test_the_backup_serves_where_the_entries_are_damaged() -> None:
    disk = make_gpt(CONTENT)
    disk[1024 + 40] ^= 1
    assert len(read_gpt(Memory(disk)).entries) == 2


def reseal(disk: bytearray, offset: int, value: bytes) -> bytearray:
    """Change the primary header, with a right checksum, and lose the backup."""
    disk[-512:] = bytes(512)
    disk[512 + offset : 512 + offset + len(value)] = value
    disk[528:532] = bytes(4)
    disk[528:532] = zlib.crc32(disk[512:604]).to_bytes(4, "little")
    return disk


@pytest.mark.parametrize(
    ("offset", "value", "told"),
    [
        (12, b"\xff\xff", "65535 bytes long"),
        (24, b"\2", "damaged"),
        (72, b"\xff\xff\xff", "beyond the disk"),
        (88, b"\1", "entries are damaged"),
    ],
)
def test_hostile_headers_are_refused(offset: int, value: bytes, told: str) -> None:
    with pytest.raises(BuildError, match=told):
        read_gpt(Memory(reseal(make_gpt(CONTENT), offset, value)))


def mbr(*entries: tuple[int, bytes, int, int], signature: bytes = b"\x55\xaa") -> bytearray:
    """A sound GPT behind an MBR of these entries: boot flag, CHS of the start, type, LBA of the start."""
    disk = make_gpt(CONTENT)
    for number, (active, start, kind, lba) in enumerate(entries):
        struct.pack_into("<B3sB3sII", disk, 446 + 16 * number, active, start, kind, b"\xff" * 3, lba, 100)
    disk[510:512] = signature
    return disk


PROTECTIVE = (0, b"\0\x02\0", 0xEE, 1)


@pytest.mark.parametrize("disk", [mbr(PROTECTIVE), mbr((0x80, *PROTECTIVE[1:])), mbr((7, b"", 7, 7), signature=b"\0\0")])
def test_an_mbr_may_protect_the_table(disk: bytearray) -> None:
    assert len(read_gpt(Memory(disk)).entries) == 2


@pytest.mark.parametrize(
    ("disk", "told"),
    [
        (mbr((1, *PROTECTIVE[1:])), "entry 1 has the boot flag 0x1"),
        (mbr(PROTECTIVE, (0xFF, b"", 0, 0)), "entry 2 has the boot flag 0xff"),
        (mbr((0, b"\0\x01\0", 0xEE, 1)), "entries in use are 1, and not just one"),
        (mbr((0, b"\0\x02\0", 0xEE, 2)), "entries in use are 1, and not just one"),
        (mbr(PROTECTIVE, (0, b"", 0x83, 2048)), "entries in use are 1, 2, and not just one"),
        (mbr((0, b"", 0x83, 2048)), "entries in use are 1, and not just one"),
        (mbr((0, b"", 0, 0), PROTECTIVE), "entries in use are 2, and not just one"),
        (mbr(), "entries in use are none, and not just one"),
    ],
)
def test_an_mbr_that_tells_of_another_disk_is_refused(disk: bytearray, told: str) -> None:
    with pytest.raises(BuildError, match=f"the partition table of its MBR is another one: {told}"):
        read_gpt(Memory(disk))


def entries(*places: tuple[int, int]) -> bytearray:
    """Two partitions from and to these sectors, under right checksums, and no backup."""
    disk = make_gpt(CONTENT)
    for number, place in enumerate(places):
        struct.pack_into("<QQ", disk, 1024 + 128 * number + 32, *place)
    return reseal(disk, 88, zlib.crc32(disk[1024 : 1024 + 128 * 128]).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (((2048, 2049), (2049, 2059)), "the partitions 1 and 2 overlap"),
        (((2048, 2059), (2050, 2051)), "the partitions 1 and 2 overlap"),
        (((2050, 2059), (2048, 2050)), "the partitions 2 and 1 overlap"),
        (((1, 2049), (2050, 2059)), r"partition 1 \('boot'\) lies over the partition table"),
        (((2048, 2049), (2050, 2070)), r"partition 2 \('root'\) lies over the partition table"),
        (((2049, 2048), (2050, 2059)), "lies outside of the disk"),
        (((2048, 2049), (2050, (1 << 64) - 1)), "lies outside of the disk"),
    ],
)
def test_partitions_in_each_others_place_are_refused(places: tuple[tuple[int, int], ...], told: str) -> None:
    with pytest.raises(BuildError, match=told):
        read_gpt(Memory(entries(*places)))


@pytest.mark.parametrize(("offset", "value"), [(80, b"\xff\xff\xff\xff"), (84, b"\x40")])
def test_huge_tables_are_refused(offset: int, value: bytes) -> None:
    with pytest.raises(BuildError, match="describes"):
        read_gpt(Memory(reseal(make_gpt(CONTENT), offset, value)))
    assert issubclass(Unsupported, BuildError)


@pytest.mark.parametrize("disk", [b"", bytes(511), bytes(100_000)])
def test_a_disk_without_a_table_is_told(disk: bytes) -> None:
    with pytest.raises(BuildError, match="no GUID partition table"):
        read_gpt(Memory(bytearray(disk)))


def test_a_partition_beyond_the_disk_is_told() -> None:
    disk = make_gpt(CONTENT)
    with pytest.raises(BuildError, match="outside of the disk"):
        read_gpt(Memory(disk[: 2050 * 512]))
