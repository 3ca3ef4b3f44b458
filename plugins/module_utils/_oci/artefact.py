# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artefact that the service imports: a tar of output.QCOW2 and image_metadata.json.

The tar is never written anywhere: it is an address space over the disk image's file, which any thread can read at any
offset. The same content gives the same bytes: no times, no owners, fixed names.
"""

from __future__ import annotations

import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .. import _record
from .._errors import OcneError
from .._imagebuild.progress import Progress, silent

_BLOCK = tarfile.BLOCKSIZE
_RECORD = tarfile.RECORDSIZE

DISK_NAME = "output.QCOW2"
METADATA_NAME = "image_metadata.json"


def _padding(size: int, unit: int = _BLOCK) -> bytes:
    return b"\0" * (-size % unit)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


@dataclass(frozen=True)
class Source:
    """A disk image file, as it was when its digest was taken. sha256 in hex, size in bytes."""

    path: Path
    sha256: str
    size: int
    identity: tuple[int, ...]


def open_source(path: Path, progress: Progress = silent) -> Source:
    """What the file is, by its build record or by reading it once.

    :raises OcneError: there is no such file, or it changes meanwhile.
    """
    try:
        before = path.stat()
    except FileNotFoundError:
        raise OcneError(f"src {path} does not exist.", "Make it with ocne_boot_image, or name another file.") from None
    if not stat.S_ISREG(before.st_mode):
        raise OcneError(f"src {path} is not a file.", "Name a qcow2 file.")
    source = Source(path, _record.known_sha256(path, progress), before.st_size, _identity(before))
    if _identity(path.stat()) != source.identity:
        raise _changed(path, "read")
    return source


class Artefact:
    """The tar over an open disk image. A context manager.

    :param source: the qcow2 file and its digest.
    :param metadata: content of image_metadata.json.
    :raises OcneError: the file is no longer the one that was digested.
    """

    def __init__(self, source: Source, metadata: bytes) -> None:
        self.source = source
        self._file = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
        self.verify_unchanged()
        size = source.size
        self._head = _header(DISK_NAME, size)
        tail = _padding(size) + _header(METADATA_NAME, len(metadata)) + metadata + _padding(len(metadata)) + bytes(2 * _BLOCK)
        self._tail = tail + _padding(len(self._head) + size + len(tail), _RECORD)
        self._tail_at = len(self._head) + size
        self.size = self._tail_at + len(self._tail)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the tar from offset on: length of them, fewer only at its end. Safe in threads.

        :raises OcneError: the file became shorter.
        """
        end = min(offset + length, self.size)
        pieces = []
        if offset < len(self._head):
            pieces.append(self._head[offset:end])
        start, stop = max(offset, len(self._head)), min(end, self._tail_at)
        while start < stop:
            piece = os.pread(self._file, stop - start, start - len(self._head))
            if not piece:
                raise _changed(self.source.path, "uploaded")
            pieces.append(piece)
            start += len(piece)
        if end > self._tail_at:
            pieces.append(self._tail[max(0, offset - self._tail_at) : end - self._tail_at])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def verify_unchanged(self) -> None:
        """:raises OcneError: the file was written to, or replaced, since its digest was taken."""
        try:
            named = self.source.path.stat()
        except FileNotFoundError:
            raise _changed(self.source.path, "uploaded") from None
        if _identity(named) != self.source.identity or _identity(os.fstat(self._file)) != self.source.identity:
            raise _changed(self.source.path, "uploaded")

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Artefact:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _identity(stat_result: os.stat_result) -> tuple[int, ...]:
    return (stat_result.st_dev, stat_result.st_ino, stat_result.st_size, stat_result.st_mtime_ns)


def _changed(path: Path, doing: str) -> OcneError:
    return OcneError(f"{path} was changed while it was being {doing}.", "Run again when nothing writes to it.")
