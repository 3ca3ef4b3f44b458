# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GUID partition table.

Source: UEFI Specification 2.10, chapter 5 (GUID Partition Table Disk Layout).
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

from ..errors import BuildError, Unsupported
from .device import Device

_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_SIGNATURE = b"EFI PART"
_SECTOR_SIZES = (512, 4096)
_MOST_ENTRIES = 1024
#: The protective MBR (table 5.4): its partitions' places, what each is, and what the only one has to be.
_MBR_PARTITIONS, _MBR_ENTRY = 446, struct.Struct("<B3sB3sII")
_PROTECTIVE, _PROTECTIVE_CHS, _ACTIVE = 0xEE, b"\0\x02\0", 0x80

#: Type of the partition from which UEFI firmware boots (table 5.7).
EFI_SYSTEM = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


@dataclass(frozen=True)
class GptEntry:
    """A partition. number: 1-based; start and size in bytes; type and uuid: its GUIDs, lower case."""

    number: int
    start: int
    size: int
    name: str
    type: str
    uuid: str


@dataclass(frozen=True)
class Gpt:
    """A partition table. uuid: the disk's GUID, lower case; sector_size in bytes; entries: those in use."""

    uuid: str
    sector_size: int
    entries: tuple[GptEntry, ...]


def read_gpt(disk: Device) -> Gpt:
    """The partition table, by the primary header or, where that is damaged, by the backup."""
    damage = ""
    for sector in _SECTOR_SIZES:
        for lba in (1, disk.size // sector - 1):
            if lba < 1 or (lba + 1) * sector > disk.size or disk.read(lba * sector, 8) != _SIGNATURE:
                continue
            try:
                found = _read_table(disk, sector, lba)
            except BuildError as error:
                damage = damage or error.message
            else:
                _check_mbr(disk)
                return found
    if damage:
        raise BuildError(damage, "Both copies of the partition table are unusable: fetch the image again.")
    raise BuildError(f"{disk.name}: there is no GUID partition table.", "Give the disk image of a machine that boots by UEFI.")


def _check_mbr(disk: Device) -> None:
    """:raises BuildError: who reads the old partition table would see another disk (the rules of oslo.utils' format_inspector)."""
    block = disk.read(0, min(512, disk.size))
    if block[510:] != b"\x55\xaa":
        return  # there is no such table: what tells of partitions is the GPT alone, or nothing
    used = []
    for number in range(4):
        active, start, kind, _end, lba, _sectors = _MBR_ENTRY.unpack_from(block, _MBR_PARTITIONS + number * _MBR_ENTRY.size)
        if active not in (0, _ACTIVE):
            raise _mixed(disk, f"entry {number + 1} has the boot flag {active:#x}")
        if kind:
            used.append((number, kind, start, lba))
    if used != [(0, _PROTECTIVE, _PROTECTIVE_CHS, 1)]:
        numbers = ", ".join(str(number + 1) for number, *_rest in used) or "none"
        raise _mixed(disk, f"entries in use are {numbers}, and not just one that protects the GPT")


def _mixed(disk: Device, what: str) -> BuildError:
    return BuildError(
        f"{disk.name}: the partition table of its MBR is another one: {what}.", "Give the disk image of a machine that boots by UEFI."
    )


def _read_table(disk: Device, sector: int, lba: int) -> Gpt:
    block = disk.read(lba * sector, sector)
    fields = _HEADER.unpack_from(block)
    length, crc, own_lba, first_usable, last_usable, disk_uuid = fields[2], fields[3], fields[5], *fields[7:10]
    table_lba, count, entry_size, table_crc = fields[10:14]
    where = f"{disk.name}: the partition table header at {lba * sector}"
    if not _HEADER.size <= length <= sector:
        raise BuildError(f"{where} says it is {length} bytes long.")
    if zlib.crc32(block[:16] + bytes(4) + block[20:length]) != crc or own_lba != lba:
        raise BuildError(f"{where} is damaged (checksum).")
    if count > _MOST_ENTRIES or entry_size not in (128, 256, 512):
        raise Unsupported(f"{where} describes {count} entries of {entry_size} bytes.")
    if (table_lba * sector) + count * entry_size > disk.size:
        raise BuildError(f"{where} points beyond the disk.")
    table = disk.read(table_lba * sector, count * entry_size)
    if zlib.crc32(table) != table_crc:
        raise BuildError(f"{where}: the entries are damaged (checksum).")
    found = []
    for index in range(count):
        kind, unique, first, last, _attributes, name = _ENTRY.unpack_from(table, index * entry_size)
        if kind == bytes(16):
            continue
        label = name.decode("utf-16-le", "replace").partition("\0")[0]
        if not first <= last or (last + 1) * sector > disk.size:
            raise BuildError(f"{disk.name}: partition {index + 1} ({label!r}) lies outside of the disk.", "The image may be truncated.")
        if first < first_usable or last > last_usable:
            raise BuildError(f"{disk.name}: partition {index + 1} ({label!r}) lies over the partition table.", "Fetch the image again.")
        found.append(GptEntry(index + 1, first * sector, (last + 1 - first) * sector, label, _guid(kind), _guid(unique)))
    in_order = sorted(found, key=lambda entry: entry.start)
    for before, after in zip(in_order, in_order[1:]):
        if after.start < before.start + before.size:
            raise BuildError(f"{disk.name}: the partitions {before.number} and {after.number} overlap.", "Fetch the image again.")
    return Gpt(_guid(disk_uuid), sector, tuple(found))


def _guid(raw: bytes) -> str:
    """A GUID as people write it: its first three fields are little-endian on disk."""
    return str(uuid.UUID(bytes_le=raw))
