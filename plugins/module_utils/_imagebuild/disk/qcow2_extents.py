# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a qcow2 image's tables refer to, judged before anybody follows them: all of it is in the file, and nothing is there twice.

Source: QEMU, docs/interop/qcow2.txt. Time and memory are bounded by the size of the file, whatever the tables say.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from ..errors import BuildError
from .device import Device, HostFile
from .qcow2_header import COMPRESSED, OFFSET, VIRTUAL_SIZE_LIMIT, Qcow2Header, read_header, read_words

#: Host clusters that a file may have, and entries of all its L2 tables: a disk of 4 TiB with clusters of 64 KiB.
_MOST_CLUSTERS, _MOST_ENTRIES = 1 << 26, 1 << 25
#: Kinds of host clusters.
_METADATA, _DATA, _PACKED = 1, 2, 3
_REPAIR = "Fetch it again, or write it anew: qemu-img convert -O qcow2."


def inspect_header(path: Path, virtual_size_limit: int = VIRTUAL_SIZE_LIMIT) -> Qcow2Header:
    """The header of a self-contained, whole qcow2 file, as read_header() and check_extents() judge it.

    :raises BuildError: it is any other file.
    """
    with closing(HostFile(path, writable=False)) as file:
        header = read_header(file, virtual_size_limit)
        check_extents(file, header)
        return header


def check_extents(file: Device, header: Qcow2Header) -> None:
    """:raises BuildError: a table or cluster is beyond the file's end, as after a download cut short, or used for two things."""
    _Extents(file, header).check()


class _Extents:
    def __init__(self, file: Device, header: Qcow2Header) -> None:
        self._file, self._header, self._size = file, header, header.cluster_size
        count = -(-file.size // self._size)
        if count > _MOST_CLUSTERS:
            raise self._wrong(f"it has {count} clusters of {self._size} bytes, more than {_MOST_CLUSTERS}")
        self._kinds = bytearray(count)

    def check(self) -> None:
        header = self._header
        self._claim(0, self._size, "header")
        self._claim(header.l1_offset, header.l1_entries * 8, "L1 table")
        self._claim(header.refcount_table_offset, header.refcount_table_clusters * self._size, "refcount table")
        refcounts = read_words(self._file, header.refcount_table_offset, header.refcount_table_clusters * self._size // 8)
        for number, word in enumerate(refcounts):
            if word & ~511:
                self._claim(word & ~511, self._size, f"refcount block {number}")
        l1 = read_words(self._file, header.l1_offset, header.l1_entries)
        tables = sum(1 for entry in l1 if entry & OFFSET)
        if tables * (self._size // 8) > _MOST_ENTRIES:
            raise self._wrong(f"it has {tables} L2 tables of {self._size} bytes, more than any disk needs")
        for index, entry in enumerate(l1):
            if entry & OFFSET:
                self._claim(entry & OFFSET, self._size, f"L2 table {index}")
        for index, entry in enumerate(l1):
            if entry & OFFSET:
                self._check_table(index, entry & OFFSET)

    def _claim(self, start: int, length: int, what: str) -> None:
        """Take whole clusters for a table."""
        if start % self._size:
            raise self._wrong(f"the {what} is not aligned to a cluster (at {start})")
        # The last cluster of a file can be a short one.
        if start + min(length, self._size) > self._file.size and length:
            raise self._cut(f"the {what} is at {start}")
        for cluster in range(start // self._size, -(-(start + length) // self._size)):
            if self._kinds[cluster]:
                raise self._wrong(f"the {what} lies over another table (at {cluster * self._size})")
            self._kinds[cluster] = _METADATA

    def _check_table(self, index: int, table: int) -> None:
        header, size, kinds, file_size = self._header, self._size, self._kinds, self._file.size
        step = 2 if header.extended_l2 else 1
        guest = index * (size // (8 * step)) * size
        packed_limit = -(-file_size // 512) * 512
        for number, word in enumerate(read_words(self._file, table, size // 8)[::step]):
            if not word:
                continue
            if word & COMPRESSED:
                start, length = header.compressed_extent(word)
                if start + length > packed_limit:
                    raise self._cut(f"a cluster ends at {start + length}")
                for cluster in range(start // size, -(-min(start + length, file_size) // size)):
                    if kinds[cluster] not in (0, _PACKED):
                        raise self._twice(cluster)
                    kinds[cluster] = _PACKED
                continue
            start = word & OFFSET
            if not start:
                continue
            if start % size:
                raise self._wrong(f"the cluster at {start} is not aligned")
            # The last guest cluster may be a short one.
            end = start + min(size, max(header.virtual_size - guest - number * size, 1))
            if end > file_size:
                raise self._cut(f"a cluster ends at {end}")
            if kinds[start // size]:
                raise self._twice(start // size)
            kinds[start // size] = _DATA

    def _twice(self, cluster: int) -> BuildError:
        other = {_METADATA: "a table", _DATA: "another part of the disk", _PACKED: "compressed clusters"}[self._kinds[cluster]]
        return self._wrong(f"the cluster at {cluster * self._size} is a part of the disk and of {other}")

    def _wrong(self, what: str) -> BuildError:
        return BuildError(f"{self._file.name}: {what}.", _REPAIR)

    def _cut(self, what: str) -> BuildError:
        return BuildError(f"{self._file.name}: it is truncated: {what}, the file ends at {self._file.size}.", "Fetch the image again.")
