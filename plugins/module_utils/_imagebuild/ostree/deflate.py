# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deflate streams inside archive-mode objects.

Levels 1 to 3 are made with ISA-L where the Python package isal is installed: some eight times as fast as zlib, and
nearly as small. Level 6 is libostree's own, and with zlib gives the very bytes that libostree writes.
"""

from __future__ import annotations

import zlib
from typing import Any, Protocol

DEFAULT_LEVEL = 2
LEVELS = range(1, 10)
_ISAL_LEVELS = range(1, 4)
#: memLevel: a medium buffer makes ISA-L's blocks shorter and its output half a percent smaller, at the same speed.
_ISAL_MEMORY, _ZLIB_MEMORY = 4, 8


class Compressor(Protocol):
    """A deflate stream being made. With ISA-L its bytes depend on how the input is cut into pieces."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be given of the compressed bytes so far."""

    def flush(self) -> bytes:
        """The rest of the compressed bytes."""


class Deflate:
    """Makes raw deflate streams of one level. The same input, in the same pieces, gives the same bytes."""

    def __init__(self, level: int) -> None:
        isal = _isal() if level in _ISAL_LEVELS else None
        self.level = level
        self.library = "isal" if isal else "zlib"
        self._module: Any = isal or zlib
        self._memory = _ISAL_MEMORY if isal else _ZLIB_MEMORY

    def compressor(self) -> Compressor:
        compressor: Compressor = self._module.compressobj(self.level, zlib.DEFLATED, -zlib.MAX_WBITS, self._memory)
        return compressor

    def compress(self, data: bytes) -> bytes:
        """The whole stream of one piece."""
        compressor = self.compressor()
        return compressor.compress(data) + compressor.flush()


def _isal() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return None
    return isal_zlib
