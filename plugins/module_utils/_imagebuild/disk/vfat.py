# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FAT12/16/32: recognised by its boot sector, and not read further.

Source: Microsoft, FAT: General Overview of On-Disk Format, version 1.03 (BPB and extended boot record).
"""

from __future__ import annotations

from .device import Device

#: (offset of the extended boot signature, of the volume id, of the type string, the type string's start)
_LAYOUTS = ((38, 39, 54, b"FAT1"), (66, 67, 82, b"FAT32"))


def volume_id(partition: Device) -> str | None:
    """The volume id as blkid prints it ('ABCD-1234'); None where this is no FAT filesystem."""
    if partition.size < 512:
        return None
    sector = partition.read(0, 512)
    if sector[510:] != b"\x55\xaa":
        return None
    for signature, serial, kind, name in _LAYOUTS:
        if sector[signature] == 0x29 and sector[kind : kind + len(name)] == name:
            number = int.from_bytes(sector[serial : serial + 4], "little")
            return f"{number >> 16:04X}-{number & 0xFFFF:04X}"
    return None
