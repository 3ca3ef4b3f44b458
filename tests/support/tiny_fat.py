# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FAT filesystems in memory, of each width, with long names and scattered clusters."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Union

SECTOR = 512
_CLUSTERS = {12: 400, 16: 5000, 32: 70_000}
_END = {12: 0xFFF, 16: 0xFFFF, 32: 0xFFFFFFF}

#: Names, and what they are: a file's content, or a directory's own tree.
Tree = Mapping[str, Union[bytes, "Tree"]]


class FatMaker:
    """Writes one filesystem. Clusters are given out backwards, so that no file lies in one piece."""

    def __init__(self, width: int, label: str = "TINY") -> None:
        self.width, self.clusters = width, _CLUSTERS[width]
        self.reserved, self.root_entries = (32, 0) if width == 32 else (1, 512)
        self.table_sectors = -(-(self.clusters + 2) * width // 8 // SECTOR)
        self.root_start = (self.reserved + 2 * self.table_sectors) * SECTOR
        self.data_start = self.root_start + self.root_entries * 32
        self.table = [0] * (self.clusters + 2)
        self.free = self.clusters + 1
        self.label = label
        self.data = bytearray(self.data_start + self.clusters * SECTOR)

    def make(self, tree: Tree) -> bytearray:
        """The filesystem with this tree."""
        entries = self.entry(self.label, b"", 0x08) if self.label else b""
        entries += self._directory(tree, 0)
        root = 0
        if self.width == 32:
            root = self.store(entries)
        else:
            self.data[self.root_start : self.root_start + len(entries)] = entries
        self._write_boot_sector(root)
        self.write_table()
        return self.data

    def store(self, content: bytes) -> int:
        """Put content into clusters; the first one's number."""
        numbers = [self.free - turn for turn in range(-(-len(content) // SECTOR))]
        self.free -= len(numbers)
        for number, following in zip(numbers, [*numbers[1:], _END[self.width]]):
            self.table[number] = following
            at = (number - numbers[0]) * -SECTOR
            self.data[self.place(number) : self.place(number) + SECTOR] = content[at : at + SECTOR].ljust(SECTOR, b"\0")
        return numbers[0] if numbers else 0

    def place(self, number: int) -> int:
        """The byte where a cluster begins."""
        return self.data_start + (number - 2) * SECTOR

    def entry(self, name: str, content: bytes, attributes: int, cluster: int = 0) -> bytes:
        """A directory's entries for one name."""
        short, long_parts = _names(name, attributes)
        size = 0 if attributes & 0x18 else len(content)
        fields = (short, attributes, 0, 0, 0, 0, 0, cluster >> 16, 0, 0, cluster & 0xFFFF, size)
        return long_parts + struct.pack("<11sBBBHHHHHHHI", *fields)

    def _directory(self, tree: Tree, _above: int) -> bytes:
        entries = b""
        for name, value in tree.items():
            if isinstance(value, bytes):
                entries += self.entry(name, value, 0x21 if name.startswith("readonly") else 0x20, self.store(value))
            else:
                inside = self.entry(".", b"", 0x10) + self.entry("..", b"", 0x10) + self._directory(value, 0)
                entries += self.entry(name, b"", 0x10, self.store(inside))
        return entries

    def write_table(self) -> None:
        """Put the table, and its copy, into place."""
        if self.width == 12:
            raw = bytearray()
            for first, second in zip(self.table[::2], [*self.table[1::2], 0]):
                raw += (first | second << 12).to_bytes(3, "little")
        else:
            raw = bytearray(struct.pack(f"<{len(self.table)}{'H' if self.width == 16 else 'I'}", *self.table))
        for copy in range(2):
            start = (self.reserved + copy * self.table_sectors) * SECTOR
            self.data[start : start + len(raw)] = raw

    def _write_boot_sector(self, root: int) -> None:
        total = len(self.data) // SECTOR
        small = total if total < 65536 else 0
        sector = bytearray(SECTOR)
        struct.pack_into(
            "<3s8sHBHBHHBH", sector, 0, b"\xeb\x3c\x90", b"TINY", SECTOR, 1, self.reserved, 2, self.root_entries, small, 0xF8, 0
        )
        struct.pack_into("<I", sector, 32, 0 if small else total)
        extended = 66 if self.width == 32 else 38
        if self.width == 32:
            struct.pack_into("<I", sector, 36, self.table_sectors)
            struct.pack_into("<I", sector, 44, root)
        else:
            struct.pack_into("<H", sector, 22, self.table_sectors)
        struct.pack_into("<BI11s8s", sector, extended, 0x29, 0xABCD1234, b"NO NAME    ", f"FAT{self.width}   ".encode())
        sector[510:] = b"\x55\xaa"
        self.data[:SECTOR] = sector


def _names(name: str, attributes: int) -> tuple[bytes, bytes]:
    """The short name, and the entries of the long one where it needs one."""
    if name in (".", "..") or attributes & 0x08:
        return name.encode().ljust(11), b""
    stem, _dot, suffix = name.partition(".")
    if name == name.upper() and len(stem) <= 8 and len(suffix) <= 3 and name.isascii():
        return stem.encode().ljust(8) + suffix.encode().ljust(3), b""
    short = f"{abs(hash(name)) % 10**6:06}~1".encode() + b"X  "
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7 | checksum >> 1) + byte & 0xFF
    units = name.encode("utf-16-le")
    units += b"\0\0" if len(units) % 26 else b""
    pieces = [units[at : at + 26].ljust(26, b"\xff") for at in range(0, len(units), 26)]
    parts = b""
    for number in range(len(pieces), 0, -1):
        piece = pieces[number - 1]
        order = number | (0x40 if number == len(pieces) else 0)
        parts += bytes((order,)) + piece[:10] + bytes((0x0F, 0, checksum)) + piece[10:22] + b"\0\0" + piece[22:]
    return short, parts
