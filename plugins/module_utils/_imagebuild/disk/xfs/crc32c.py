# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CRC-32C (Castagnoli, reflected), as XFS v5 protects its metadata.

Blocks are folded before they are read byte by byte. The checksum's state after n zero bytes is a linear function of the
state before them, so the first half of a message can be added, through that function, to the second half. The function
splits into tables by byte, and bytes.translate() looks up a whole half at once: 4 KiB take 45 us instead of 250.
"""

from __future__ import annotations

import struct
from functools import cache

_POLYNOMIAL = 0x82F63B78
_MASK = 0xFFFFFFFF

#: Messages are folded down to this many bytes.
_FOLDED = 64


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _turn in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def _slices() -> list[list[int]]:
    """Eight tables: slices[n][b] is the state after byte b and n zero bytes."""
    slices = [_byte_table()]
    for _turn in range(7):
        slices.append([state >> 8 ^ slices[0][state & 255] for state in slices[-1]])
    return slices


_SLICES = _slices()


def _by_bytes(images: list[int]) -> list[list[int]]:
    """A linear function, given by the images of the 32 unit vectors, as four tables: one for each byte of its argument."""
    tables = []
    for first in range(0, 32, 8):
        table = [0]
        for image in images[first : first + 8]:
            table += [value ^ image for value in table]
        tables.append(table)
    return tables


@cache
def _advance(distance: int) -> list[list[int]]:
    """The state's function of `distance` zero bytes (a power of two, 4 or more), as _by_bytes() gives it."""
    if distance == 4:
        return _by_bytes([_update(1 << bit, bytes(4)) for bit in range(32)])
    a, b, c, d = _advance(distance // 2)
    halfway = [
        a[x & 255] ^ b[x >> 8 & 255] ^ c[x >> 16 & 255] ^ d[x >> 24]
        for x in (table[1 << bit] for table in (a, b, c, d) for bit in range(8))
    ]
    return _by_bytes(halfway)


@cache
def _fold_tables(distance: int) -> list[list[bytes]]:
    """[byte of the argument][byte of the result] -> translation table."""
    return [[bytes(value >> shift & 255 for value in table) for shift in (0, 8, 16, 24)] for table in _advance(distance)]


def _update(state: int, data: bytes) -> int:
    """Slicing by 8."""
    t0, t1, t2, t3, t4, t5, t6, t7 = _SLICES
    whole = len(data) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", data[:whole]):
        word ^= state
        state = (
            t7[word & 255]
            ^ t6[word >> 8 & 255]
            ^ t5[word >> 16 & 255]
            ^ t4[word >> 24 & 255]
            ^ t3[word >> 32 & 255]
            ^ t2[word >> 40 & 255]
            ^ t1[word >> 48 & 255]
            ^ t0[word >> 56]
        )
    for byte in data[whole:]:
        state = state >> 8 ^ t0[(state ^ byte) & 255]
    return state


def _fold(data: bytes) -> bytes:
    """A message of _FOLDED bytes with the same final state (from state 0) as this one, whose length is a power of two.

    A plane holds one byte of every word. Each step adds the image of the planes' first halves to their second halves.
    """
    planes = [data[byte::4] for byte in range(4)]
    length = len(data)
    while length > _FOLDED:
        length //= 2
        size = length // 4
        folded = int.from_bytes(b"".join([plane[size:] for plane in planes]), "little")
        for plane, tables in zip(planes, _fold_tables(length)):
            first = plane[:size]
            folded ^= int.from_bytes(b"".join([first.translate(table) for table in tables]), "little")
        joined = folded.to_bytes(length, "little")
        planes = [joined[byte * size : (byte + 1) * size] for byte in range(4)]
    words = bytearray(length)
    for byte in range(4):
        words[byte::4] = planes[byte]
    return bytes(words)


def crc32c(data: bytes, crc: int = 0) -> int:
    """The CRC-32C of data, continued from crc."""
    state = crc ^ _MASK
    length = len(data)
    if length > _FOLDED and not length & (length - 1):
        head = (int.from_bytes(data[:4], "little") ^ state).to_bytes(4, "little")
        return _update(0, _fold(head + data[4:])) ^ _MASK
    return _update(state, data) ^ _MASK
