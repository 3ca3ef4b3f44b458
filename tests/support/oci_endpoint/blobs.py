# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes at rest: one file per received body; an object is a sequence of such files, so that a commit copies nothing."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .messages import BLOCK, RequestBody, ServiceError


@dataclass(frozen=True)
class Segment:
    """A file with received bytes. `md5` is its raw digest."""

    path: Path
    size: int
    md5: bytes

    @property
    def md5_base64(self) -> str:
        return base64.b64encode(self.md5).decode()


@dataclass(frozen=True)
class Blob:
    """The content of an object."""

    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        return sum(segment.size for segment in self.segments)

    def blocks(self, start: int = 0, length: Optional[int] = None) -> Iterator[bytes]:
        """The bytes from `start` on, block by block."""
        left = self.size - start if length is None else length
        for segment in self.segments:
            if start >= segment.size:
                start -= segment.size
                continue
            with segment.path.open("rb", buffering=0) as file:
                file.seek(start)
                start = 0
                while left and (block := file.read(min(BLOCK, left))):
                    left -= len(block)
                    yield block
            if not left:
                return

    def open(self) -> io.BufferedReader:
        return io.BufferedReader(_BlobReader(self), BLOCK)

    def discard(self) -> None:
        for segment in self.segments:
            segment.path.unlink(missing_ok=True)


class _BlobReader(io.RawIOBase):
    def __init__(self, blob: Blob) -> None:
        self._blocks = blob.blocks()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def receive(body: RequestBody, folder: Path, content_md5: Optional[str]) -> Segment:
    """Stream a request's body to a new file in the folder.

    :param content_md5: the request's Content-MD5 header.
    :raises ServiceError: 400 UnmatchedContentMD5; nothing is kept then.
    """
    path = folder / secrets.token_hex(16)
    digest = hashlib.md5()
    view = memoryview(bytearray(min(BLOCK, body.length) or 1))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if body.length:
            os.posix_fallocate(descriptor, 0, body.length)  # writes into allocated space are many times quicker
        while size := body.readinto(view):
            digest.update(view[:size])
            written = 0
            while written < size:
                written += os.write(descriptor, view[written:size])
        segment = Segment(path, body.length, digest.digest())
        if content_md5 is not None and content_md5 != segment.md5_base64:
            message = f"The computed MD5 of the request body ({segment.md5_base64}) does not match the Content-MD5 header ({content_md5})"
            raise ServiceError(400, "UnmatchedContentMD5", message)
        return segment
    except BaseException:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
