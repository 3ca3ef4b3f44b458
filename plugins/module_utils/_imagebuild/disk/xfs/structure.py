# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On-disk structures, declared field by field: big-endian numbers at fixed offsets of a buffer."""

from __future__ import annotations

import struct
from typing import ClassVar, TypeVar, Union, overload

from ...errors import BuildError
from .crc32c import crc32c

Buffer = Union[bytes, bytearray]
_Self = TypeVar("_Self", bound="Structure")


class Number:
    """An unsigned big-endian field of a Structure."""

    def __init__(self, code: str, offset: int) -> None:
        self._codec = struct.Struct(">" + code)
        self._offset = offset
        self._limit = 1 << 8 * self._codec.size
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"{owner.__name__}.{name}"

    @overload
    def __get__(self, view: None, owner: type) -> Number:
        """Of the class: the field."""

    @overload
    def __get__(self, view: Structure, owner: type) -> int:
        """Of a view: the value."""

    def __get__(self, view: Structure | None, owner: type) -> Number | int:
        if view is None:
            return self
        value: int = self._codec.unpack_from(view.buffer, view.base + self._offset)[0]
        return value

    def __set__(self, view: Structure, value: int) -> None:
        if not 0 <= value < self._limit:
            raise BuildError(f"the filesystem is damaged: {self._name} would become {value}.")
        self._codec.pack_into(view.buffer, view.base + self._offset, value)


def u8(offset: int) -> Number:
    return Number("B", offset)


def u16(offset: int) -> Number:
    return Number("H", offset)


def u32(offset: int) -> Number:
    return Number("I", offset)


def u64(offset: int) -> Number:
    return Number("Q", offset)


class Bytes:
    """A field of raw bytes."""

    def __init__(self, offset: int, length: int) -> None:
        self._offset, self._length = offset, length

    @overload
    def __get__(self, view: None, owner: type) -> Bytes:
        """Of the class: the field."""

    @overload
    def __get__(self, view: Structure, owner: type) -> bytes:
        """Of a view: the value."""

    def __get__(self, view: Structure | None, owner: type) -> Bytes | bytes:
        if view is None:
            return self
        start = view.base + self._offset
        return bytes(view.buffer[start : start + self._length])

    def __set__(self, view: Structure, value: bytes) -> None:
        if len(value) != self._length or isinstance(view.buffer, bytes):
            raise ValueError(f"{len(value)} bytes for a field of {self._length}")
        start = view.base + self._offset
        view.buffer[start : start + self._length] = value


class Structure:
    """A view of a structure in a buffer. Every field lies within SIZE bytes of `base`, which the constructor checks.

    CRC: the offset of the little-endian CRC-32C which covers the object that begins with this structure.
    """

    SIZE: ClassVar[int] = 0
    CRC: ClassVar[int] = 0
    __slots__ = ("base", "buffer")

    def __init__(self, buffer: Buffer, base: int = 0) -> None:
        if base < 0 or base + self.SIZE > len(buffer):
            raise BuildError(f"the filesystem is damaged: {type(self).__name__} at {base} is cut short.")
        self.buffer = buffer
        self.base = base

    @property
    def writable(self) -> bytearray:
        """The buffer, to be written to."""
        if not isinstance(self.buffer, bytearray):
            raise TypeError(f"{type(self).__name__} is a view of bytes that cannot be written")
        return self.buffer


def is_sound(data: Buffer, crc_offset: int) -> bool:
    """Does the checksum inside this object fit it?"""
    stored = int.from_bytes(data[crc_offset : crc_offset + 4], "little")
    return crc32c(bytes(data[:crc_offset]) + b"\0\0\0\0" + bytes(data[crc_offset + 4 :])) == stored


def seal(data: bytearray, crc_offset: int) -> None:
    """Write the object's checksum into it."""
    data[crc_offset : crc_offset + 4] = b"\0\0\0\0"
    data[crc_offset : crc_offset + 4] = crc32c(bytes(data)).to_bytes(4, "little")
