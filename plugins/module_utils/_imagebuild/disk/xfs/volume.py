# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blocks of a filesystem, read and verified, with the changed ones laid over them."""

from __future__ import annotations

from ..device import Device
from .geometry import BLOCK_SIZE, read_geometry
from .structure import is_sound, seal

#: Blocks that are kept: 16 MiB.
_CACHE = 4096


class Volume:
    """A filesystem's blocks by fsbno. Changes stay in memory, in `changed`."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.geometry = read_geometry(device)
        self.changed: dict[int, bytes] = {}
        self._cache: dict[int, bytes] = {}
        self._sound: set[tuple[int, int]] = set()

    def block(self, fsbno: int) -> bytes:
        data = self.changed.get(fsbno) or self._cache.get(fsbno)
        if data is None:
            if len(self._cache) >= _CACHE:
                self._cache.clear()
                self._sound.clear()
            data = self._cache[fsbno] = self.device.read(self.geometry.linear(fsbno) * BLOCK_SIZE, BLOCK_SIZE)
        return data

    def read(self, fsbno: int, count: int) -> bytes:
        """A run of blocks. Not kept: for file contents."""
        self.geometry.linear(fsbno + count - 1)
        if self.changed:
            return b"".join(self.block(fsbno + n) for n in range(count))
        return self.device.read(self.geometry.linear(fsbno) * BLOCK_SIZE, count * BLOCK_SIZE)

    def verified(self, fsbno: int, offset: int, length: int, crc_offset: int, what: str) -> bytes:
        """An object inside a block, whose checksum fits."""
        data = self.block(fsbno)[offset : offset + length]
        if (fsbno, offset) not in self._sound:
            if not is_sound(data, crc_offset):
                raise self.geometry.damage(f"{what} in block {fsbno:#x} has a wrong checksum")
            self._sound.add((fsbno, offset))
        return data

    def write(self, fsbno: int, data: bytes, offset: int = 0) -> None:
        """Change (a part of) a block, in memory."""
        old = self.block(fsbno)
        new = old[:offset] + data + old[offset + len(data) :]
        if new != old:
            self.changed[fsbno] = new

    def write_sealed(self, fsbno: int, data: bytearray, crc_offset: int) -> None:
        """Change a whole block, with its checksum."""
        seal(data, crc_offset)
        self.write(fsbno, bytes(data))

    def forget(self, fsbno: int, count: int) -> None:
        """Leave these blocks as they are on disk: what they would hold is of no use any more."""
        for number in [number for number in self.changed if fsbno <= number < fsbno + count]:
            del self.changed[number]

    def writes(self) -> dict[int, bytes]:
        """What changed, as {byte offset in the partition: bytes}."""
        return {self.geometry.linear(fsbno) * BLOCK_SIZE: data for fsbno, data in self.changed.items()}
