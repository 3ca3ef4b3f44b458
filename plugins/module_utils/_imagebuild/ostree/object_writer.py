# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns content objects into those of an archive-mode repository, on all cores, in the order they come in.

Small objects are worked on in batches, large ones chunk by chunk; what is under way is bounded in bytes, whatever
the image holds. A large object's size is known only when it is compressed, so it waits in an unnamed temporary file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, cast

from ..tarstream import TarStream
from .deflate import Deflate
from .encapsulated import EncapsulatedObject
from .layer_writer import LayerWriter
from .objects import FileHeader, corrupted

#: Bytes of content that make a batch worth a thread's while.
_BATCH = 1 << 20
#: Bytes of content that are under way at most, apart from one batch.
_UNDER_WAY = 32 << 20
#: A large object's compressed bytes beyond this go to the temporary file.
_SPOOL = 8 << 20
_CHUNK = 1 << 20
#: What an object costs beside its content, in the measure of its content: headers, names, calls.
_OVERHEAD = 4 << 10
_MOST_WORKERS = 16

#: An object, and the parts of its content.
_Item = tuple[EncapsulatedObject, bytes]
_Converted = tuple[EncapsulatedObject, tuple[bytes, ...]]


class ObjectWriter:
    """Writes objects into a layer; a context manager that ends its threads.

    :param path: gives an object's path in the layer, from its name in an archive-mode repository.
    :param folder: where a large object's temporary file goes.
    """

    def __init__(self, layer: LayerWriter, path: Callable[[str], str], deflate: Deflate, folder: Path) -> None:
        self._layer = layer
        self._path = path
        self._deflate = deflate
        self._folder = folder
        self._workers = ThreadPoolExecutor(min(_cores(), _MOST_WORKERS), "deflate")
        self._batch: list[_Item] = []
        self._batch_size = 0
        self._under_way: deque[tuple[int, Future[list[_Converted]]]] = deque()
        self._under_way_size = 0

    def __enter__(self) -> ObjectWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self._workers.shutdown(wait=True, cancel_futures=True)

    def add(self, found: EncapsulatedObject, stream: TarStream) -> None:
        """Add a content object, read from the stream.

        :raises BuildError: this object, or one before it, is not what its name says.
        """
        if found.size > self._deflate.at_once:
            self._add_large(found, stream)
        else:
            self.add_read(found, stream.read(found.size))

    def add_read(self, found: EncapsulatedObject, content: bytes) -> None:
        """Add an object whose content has been read; one that is no content object is kept as it is."""
        self._batch.append((found, content))
        self._batch_size += len(content) + _OVERHEAD
        if self._batch_size >= _BATCH:
            self._submit()

    def finish(self) -> None:
        """Have everything written."""
        if self._batch:
            self._submit()
        while self._under_way:
            self._write_oldest()

    def _submit(self) -> None:
        batch, size = self._batch, self._batch_size
        self._batch, self._batch_size = [], 0
        self._under_way.append((size, self._workers.submit(self._convert, batch)))
        self._under_way_size += size
        while self._under_way and (self._under_way_size > _UNDER_WAY or self._under_way[0][1].done()):
            self._write_oldest()

    def _write_oldest(self) -> None:
        size, future = self._under_way.popleft()
        self._under_way_size -= size
        for found, parts in future.result():
            if found.file:
                self._layer.file(self._path(_archived_name(found)), *parts)
            else:
                self._layer.small_file(self._path(found.name), *parts)

    def _convert(self, batch: list[_Item]) -> list[_Converted]:
        converted = []
        batch.reverse()
        while batch:  # takes the content out, so that its memory is free when its batch has gone by
            found, content = batch.pop()
            converted.append((found, self._archived(found.file, found, content) if found.file else (content,)))
        return converted

    def _archived(self, file: FileHeader, found: EncapsulatedObject, content: bytes) -> tuple[bytes, ...]:
        digest = hashlib.sha256(file.checksummed())
        digest.update(content)
        _check(found, digest)
        header = file.archived(len(content))
        return (header,) if file.target else (header, self._deflate.compress(content))

    def _add_large(self, found: EncapsulatedObject, stream: TarStream) -> None:
        file = cast(FileHeader, found.file)  # no other object is large
        digest = hashlib.sha256(file.checksummed())
        with tempfile.SpooledTemporaryFile(_SPOOL, dir=str(self._folder)) as spool:
            spool.write(file.archived(found.size))
            compressor = self._deflate.compressor()
            hashing: Future[None] | None = None
            deflating: Future[bytes] | None = None
            while chunk := stream.read(_CHUNK):
                # One chunk is hashed and deflated while the next is read.
                if hashing and deflating:
                    hashing.result()
                    spool.write(deflating.result())
                hashing = self._workers.submit(digest.update, chunk)
                deflating = self._workers.submit(compressor.compress, chunk)
            if hashing and deflating:
                hashing.result()
                spool.write(deflating.result())
            spool.write(compressor.flush())
            _check(found, digest)
            self.finish()
            size = spool.tell()
            spool.seek(0)
            self._layer.file_of(self._path(_archived_name(found)), size, _chunks(spool))


def _archived_name(found: EncapsulatedObject) -> str:
    return f"{found.name}z"


def _check(found: EncapsulatedObject, digest: Any) -> None:
    if digest.digest() != found.checksum:
        raise corrupted(found.checksum, found.kind, digest.digest())


def _chunks(file: Any) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
