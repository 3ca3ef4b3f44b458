# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The deflate streams inside archive-mode objects.

Levels 1 to 3 are ISA-L's, which is the quickest; 4 and 5 are libdeflate's, which is the quickest at zlib's sizes, and takes whole
buffers only: there, too, ISA-L has the largest objects, and those that hardly get smaller. Where these libraries are not
installed, zlib has all levels. Level 6 is always zlib's, as libostree's own is, and gives the very bytes that libostree writes.
"""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import Any, Protocol

DEFAULT_LEVEL = 4
LEVELS = range(1, 10)
_ISAL_LEVELS = range(1, 4)
#: The highest of ISA-L's levels whose bytes are not others on another processor.
_ISAL_BESIDE_LIBDEFLATE = 2
#: And libdeflate's own number of each, at which it is as small as zlib.
_LIBDEFLATE_LEVELS = {4: 5, 5: 6}
#: memLevel: a medium buffer makes ISA-L's blocks shorter and its output half a percent smaller, at the same speed.
_ISAL_MEMORY, _ZLIB_MEMORY = 4, 8
#: Bytes of an object that is compressed at once, at most. What is larger is not held in memory.
_AT_ONCE, _AT_ONCE_BY_LIBDEFLATE = 4 << 20, 24 << 20
#: So many bytes in the middle of an object of some size tell whether it is compressed already: so much of them is left.
_SAMPLE, _SAMPLED, _LEFT = 8 << 10, 64 << 10, 0.9


class Compressor(Protocol):
    """A deflate stream being made. With ISA-L its bytes depend on how the input is cut into pieces."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be given of the compressed bytes so far."""

    def flush(self) -> bytes:
        """The rest of the compressed bytes."""


class Deflate:
    """Makes raw deflate streams of one level. The same input, in the same pieces, gives the same bytes.

    :ivar at_once: how many bytes compress() is to be given at most.
    :ivar libraries: what makes the streams, with versions.
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._libdeflate: Any = _installed("deflate") if level in _LIBDEFLATE_LEVELS else None
        isal = _installed("isal") if self._libdeflate or level in _ISAL_LEVELS else None
        if isal:
            self._streams = _installed("isal.isal_zlib")
            self._stream_options = (_ISAL_BESIDE_LIBDEFLATE if self._libdeflate else level, _ISAL_MEMORY)
        else:
            self._streams, self._stream_options = zlib, (level, _ZLIB_MEMORY)
        self._is_quick = bool(self._libdeflate and isal)
        self.at_once = _AT_ONCE_BY_LIBDEFLATE if self._libdeflate else _AT_ONCE
        libraries = [f"{module.__name__} {module.__version__}" for module in (self._libdeflate, isal) if module]
        self.libraries = ", ".join(libraries if isal else [*libraries, f"zlib {zlib.ZLIB_RUNTIME_VERSION}"])

    def compressor(self) -> Compressor:
        """For an object in pieces."""
        level, memory = self._stream_options
        compressor: Compressor = self._streams.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, memory)
        return compressor

    def compress(self, data: bytes) -> bytes:
        """The whole stream of one piece."""
        if self._libdeflate and not (self._is_quick and self._is_compressed(data)):
            compressed: bytes = self._libdeflate.deflate_compress(data, _LIBDEFLATE_LEVELS[self._level])
            return compressed
        compressor = self.compressor()
        return compressor.compress(data) + compressor.flush()

    def _is_compressed(self, data: bytes) -> bool:
        middle = len(data) // 2
        sample = memoryview(data)[middle : middle + _SAMPLE]
        return len(data) >= _SAMPLED and len(self._libdeflate.deflate_compress(sample, 1)) > _LEFT * _SAMPLE


def _installed(module: str) -> Any:
    """The module; None where its package is not installed."""
    try:
        return import_module(module)
    except ImportError:
        return None
