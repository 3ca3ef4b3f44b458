# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
import uuid

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.log import read_clean_log, record_checksum, stamp_uuid
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_xfs import LOG_BLOCKS, UUID, Memory, make_xfs

_START = 64 * 4096
_SECTORS = LOG_BLOCKS * 8


def log_of(memory: Memory, sectors: dict[int, bytes]) -> Volume:
    for number, data in sectors.items():
        memory.data[_START + number * 512 : _START + number * 512 + len(data)] = data
    return Volume(memory)


def cycles(first: int, end: int, cycle: int) -> dict[int, bytes]:
    return {number: cycle.to_bytes(4, "big") for number in range(first, end)}


def unmount_record(at: int, cycle: int) -> dict[int, bytes]:
    header = bytearray(512)
    struct.pack_into(">IIIIQQ", header, 0, 0xFEEDBABE, cycle, 2, 512, cycle << 32 | at, cycle << 32 | at)
    struct.pack_into(">I", header, 40, 1)
    struct.pack_into(">I16sI", header, 300, 1, UUID.bytes, 32768)
    return {at: bytes(header), (at + 1) % _SECTORS: struct.pack(">IIBBH", cycle + (at + 1 == _SECTORS), 8, 0xAA, 0x20, 0)}


def test_a_log_as_mkfs_makes_it_is_clean() -> None:
    log = read_clean_log(Volume(make_xfs()))
    assert (log.sector, log.lsn) == (0, 1 << 32)


@pytest.mark.parametrize("at", [2, 100, 255, 256, _SECTORS - 3, _SECTORS - 2])
def test_an_unmount_record_anywhere_in_the_ring_is_found(at: int) -> None:
    sectors = {**cycles(0, at, 5), **cycles(at + 2, _SECTORS, 4), **unmount_record(at, 5)}
    log = read_clean_log(log_of(make_xfs(), sectors))
    assert (log.sector, log.lsn) == (at, 5 << 32 | at)


def test_the_record_may_lie_over_the_seam() -> None:
    at = _SECTORS - 1
    sectors = {**cycles(1, at, 5), **unmount_record(at, 5)}
    assert read_clean_log(log_of(make_xfs(), sectors)).sector == at


@pytest.mark.parametrize(
    "sectors",
    [
        {1: struct.pack(">IIBBH", 1, 8, 0x69, 1, 0)},
        {1: struct.pack(">IIBBH", 1, 8, 0xAA, 0x01, 0)},
        cycles(2, 5, 1),
        {300: b"\0\0\0\1"},
        {300: b"\0\0\0\7"},
        {**cycles(0, 50, 2), 50: b"\0\0\0\0"},
        {**unmount_record(2, 1), 5: b"\0\0\0\1"},
        {0: b"\0\0\0\1"},
    ],
    ids=["another operation", "no unmount", "written on", "a hole", "the future", "no record", "torn", "no header"],
)
def test_every_other_log_is_dirty(sectors: dict[int, bytes]) -> None:
    with pytest.raises(BuildError, match="log is dirty") as caught:
        read_clean_log(log_of(make_xfs(), sectors))
    assert not isinstance(caught.value, Unsupported)
    assert "Replay it" in caught.value.hint


@pytest.mark.parametrize(
    ("offset", "value", "told"),
    [
        (32, b"\1\2\3\4", "wrong checksum"),
        (304, b"\0" * 16, "another filesystem, 00000000-0000"),
        (320, b"\0\x10\0\0", "record of its log"),
        (300, b"\0\0\0\2", "format 2"),
    ],
)
def test_a_damaged_record_is_told(offset: int, value: bytes, told: str) -> None:
    memory = make_xfs()
    memory.data[_START + offset : _START + offset + len(value)] = value
    with pytest.raises(BuildError, match=told):
        read_clean_log(Volume(memory))


def test_a_blank_log_is_left_to_another_engine() -> None:
    memory = make_xfs()
    memory.data[_START : _START + LOG_BLOCKS * 4096] = bytes(LOG_BLOCKS * 4096)
    with pytest.raises(Unsupported, match="never written"):
        read_clean_log(Volume(memory))


def test_the_record_is_stamped_with_the_new_uuid_and_its_checksum() -> None:
    memory = make_xfs()
    header = bytearray(memory.read(_START, 512))
    rest = memory.read(_START + 512, 512)
    header[32:36] = record_checksum(bytes(header), rest).to_bytes(4, "little")
    memory.data[_START : _START + 512] = header
    volume = Volume(memory)
    new = uuid.UUID(int=7)
    stamp_uuid(volume, read_clean_log(volume), new)
    block = volume.block(64)
    assert block[304:320] == new.bytes
    assert block[32:36] == record_checksum(block[:512], rest).to_bytes(4, "little") != bytes(header[32:36])
