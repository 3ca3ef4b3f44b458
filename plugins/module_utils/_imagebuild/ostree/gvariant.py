# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""GVariant serialisation, as far as ostree's objects and summary need it.

Format: https://docs.gtk.org/glib/gvariant-specification-1.0.html. ostree stores its integers big-endian inside
variants (ostree's src/libostree/ostree-core.h), so that is how they are read and written here; framing offsets are
little-endian. Input that is not in normal form is refused: whoever writes it is broken, or up to something.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: Alignment and size of the basic types of fixed size.
_FIXED = {"y": 1, "b": 1, "u": 4, "t": 8}
#: No directory that fits into an ostree object has as many entries; it bounds the memory that an object takes.
_ELEMENT_LIMIT = 300_000


@dataclass(frozen=True)
class Variant:
    """A value of type 'v', not decoded: its type and its bytes."""

    signature: str
    data: bytes


@dataclass(frozen=True)
class _Type:
    """code: a basic type's letter, 'a' (array of members[0]), or '(' (tuple or dictionary entry of members)."""

    code: str
    alignment: int
    size: int  # 0: variable
    members: tuple[_Type, ...] = ()


def decode(signature: str, data: bytes) -> Any:
    """The value that the bytes are.

    :returns: int for y, u, t; bool for b; str for s; bytes for ay; Variant for v; list for arrays; tuple for tuples
        and dictionary entries.
    :raises ValueError: the bytes are not of that type in normal form.
    """
    return _decode(_parse(signature), data)


def encode(signature: str, value: Any) -> bytes:
    """The bytes of the value, which has the shape that decode() gives."""
    return _encode(_parse(signature), value)


@lru_cache(maxsize=64)
def _parse(signature: str) -> _Type:
    parsed, rest = _parse_one(signature)
    if rest:
        raise ValueError(f"{signature!r} is not one type")
    return parsed


def _parse_one(text: str) -> tuple[_Type, str]:
    code, rest = text[:1], text[1:]
    if code in _FIXED:
        return _Type(code, _FIXED[code], _FIXED[code]), rest
    if code == "s":
        return _Type(code, 1, 0), rest
    if code == "v":
        return _Type(code, 8, 0), rest
    if code == "a":
        element, rest = _parse_one(rest)
        return _Type(code, element.alignment, 0, (element,)), rest
    if code in ("(", "{"):
        members = []
        while rest[:1] not in (")", "}", ""):
            member, rest = _parse_one(rest)
            members.append(member)
        alignment = max(member.alignment for member in members)
        size = 0
        if all(member.size for member in members):
            for member in members:
                size = _aligned(size, member.alignment) + member.size
            size = _aligned(size, alignment)
        return _Type("(", alignment, size, tuple(members)), rest[1:]
    raise ValueError(f"type {code!r} is not supported")


def _aligned(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) & -alignment


def _offset_size(length: int) -> int:
    """Bytes of one framing offset in a container of that many bytes."""
    for size in (1, 2, 4):
        if length < 1 << (8 * size):
            return size
    return 8


def _decode(kind: _Type, data: bytes) -> Any:
    code = kind.code
    if code == "(":
        return _decode_tuple(kind, data)
    if code == "a":
        return data if kind.members[0].code == "y" else _decode_array(kind.members[0], data)
    if code == "s":
        if data[-1:] != b"\0" or b"\0" in data[:-1]:
            raise ValueError("a string does not end with its only NUL")
        return data[:-1].decode("utf-8")
    if code == "v":
        value, nul, signature = data.rpartition(b"\0")
        if not nul:
            raise ValueError("a variant does not name its type")
        return Variant(signature.decode("ascii"), value)
    if len(data) != kind.size:
        raise ValueError(f"{len(data)} bytes cannot be a value of type {code!r}")
    number = int.from_bytes(data, "big")
    if code == "b":
        if number > 1:
            raise ValueError("a boolean is neither 0 nor 1")
        return bool(number)
    return number


def _decode_array(element: _Type, data: bytes) -> list[Any]:
    if element.size:
        if len(data) % element.size:
            raise ValueError("an array's size is no multiple of its elements'")
        return [_decode(element, data[at : at + element.size]) for at in range(0, len(data), element.size)]
    if not data:
        return []
    width = _offset_size(len(data))
    table = int.from_bytes(data[-width:], "little")
    if table >= len(data) or (len(data) - table) % width:
        raise ValueError("an array's framing offsets do not fit its size")
    if (len(data) - table) // width > _ELEMENT_LIMIT:
        raise ValueError(f"an array has more than {_ELEMENT_LIMIT} elements")
    values = []
    start = 0
    for at in range(table, len(data), width):
        end = int.from_bytes(data[at : at + width], "little")
        if not start <= end <= table:
            raise ValueError("an array's framing offsets are out of order")
        values.append(_decode(element, data[start:end]))
        start = _aligned(end, element.alignment)
    return values


def _decode_tuple(kind: _Type, data: bytes) -> tuple[Any, ...]:
    if kind.size and len(data) != kind.size:
        raise ValueError(f"{len(data)} bytes are not a tuple of {kind.size}")
    width = _offset_size(len(data))
    limit = len(data)
    values = []
    start = 0
    last = len(kind.members) - 1
    for index, member in enumerate(kind.members):
        start = _aligned(start, member.alignment)
        if member.size:
            end = start + member.size
        elif index == last:
            end = limit
        else:
            limit -= width
            end = int.from_bytes(data[limit : limit + width], "little") if limit >= 0 else -1
        if not start <= end <= limit:
            raise ValueError("a tuple's framing offsets do not fit its size")
        values.append(_decode(member, data[start:end]))
        start = end
    if not kind.size and start != limit:
        raise ValueError("a tuple is followed by bytes of nothing")
    return tuple(values)


def _encode(kind: _Type, value: Any) -> bytes:
    code = kind.code
    if code == "(":
        return _encode_members(list(zip(kind.members, value)), kind, keep_last_offset=False)
    if code == "a":
        element = kind.members[0]
        if element.code == "y":
            return bytes(value)
        return _encode_members([(element, item) for item in value], kind, keep_last_offset=True)
    if code == "s":
        return str(value).encode() + b"\0"
    if code == "v":
        return bytes(value.data) + b"\0" + str(value.signature).encode()
    return int(value).to_bytes(kind.size, "big")


def _encode_members(members: list[tuple[_Type, Any]], container: _Type, keep_last_offset: bool) -> bytes:
    """The members one after the other, and the framing offsets: an array has them in order, a tuple in reverse."""
    body = bytearray()
    ends = []
    for member, value in members:
        body.extend(bytes(_aligned(len(body), member.alignment) - len(body)))
        body.extend(_encode(member, value))
        if not member.size:
            ends.append(len(body))
    if container.size:
        body.extend(bytes(container.size - len(body)))
    if not keep_last_offset:
        if members and not members[-1][0].size:
            ends.pop()
        ends.reverse()
    width = next(size for size in (1, 2, 4, 8) if len(body) + size * len(ends) < 1 << (8 * size))
    for end in ends:
        body.extend(end.to_bytes(width, "little"))
    return bytes(body)
