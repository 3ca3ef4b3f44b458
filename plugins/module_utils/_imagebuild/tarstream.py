# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tar stream, read once, forwards, with bounded memory.

The standard library's tarfile takes several times as long for each member (an ostree layer has some ten thousand, most of
them empty), holds extended headers of any size in memory, and takes an archive that is cut between two members for a
whole one. Formats: POSIX ustar and pax, and GNU's long names and base-256 numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from .errors import BuildError

REGULAR, HARDLINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_SKIP = 1 << 20
#: Bytes of one extended header: room for the longest path, and for the extended attributes some writers put there.
_EXTENSION_LIMIT = 1 << 20
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"


class Source(Protocol):
    """Where the stream comes from."""

    def read(self, size: int, /) -> bytes:
        """size bytes; fewer at the end only."""


class Member(NamedTuple):
    """One member. mode: permission bits, as far as the writer keeps to them. type: REGULAR, HARDLINK, …"""

    name: bytes
    type: bytes
    size: int
    mode: int
    uid: int
    gid: int
    target: bytes


class TarStream:
    """Iterates over the members; read() and content() give the current one's bytes. What is not read is skipped.

    :param what: the thing read, for messages.
    """

    def __init__(self, source: Source, what: str) -> None:
        self._source = source
        self._what = what
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """:raises BuildError: it is no sound tar stream, or it ends before its end mark."""
        extended: dict[str, bytes] = {}
        common: dict[str, bytes] = {}
        while True:
            self._skip_rest()
            block = self._take(_BLOCK)
            if block == _ZEROS:
                return
            member = self._parse(block)
            self._left = member.size if member.type not in (HARDLINK, SYMLINK, DIRECTORY) else 0
            self._padding = -self._left % _BLOCK
            if member.type == _LONG_NAME:
                extended["path"] = self._extension().rstrip(b"\0")
            elif member.type == _LONG_LINK:
                extended["linkpath"] = self._extension().rstrip(b"\0")
            elif member.type == _PAX:
                extended.update(self._pax(self._extension()))
            elif member.type == _PAX_GLOBAL:
                common.update(self._pax(self._extension()))
            else:
                if extended or common:
                    member = self._extended(member, {**common, **extended})
                    extended = {}
                yield member

    def read(self, size: int) -> bytes:
        """The next size bytes of the current member; fewer at its end only."""
        size = min(size, self._left)
        data = self._take(size)
        self._left -= size
        return data

    def content(self, limit: int) -> bytes:
        """All of the current member.

        :raises BuildError: it is larger than limit.
        """
        if self._left > limit:
            raise self._broken(f"a member of {self._left} bytes is larger than the {limit} it can have")
        return self.read(self._left)

    def _skip_rest(self) -> None:
        while self._left:
            self.read(_SKIP)
        if self._padding:
            self._take(self._padding)
            self._padding = 0

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise self._broken("it ends too early")
        return data

    def _broken(self, why: str) -> BuildError:
        return BuildError(f"{self._what} is no sound tar stream: {why}.", "Fetch the image again.")

    def _parse(self, block: bytes) -> Member:
        if self._number(block[148:156]) != sum(block) - sum(block[148:156]) + 256:
            raise self._broken("a member's header has a wrong checksum")
        kind = block[156:157]
        if kind == b"\0" or kind == b"7":
            kind = REGULAR
        elif kind == _SPARSE:
            raise self._broken("a member is sparse, which no image layer can be")
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and block[345]:
            name = block[345:500].split(b"\0", 1)[0] + b"/" + name
        return Member(
            name,
            kind,
            self._number(block[124:136]),
            self._number(block[100:108]) & 0o7777777,
            self._number(block[108:116]),
            self._number(block[116:124]),
            block[157:257].split(b"\0", 1)[0],
        )

    def _number(self, field: bytes) -> int:
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if not digits:
            return 0
        try:
            return self._natural(digits, 8)
        except ValueError:
            raise self._broken(f"a member's header has {digits!r} for a number") from None

    @staticmethod
    def _natural(digits: bytes, base: int) -> int:
        if not digits.isdigit():
            raise ValueError
        return int(digits, base)

    def _extension(self) -> bytes:
        return self.content(_EXTENSION_LIMIT)

    def _pax(self, data: bytes) -> dict[str, bytes]:
        records = {}
        at = 0
        try:
            while at < len(data):
                length = self._natural(data[at : data.index(b" ", at)], 10)
                record = data[at : at + length]
                if len(record) != length or record[-1:] != b"\n":
                    raise ValueError
                key, equals, value = record[record.index(b" ") + 1 : -1].partition(b"=")
                if not equals:
                    raise ValueError
                records[key.decode()] = value
                at += length
        except ValueError:
            raise self._broken("a pax header is malformed") from None
        if any(key.startswith("GNU.sparse.") for key in records):
            raise self._broken("a member is sparse, which no image layer can be")
        return records

    def _extended(self, member: Member, values: dict[str, bytes]) -> Member:
        changes: dict[str, int | bytes] = {}
        if "path" in values:
            changes["name"] = values["path"]
        if "linkpath" in values:
            changes["target"] = values["linkpath"]
        try:
            for key in ("size", "uid", "gid"):
                if key in values:
                    changes[key] = self._natural(values[key], 10)
        except ValueError:
            raise self._broken(f"a pax header has no number for {key}") from None
        member = member._replace(**changes)  # type: ignore[arg-type]
        if "size" in changes and member.type == REGULAR:
            self._left = member.size
            self._padding = -member.size % _BLOCK
        return member
