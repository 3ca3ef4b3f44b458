# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One gzip member (RFC 1952) out of chunks that are deflated one by one, so that threads can share the work.

Each chunk is raw deflate that starts without history and ends at a byte boundary (a sync flush, RFC 1951 3.2.4), so
that the chunks' outputs, joined in order, are one deflate stream. The same chunk gives the same bytes with the same
codec, which is what lets an interrupted upload go on.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from typing import Any, Callable

#: Header: deflate, no flags, no time, no extra flags, unknown system.
GZIP_HEADER = struct.pack("<HBBIBB", 0x8B1F, 8, 0, 0, 0, 255)

#: The last block of a deflate stream: final, fixed codes, empty.
_LAST_BLOCK = b"\x03\x00"


class Codec:
    """A deflate library at one level.

    :param name: library, its version and the level: outputs may be compared only where this is the same.
    """

    def __init__(self, name: str, compressor: Callable[[], Any], sync_flush: int) -> None:
        self.name = name
        self._compressor = compressor
        self._sync_flush = sync_flush

    def deflate(self, chunk: bytes) -> bytes:
        """The chunk as raw deflate, ending at a byte boundary. Other threads run meanwhile."""
        compressor = self._compressor()
        return bytes(compressor.compress(chunk)) + bytes(compressor.flush(self._sync_flush))


def zlib_codec() -> Codec:
    """zlib at its fastest level."""
    return Codec(f"zlib {zlib.ZLIB_RUNTIME_VERSION} 1", lambda: zlib.compressobj(1, zlib.DEFLATED, -15), zlib.Z_SYNC_FLUSH)


def best_codec() -> Codec:
    """ISA-L where it is installed (several times faster, and smaller than zlib at level 1), else zlib."""
    try:
        isal: Any = importlib.import_module("isal")
        isal_zlib: Any = importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib_codec()
    return Codec(f"isal {isal.__version__} 2", lambda: isal_zlib.compressobj(2, isal_zlib.DEFLATED, -15), isal_zlib.Z_SYNC_FLUSH)


def gzip_trailer(crc: int, size: int) -> bytes:
    """What ends the member: the last block, the CRC-32 of the input, the input's size modulo 2**32."""
    return _LAST_BLOCK + struct.pack("<II", crc & 0xFFFFFFFF, size & 0xFFFFFFFF)
