# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes by address: a host file, a part of a device, a device with planned writes laid over it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..errors import BuildError


class Device(Protocol):
    """Something of a fixed size that can be read at any byte. read() gives exactly `length` bytes or raises BuildError."""

    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """So many bytes from there."""


class HostFile:
    """A file of the host, read at any byte and written only by commit()."""

    def __init__(self, path: Path, writable: bool) -> None:
        self.name = str(path)
        self._descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        # Python's integers can be larger than the system's.
        data = os.pread(self._descriptor, length, offset) if 0 <= offset <= self.size else b""
        if len(data) != length:
            raise BuildError(f"{self.name}: {length} bytes at {offset} are beyond the file's end ({self.size} bytes).")
        return data

    def commit(self, writes: Mapping[int, bytes]) -> None:
        """Write all (offset: bytes), and have them on disk."""
        for offset in sorted(writes):
            data = memoryview(writes[offset])
            while data:
                written = os.pwrite(self._descriptor, data, offset)
                data, offset = data[written:], offset + written
        os.fsync(self._descriptor)
        self.size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        os.close(self._descriptor)


class Window:
    """`size` bytes of a device, from byte `start`."""

    def __init__(self, device: Device, start: int, size: int, name: str) -> None:
        self.name, self.size = name, size
        self._device, self._start = device, start

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > self.size:
            raise BuildError(f"{self.name}: {length} bytes at {offset} are outside of its {self.size} bytes.")
        return self._device.read(self._start + offset, length)


class Overlay:
    """A device as it will be once `writes` (offset: bytes, not overlapping) are on it; they may lengthen it."""

    def __init__(self, device: Device, writes: Mapping[int, bytes]) -> None:
        self.name = device.name
        self.size = max([device.size, *(offset + len(data) for offset, data in writes.items())])
        self._device, self._writes, self._offsets = device, writes, sorted(writes)

    def read(self, offset: int, length: int) -> bytes:
        first = max(bisect_right(self._offsets, offset) - 1, 0)
        touching = []
        for start in self._offsets[first:]:
            if start >= offset + length:
                break
            if start + len(self._writes[start]) > offset:
                touching.append(start)
        if not touching and offset + length <= self._device.size:
            return self._device.read(offset, length)
        if offset < 0 or offset + length > self.size:
            raise BuildError(f"{self.name}: {length} bytes at {offset} are beyond its end ({self.size} bytes).")
        below = max(min(length, self._device.size - offset), 0)
        data = bytearray(self._device.read(offset, below) if below else b"") + bytes(length - below)
        for start in touching:
            planned = self._writes[start]
            low, high = max(start, offset), min(start + len(planned), offset + length)
            data[low - offset : high - offset] = planned[low - start : high - start]
        return bytes(data)
