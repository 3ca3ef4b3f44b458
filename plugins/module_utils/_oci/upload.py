# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artefact, compressed and sent as it is read: no temporary copy, memory that does not grow with the image.

Threads deflate chunks, the main thread puts them together to parts in order, threads send parts. Before a part is sent
it is noted in the journal: where it begins and ends in the tar, and the MD5 of its bytes. After a kill the next run
asks the service for the MD5s of the parts that it has; a part that agrees is not sent again.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import Any, Callable

from .._errors import OcneError
from .._imagebuild.progress import Progress
from .._shield import uninterrupted
from .artefact import Artefact
from .deflate import GZIP_HEADER, Codec, best_codec, gzip_trailer
from .journal import Journal, Part
from .objects import Place, Replaced, StoredObject
from .sdk import OciError
from .workers import Workers

#: The layout of parts; parts of another are not taken up.
_LAYOUT = 1
_CHUNK = 1 << 20
_SMALLEST_PART = 16 << 20  # the service takes 10 MiB to 50 GiB
_MOST_PARTS = 9000  # the service takes 10,000
_IN_FLIGHT = 96 << 20  # bytes of parts that are being sent
_MOST_SENDERS = 6
_MOST_COMPRESSORS = 8
_SLICE = 256 << 10
#: Seconds between two looks at the parts that are under way.
_INTERVAL = 1.0


def md5_base64(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def multipart_md5(parts: list[Part]) -> str:
    """The service's MD5 of an object of these parts: base64(md5 of the parts' md5s)-count."""
    joined = b"".join(base64.b64decode(part.md5) for part in parts)
    return f"{md5_base64(joined)}-{len(parts)}"


class _Body:
    """A part on its way: a file-like object in memory, sent in slices; moved is told how much of it is.

    Sent as a whole, it would have to be through within the time in which a connection must be made.
    """

    def __init__(self, data: bytes, moved: Callable[[int], None]) -> None:
        self._data = memoryview(data)
        self._position = 0
        self._moved = moved

    def __len__(self) -> int:
        return len(self._data)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}[whence]
        return self._position

    def read(self, size: int = -1) -> memoryview:
        # The HTTP library asks for 16 KiB at a time, which costs more than the sending; it takes what it gets.
        piece = self._data[self._position : self._position + max(size, _SLICE)]
        self._position += len(piece)
        self._moved(self._position)
        return piece


class Upload:
    """One artefact on its way to its place.

    :param metadata: what tells, at the object, that it holds this artefact.
    :param progress: told of bytes of the tar that have been sent.
    """

    def __init__(
        self,
        artefact: Artefact,
        metadata: Mapping[str, str],
        place: Place,
        journal: Journal,
        progress: Progress,
        codec: Codec | None = None,
    ) -> None:
        self._artefact = artefact
        self._place = place
        self._journal = journal
        self._codec = codec or best_codec()
        self._metadata = metadata
        self._progress = progress
        self._part_size = max(_SMALLEST_PART, -(-artefact.size // _MOST_PARTS))
        self._etags: dict[int, str] = {}
        self._covered = 0
        self._moving: dict[int, int] = {}  # bytes of the tar that are sent of parts under way
        self.sent = 0

    def run(self, to_replace: Callable[[], StoredObject | None], committed: Callable[[StoredObject], None]) -> None:
        """Send what the service has not, and commit.

        :param to_replace: called when all is sent: the object that this one may take the place of, if any.
        :param committed: given the object, before a signal can end the run.
        :raises OcneError: what cannot be mended by another try; then the upload has been aborted. Where another try
            can help, what was sent is kept for the next run.
        """
        try:
            self._begin_or_resume()
            with Workers(min(_MOST_COMPRESSORS, os.cpu_count() or 1), "deflate") as compressors:
                self._send_all(compressors)
            self._progress("completing the upload", 0, None)
            replaced = to_replace()
            self._artefact.verify_unchanged()
            with uninterrupted():
                committed(self._commit(replaced))
                self._journal.end_upload()
        except BaseException as error:
            self._give_up(error)
            raise

    def _commit(self, replaced: StoredObject | None) -> StoredObject:
        upload_id = self._journal.upload_id
        if replaced is None or not replaced.holds(self._metadata):
            try:
                parts = self._journal.parts
                size = sum(part.size for part in parts)
                return self._place.commit(upload_id, sorted(self._etags.items()), multipart_md5(parts), size, replaced)
            except Replaced:
                replaced = self._place.head()
                if replaced is None or not replaced.holds(self._metadata):
                    raise
        self._place.abort_upload(upload_id)  # another run was faster with the same content
        return replaced

    @property
    def _packaging(self) -> Mapping[str, Any]:
        return {
            **self._metadata,
            "codec": self._codec.name,
            "layout": _LAYOUT,
            "chunk": _CHUNK,
            "part": self._part_size,
            "size": self._artefact.size,
        }

    def _begin_or_resume(self) -> None:
        if self._journal.upload_id:
            parts = self._place.parts(self._journal.upload_id) if self._journal.packaging == self._packaging else None
            if parts is not None:
                self._resume(parts)
                return
            self._place.abort_upload(self._journal.upload_id)
        with uninterrupted():
            self._journal.begin(self._packaging, self._place.begin_upload(self._metadata))

    def _resume(self, stored: Mapping[int, Any]) -> None:
        """Take up the parts that the service has and that are, by their MD5, those that we would send."""
        self._journal.resume()
        for part in self._journal.parts:
            found = stored.get(part.number)
            if found is not None and (found.md5, found.size) == (part.md5, part.size):
                self._etags[part.number] = found.etag
                self._covered += part.end - part.start

    def _send_all(self, compressors: Workers) -> None:
        senders = max(2, min(_MOST_SENDERS, _IN_FLIGHT // self._part_size))
        flying: set[Future[Part]] = set()
        self._tell()
        with Workers(senders, "send") as pool:
            for part, data in self._missing(compressors):
                while len(flying) >= senders:
                    flying = self._landed(flying)
                self._moving[part.number] = 0
                flying.add(pool.submit(self._send, part, data))
                del data  # held by its sender only
            while flying:
                flying = self._landed(flying)

    def _send(self, part: Part, data: bytes) -> Part:
        def moved(position: int) -> None:
            self._moving[part.number] = (part.end - part.start) * position // part.size

        self._etags[part.number] = self._place.put_part(self._journal.upload_id, part.number, _Body(data, moved), part.md5)
        return part

    def _landed(self, flying: set[Future[Part]]) -> set[Future[Part]]:
        done, still = wait(flying, _INTERVAL, FIRST_COMPLETED)
        for future in done:
            part = future.result()
            self.sent += part.size
            self._covered += part.end - part.start
            del self._moving[part.number]
        self._tell()
        return still

    def _tell(self) -> None:
        self._progress("uploading", self._covered + sum(self._moving.values()), self._artefact.size)

    def _missing(self, compressors: Workers) -> Iterator[tuple[Part, bytes]]:
        """Parts to send: those that were noted and did not arrive, then those that were never made."""
        position = crc = 0
        for part in list(self._journal.parts):
            if part.number not in self._etags:
                ((again, data),) = islice(self._pack(compressors, part.number, part.start, crc, part.end), 1)
                if again != part:
                    raise OcneError(
                        f"Part {part.number} of {self._place} is no longer what it was before the interruption.",
                        "The upload was given up: run again to begin it afresh.",
                    )
                yield part, data
            position, crc = part.end, part.crc
        if position < self._artefact.size:
            for part, data in self._pack(compressors, len(self._journal.parts) + 1, position, crc, None):
                self._journal.add_part(part)
                yield part, data
                del data

    def _pack(self, compressors: Workers, number: int, start: int, crc: int, end: int | None) -> Iterator[tuple[Part, bytes]]:
        """Parts from start on: one that ends at end, or, for None, as many as there are, of at least the part size."""
        pieces = [GZIP_HEADER] if start == 0 else []
        position, size = start, 0
        stop = end or self._artefact.size
        for raw, deflated in self._deflated(compressors, start, stop):
            crc = zlib.crc32(raw, crc)
            position += len(raw)
            pieces.append(deflated)
            size += len(deflated)
            if position < stop and (end is not None or size < self._part_size):
                continue
            if position == self._artefact.size:
                pieces.append(gzip_trailer(crc, position))
            data = b"".join(pieces)
            pieces, size = [], 0
            yield Part(number, start, position, len(data), md5_base64(data), crc), data
            del data
            number, start = number + 1, position

    def _deflated(self, compressors: Workers, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
        """Chunks and their compressed form, in order; a few are made ahead."""
        ahead: deque[Future[tuple[bytes, bytes]]] = deque()
        position = start
        while position < end or ahead:
            while position < end and len(ahead) < _MOST_COMPRESSORS + 2:
                length = min(_CHUNK, end - position)
                ahead.append(compressors.submit(self._deflate, position, length))
                position += length
            yield ahead.popleft().result()

    def _deflate(self, offset: int, length: int) -> tuple[bytes, bytes]:
        raw = self._artefact.read(offset, length)
        return raw, self._codec.deflate(raw)

    def _give_up(self, error: BaseException) -> None:
        """Keep the upload where another try can go on with it, else remove it."""
        if isinstance(error, OciError) and error.passes:
            error.hint = f"{error.hint} What was uploaded is kept: the next run goes on from there.".lstrip()
            return
        if self._journal.upload_id:
            self._place.abort_upload(self._journal.upload_id)
            self._journal.end_upload()
