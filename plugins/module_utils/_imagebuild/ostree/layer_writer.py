# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tar layer in a gzip stream that costs next to nothing to write and to read.

Its large content is compressed already, so it is stored: RFC 1951's block type 00. Only tar headers, padding and small
things are deflated, each on its own. As the layer is a gzip layer, no registry client compresses it again on a push.
"""

from __future__ import annotations

import hashlib
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

#: A stored block begins with its type and ends with what it holds (RFC 1951, 3.2.4), this much at most.
_STORED = b"\0"
_STORED_LIMIT = 0xFFFF
#: RFC 1952: magic, deflate, no flags, no time, no hint, unknown system.
_GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
#: RFC 1951: a last block, with fixed codes, empty.
_LAST_BLOCK = b"\x03\0"
_BLOCK = 512
#: A ustar header of a regular file that is root's, readable by all, of the time 0: what is before its size, between its
#: size and its checksum, and between its checksum and the prefix of its name (POSIX, pax, "ustar Interchange Format").
_OWNER, _TIME, _TYPE = b"0000644\0" + 2 * b"0000000\0", b"\0" + 11 * b"0" + b"\0", b"\0 0" + bytes(100) + b"ustar\x0000" + bytes(80)
#: The sum of their bytes, and of the checksum's when it is made: eight blanks.
_SUM = sum(_OWNER + _TIME + _TYPE[2:]) + 8 * ord(" ")
#: The largest size that it can say, and the longest name and prefix.
_SIZE_LIMIT, _NAME_LIMIT, _PREFIX_LIMIT = 8**11 - 1, 100, 155


class LayerWriter:
    """Writes a layer to a file, and knows the digests of both its forms.

    Everything belongs to root and has the time 0, so that the same content gives the same bytes.

    :param file: written from where it stands, never read, never sought.
    """

    media_type = "application/vnd.oci.image.layer.v1.tar+gzip"

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stored, self._plain = hashlib.sha256(), hashlib.sha256()
        # A header is runs of zeros between digits, of which there are ten thousands: looking for more in it gains nothing.
        self._headers = zlib.compressobj(1, zlib.DEFLATED, -12, 2, zlib.Z_RLE)
        self._contents = zlib.compressobj(1, zlib.DEFLATED, -12, 2)
        self._crc32 = _crc32()
        self._crc = 0
        self._plain_size = 0
        #: How many zeros fill the last member's block; they are deflated with the next header.
        self._padding = 0
        self.size = 0
        self._write(_GZIP_HEADER)

    def directory(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Add a directory. path: relative, as in an image."""
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, uid, gid
        self._write(self._deflated(self._headers, info.tobuf(tarfile.GNU_FORMAT), 0))

    def file(self, path: str, *parts: bytes) -> None:
        """Add a regular file, readable by all, that a compression of its own would not make smaller."""
        self.file_of(path, sum(map(len, parts)), parts)

    def file_of(self, path: str, size: int, parts: Iterable[bytes]) -> None:
        """As file(), of content that need not be in memory at once."""
        # A full flush ends with a stored block of no content, whose place the first block of the content takes.
        begun = self._deflated(self._headers, file_header(path, size), size)[: -len(_length(0))]
        for block in _blocks(parts):
            self._count(block)
            self._write(b"".join((begun, _length(len(block)), block)))
            begun = _STORED
        if not size:
            self._write(begun + _length(0))

    def small_file(self, path: str, content: bytes) -> None:
        """Add a regular file, readable by all, compressed."""
        self._write(self._deflated(self._contents, file_header(path, len(content)) + content, len(content)))

    def close(self) -> None:
        """End the layer. digest, diff_id and size are known from here on."""
        self._write(self._deflated(self._contents, bytes(tarfile.RECORDSIZE), 0))
        self._write(_LAST_BLOCK + struct.pack("<II", self._crc, self._plain_size & 0xFFFFFFFF))

    @property
    def digest(self) -> str:
        return f"sha256:{self._stored.hexdigest()}"

    @property
    def diff_id(self) -> str:
        return f"sha256:{self._plain.hexdigest()}"

    def _deflated(self, compressor: zlib._Compress, data: bytes, size: int) -> bytes:
        """The padding that is due, and data, with which a member of so many bytes begins."""
        plain = bytes(self._padding) + data
        self._padding = -size % _BLOCK
        self._count(plain)
        # A full flush forgets what came before, which for the inflating side is not what this side saw.
        return compressor.compress(plain) + compressor.flush(zlib.Z_FULL_FLUSH)

    def _count(self, plain: bytes | memoryview) -> None:
        self._plain.update(plain)
        self._crc = self._crc32(plain, self._crc)
        self._plain_size += len(plain)

    def _write(self, data: bytes) -> None:
        self._stored.update(data)
        self._file.write(data)
        self.size += len(data)


def file_header(path: str, size: int) -> bytes:
    """The tar header of a regular file that is root's, readable by all, of the time 0: as tarfile's, in a fifth of its time."""
    name, prefix = path.encode(), b""
    if len(name) > _NAME_LIMIT:
        at = name.find(b"/", len(name) - _NAME_LIMIT - 1)
        prefix, name = name[: max(at, 0)], name[at + 1 :]
    if size > _SIZE_LIMIT or len(name) > _NAME_LIMIT or len(prefix) > _PREFIX_LIMIT:
        info = tarfile.TarInfo(path)
        info.size = size
        return info.tobuf(tarfile.GNU_FORMAT)
    digits = b"%011o" % size
    checksum = _SUM + sum(name) + sum(digits) + sum(prefix)
    parts = (name.ljust(_NAME_LIMIT, b"\0"), _OWNER, digits, _TIME, b"%06o" % checksum, _TYPE, prefix.ljust(_BLOCK - 345, b"\0"))
    return b"".join(parts)


def _blocks(parts: Iterable[bytes]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for at in range(0, len(view), _STORED_LIMIT):
            yield view[at : at + _STORED_LIMIT]


def _length(count: int) -> bytes:
    """How a stored block tells its size."""
    return struct.pack("<HH", count, count ^ 0xFFFF)


def _crc32() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32
