# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes as iterators of chunks: read, hash, decompress, and read again as a file."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, cast

from .errors import BuildError

CHUNK = 1 << 20
#: What zlib's interface does not take at once it copies, again and again: small pieces are a fifth quicker than CHUNK.
_GUNZIP_PIECE = 1 << 16

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
#: A zstd stream may begin with a skippable frame: magic 0x184D2A50 to 0x184D2A5F, little endian (RFC 8878, 3.1.2).
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"


class Hasher(Protocol):
    """What hashlib's objects do."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The digest so far, in hex."""


def read_chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes in chunks of 1 MiB."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def hashed(chunks: Iterable[bytes], hasher: Hasher) -> Iterator[bytes]:
    """The same chunks; each has gone through the hasher when it is handed on."""
    for chunk in chunks:
        hasher.update(chunk)
        yield chunk


class Count:
    """How many bytes have passed."""

    bytes = 0


def counted(chunks: Iterable[bytes], count: Count) -> Iterator[bytes]:
    """The same chunks; each is counted when it is handed on."""
    for chunk in chunks:
        count.bytes += len(chunk)
        yield chunk


@contextmanager
def read_ahead(chunks: Iterable[bytes], depth: int = 4) -> Iterator[Iterator[bytes]]:
    """The same chunks, made by a thread of their own, at most depth of them before they are asked for.

    What making them raises is raised where they are asked for. When the block ends the thread has ended.
    """
    ready: queue.Queue[bytes | BaseException | None] = queue.Queue(depth)
    stopped = threading.Event()

    def make() -> None:
        last: BaseException | None = None
        try:
            for chunk in chunks:
                ready.put(chunk)
                if stopped.is_set():
                    return
        except BaseException as error:
            last = error
        ready.put(last)

    def take() -> Iterator[bytes]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        yield take()
    finally:
        stopped.set()
        while maker.is_alive():
            with suppress(queue.Empty):
                ready.get_nowait()
            maker.join(0.01)


def decompressed(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The chunks, decompressed as their first bytes say: gzip, zstd, or as they are.

    Media types are not asked: registries and tools are known to mislabel layers, and a digest tells what is right.
    No chunk handed on is much larger than 1 MiB, whatever the compression ratio.

    :param what: the thing read, for messages.
    :raises BuildError: the stream is cut short or damaged, or zstd is asked for where nothing can read it.
    """
    stream = iter(chunks)
    head = b""
    while len(head) < 4 and (more := next(stream, b"")):
        head += more
    whole = _prepend(head, stream)
    if head.startswith(GZIP_MAGIC):
        return _gunzip(whole, what)
    if head.startswith(ZSTD_MAGIC) or head[1:4] == ZSTD_SKIPPABLE:
        return _unzstd(whole, what)
    return whole


class ChunkReader:
    """Chunks as a file that can only be read forwards, as tarfile's stream mode wants it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        """size bytes; fewer at the end only."""
        parts = []
        while size > 0:
            if not self._rest:
                chunk = next(self._chunks, b"")
                if not chunk:
                    break
                self._rest = memoryview(chunk)
            part = self._rest[:size]
            self._rest = self._rest[len(part) :]
            size -= len(part)
            parts.append(part)
        return bytes(parts[0]) if len(parts) == 1 else b"".join(parts)

    def drain(self) -> None:
        """Read to the end, so that hashes on the way see every byte."""
        self._rest = memoryview(b"")
        for _chunk in self._chunks:
            pass


def _pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]


def _prepend(head: bytes, stream: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from stream


def _zlib() -> Any:
    """isal's drop-in for zlib where it is installed: it inflates two to three times as fast."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


def _gunzip(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    library = _zlib()
    member = None
    for data in _pieces(chunks, _GUNZIP_PIECE):
        while data:
            if member is None:
                member = library.decompressobj(16 + zlib.MAX_WBITS)
            full = True
            while full and not member.eof:
                try:
                    out = member.decompress(data, CHUNK)
                except library.error as error:
                    raise BuildError(f"{what}: the gzip stream is damaged ({error}).", "Fetch it again.") from error
                data = member.unconsumed_tail
                # Output can be pending although all input is taken.
                full = bool(data) or len(out) == CHUNK
                if out:
                    yield out
            if member.eof:
                data, member = member.unused_data, None
    if member is not None:
        raise BuildError(f"{what}: the gzip stream ends too early.", "Fetch it again.")


def _unzstd(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    decompressor = _zstd_decompressor()
    if decompressor is None:
        return _unzstd_by_program(chunks, what)
    return _unzstd_by_library(chunks, what, decompressor)


def _zstd_decompressor() -> Any:
    """A class whose objects decompress one zstd frame (the interface of Python 3.14), or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            module = __import__(name, fromlist=["ZstdDecompressor"])
        except ImportError:
            continue
        return module.ZstdDecompressor
    return None


def _unzstd_by_library(chunks: Iterable[bytes], what: str, decompressor: Any) -> Iterator[bytes]:
    frame = None
    for chunk in chunks:
        data = chunk
        while data or (frame is not None and not frame.needs_input and not frame.eof):
            if frame is None:
                frame = decompressor()
            try:
                out = frame.decompress(data, CHUNK)
            except Exception as error:  # each library has its own class, all mean the same
                raise BuildError(f"{what}: the zstd stream is damaged ({error}).", "Fetch it again.") from error
            data = b""
            if out:
                yield out
            if frame.eof:
                data, frame = frame.unused_data, None
    if frame is not None:
        raise BuildError(f"{what}: the zstd stream ends too early.", "Fetch it again.")


def _unzstd_by_program(chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    program = shutil.which("zstd")
    if program is None:
        raise BuildError(
            f"{what} is compressed with zstd, and nothing here can read that.",
            "Install the zstd program, the Python package backports.zstd, or Python 3.14.",
        )
    process = subprocess.Popen(
        [program, "--decompress", "--stdout", "--quiet"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stdin, stdout, stderr = (cast(IO[bytes], pipe) for pipe in (process.stdin, process.stdout, process.stderr))
    failed: list[BaseException] = []

    def feed() -> None:
        try:
            with stdin:
                for chunk in chunks:
                    stdin.write(chunk)
        except BrokenPipeError:
            pass  # the program's own message says more
        except BaseException as error:
            failed.append(error)
            process.kill()

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        while out := stdout.read(CHUNK):
            yield out
        feeder.join()
        if failed:
            raise failed[0]
        if process.wait() != 0:
            reason = stderr.read(4096).decode(errors="replace").strip()
            raise BuildError(f"{what}: the zstd stream is damaged or ends too early ({reason}).", "Fetch it again.")
    finally:
        process.kill()
        process.wait()
        for pipe in (stdout, stderr):
            pipe.close()
