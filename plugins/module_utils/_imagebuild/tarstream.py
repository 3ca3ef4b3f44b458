# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tar stream, read once, forwards, with bounded memory.

The standard library's tarfile takes several times as long for each member (an ostree layer has some ten thousand, most of
them empty), holds extended headers of any size in memory, and takes an archive that is cut between two members for a
whole one. Formats: POSIX ustar and pax, and GNU's long names and base-256 numbers.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Mapping
from typing import Callable, NamedTuple, Optional, Protocol

from .errors import BuildError

REGULAR, HARDLINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"

_BLOCK = 512
_ADLER_BASE = 65521
_ZEROS = bytes(_BLOCK)
_SKIP = 1 << 20
#: Headers of one stream. An ostree layer has three for an object, and some for the files that containers see.
MOST_MEMBERS = 2_000_000
#: Bytes of a pax header: some writers put extended attributes there.
_PAX_LIMIT = 1 << 20
#: Linux takes no longer path, and no longer target of a symlink (PATH_MAX).
_PATH_LIMIT = 4096
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
#: The pax records that matter here. Others, which can be many, are not kept.
_PAX_KEYS = frozenset(("path", "linkpath", "size", "uid", "gid"))
_NO_SPARSE = "a member is sparse, which none of an image layer is"


class TooManyMembers(BuildError):
    """The stream goes on beyond what any of its kind holds."""


class Source(Protocol):
    """Where the stream comes from."""

    def read(self, size: int, /) -> bytes:
        """size bytes; fewer at the end only."""


class Member(NamedTuple):
    """One member. type: REGULAR, HARDLINK, … Most members are not looked at closely, so fields are read when asked for.

    :param block: its header.
    :param extended: what extended headers say of it.
    :param what: the stream, for messages.
    """

    name: bytes
    type: bytes
    size: int
    block: bytes
    extended: Mapping[str, bytes]
    what: str

    @property
    def mode(self) -> int:
        """As written: permission bits, which some writers mix with a type's."""
        return _number(self.block[100:108], self.what)

    @property
    def uid(self) -> int:
        return _decimal(self.extended["uid"], self.what) if "uid" in self.extended else _number(self.block[108:116], self.what)

    @property
    def gid(self) -> int:
        return _decimal(self.extended["gid"], self.what) if "gid" in self.extended else _number(self.block[116:124], self.what)

    @property
    def target(self) -> bytes:
        """Where a link points."""
        return self.extended.get("linkpath", self.block[157:257].split(b"\0", 1)[0])


class TarStream:
    """Iterates over the members; read() and content() give the current one's bytes. What is not read is skipped.

    :param what: the thing read, for messages.
    :param most_members: how many headers it may have.
    :param skip: passes over so many bytes of the source; None: they are read.
    """

    def __init__(self, source: Source, what: str, most_members: int = MOST_MEMBERS, skip: Optional[Callable[[int], object]] = None) -> None:
        self._source = source
        self._what = what
        self._most_members = most_members
        self._skip = skip
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """:raises BuildError: it is no sound tar stream, or it ends before its end mark."""
        extended: dict[str, bytes] = {}
        common: dict[str, bytes] = {}
        for count in itertools.count():
            self._pass_over()
            block = self._take(self._padding + _BLOCK)[self._padding :]
            if block == _ZEROS:
                return
            if count >= self._most_members:
                raise TooManyMembers(
                    f"{self._what} has more than {self._most_members} members: none of an image has.", "Give another image."
                )
            member = self._parse(block, {**common, **extended} if common or extended else extended)
            self._left = 0 if member.type in (HARDLINK, SYMLINK, DIRECTORY) else member.size
            self._padding = -self._left % _BLOCK
            if member.type == _LONG_NAME:
                extended["path"] = self.content(_PATH_LIMIT).rstrip(b"\0")
            elif member.type == _LONG_LINK:
                extended["linkpath"] = self.content(_PATH_LIMIT).rstrip(b"\0")
            elif member.type == _PAX:
                extended.update(self._pax(self.content(_PAX_LIMIT)))
            elif member.type == _PAX_GLOBAL:
                common.update(self._pax(self.content(_PAX_LIMIT)))
            else:
                yield member
                extended = {}

    def _pass_over(self) -> None:
        """Skip what is left of the current member."""
        if self._skip and self._left:
            self._skip(self._left)
            self._left = 0
        while self._left:
            self.read(_SKIP)

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
            raise _broken(self._what, f"a member of {self._left} bytes is larger than the {limit} it can have")
        return self.read(self._left)

    def _take(self, size: int) -> bytes:
        data = self._source.read(size)
        if len(data) != size:
            raise _broken(self._what, "it ends too early")
        return data

    def _parse(self, block: bytes, extended: dict[str, bytes]) -> Member:
        if (_number(block[148:156], self._what) - _sum(block) + _sum(block[148:156]) - 8 * ord(" ")) % _ADLER_BASE:
            raise _broken(self._what, "a member's header has a wrong checksum")
        kind = block[156:157]
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            extended = {}  # it is about the next member, as they are
        elif kind == _SPARSE:
            raise _broken(self._what, _NO_SPARSE)
        elif kind in (b"\0", b"7"):
            kind = REGULAR
        name = extended.get("path")
        if name is None:
            name = block[:100].split(b"\0", 1)[0]
            if block[345] and block[257:263] == b"ustar\0":
                name = block[345:500].split(b"\0", 1)[0] + b"/" + name
        size = _decimal(extended["size"], self._what) if "size" in extended else _number(block[124:136], self._what)
        return Member(name, kind, size, block, extended, self._what)

    def _pax(self, data: bytes) -> dict[str, bytes]:
        records = {}
        at = 0
        try:
            while at < len(data):
                length = _natural(data[at : data.index(b" ", at)], 10)
                record = data[at : at + length]
                key, equals, value = record[record.index(b" ") + 1 : -1].partition(b"=")
                if len(record) != length or record[-1:] != b"\n" or not equals:
                    raise ValueError
                records[key.decode()] = value
                at += length
        except ValueError:
            raise _broken(self._what, "a pax header is malformed") from None
        if any(key.startswith("GNU.sparse.") for key in records):
            raise _broken(self._what, _NO_SPARSE)
        kept = {key: value for key, value in records.items() if key in _PAX_KEYS}
        if any(len(value) > _PATH_LIMIT for value in kept.values()):
            raise _broken(self._what, f"a path in a pax header has more than {_PATH_LIMIT} bytes")
        return kept


def _sum(data: bytes) -> int:
    """The sum of the bytes modulo _ADLER_BASE: half of what Adler-32 is, and ten times as quick as sum()."""
    return (zlib.adler32(data) & 0xFFFF) - 1


def _number(field: bytes, what: str) -> int:
    """A number of a header: octal digits, or GNU's base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    try:
        return _natural(digits, 8) if digits else 0
    except ValueError:
        raise _broken(what, f"a member's header has {digits!r} for a number") from None


def _decimal(digits: bytes, what: str) -> int:
    try:
        return _natural(digits, 10)
    except ValueError:
        raise _broken(what, f"a pax header has {digits[:100]!r} for a number") from None


def _natural(digits: bytes, base: int) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise ValueError
    return int(digits, base)


def _broken(what: str, why: str) -> BuildError:
    return BuildError(f"{what} is no sound tar stream: {why}.", "Fetch the image again.")
