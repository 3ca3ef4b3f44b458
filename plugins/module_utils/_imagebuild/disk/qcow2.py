# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""qcow2: random-access reading, and writes planned as writes to the host file.

Source: QEMU, docs/interop/qcow2.txt. Version 2 and 3; plain, zero and compressed clusters (zlib; zstd from Python 3.14 on).
"""

from __future__ import annotations

import importlib
import struct
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable

from ..errors import BuildError, Unsupported
from .device import Device
from .qcow2_extents import check_extents
from .qcow2_header import COMPRESSED, OFFSET, Qcow2Header, pack_words, read_header, read_words

_COPIED = 1 << 63
_ZERO = 1


#: Bytes of decompressed clusters, and of L2 tables, that are kept.
_CLUSTER_CACHE = 8 << 20
_L2_CACHE = 4 << 20
#: Clusters beyond the file's end that may be counted as used, though nothing was ever written there.
_MOST_COUNTED = 1 << 16


def inflate(data: bytes, size: int) -> bytes:
    """At most `size` bytes of a raw deflate stream; zlib.error where it is damaged."""
    return zlib.decompressobj(-15).decompress(data, size)


def zstd_decompressor(name: str) -> Callable[[bytes, int], bytes]:
    """What inflate() is for zstd, where this Python has it."""
    try:
        zstd: Any = importlib.import_module("compression.zstd")
    except ImportError:
        raise Unsupported(f"{name}: the qcow2 image is compressed by zstd, which needs Python 3.14 or newer.") from None

    def decompress(data: bytes, size: int) -> bytes:
        try:
            return bytes(zstd.ZstdDecompressor().decompress(data, size))
        except zstd.ZstdError as error:
            raise ValueError(str(error)) from error

    return decompress


class Qcow2Image:
    """A qcow2 image as a Device of its virtual size. Raises BuildError for a damaged, Unsupported for an unusual image.

    :param whole: it is known that no table or cluster lies beyond the end of the file.
    """

    def __init__(self, file: Device, whole: bool = False) -> None:
        self.name = file.name
        self.header = read_header(file)
        if self.header.extended_l2:
            raise Unsupported(f"{file.name}: the qcow2 image has extended L2 entries.")
        if not whole:
            check_extents(file, self.header)
        self.size = self.header.virtual_size
        self._file = file
        self._l1 = read_words(file, self.header.l1_offset, self.header.l1_entries)
        self._l2: OrderedDict[int, array[int]] = OrderedDict()
        self._inflated: OrderedDict[int, bytes] = OrderedDict()
        self._decompress = zstd_decompressor(file.name) if self.header.compression == "zstd" else inflate

    def _l2_table(self, index: int) -> array[int] | None:
        table = self._l2.get(index)
        if table is None:
            offset = self._l1[index] & OFFSET
            if not offset:
                return None
            table = self._l2[index] = read_words(self._file, offset, self.header.cluster_size // 8)
            while len(self._l2) * self.header.cluster_size > _L2_CACHE and len(self._l2) > 1:
                self._l2.popitem(last=False)
        return table

    def entry(self, cluster: int) -> int:
        """The L2 entry of a guest cluster; 0 where there is none."""
        index, slot = divmod(cluster, self.header.cluster_size // 8)
        table = self._l2_table(index)
        return table[slot] if table else 0

    def read(self, offset: int, length: int) -> bytes:
        if offset < 0 or offset + length > self.size:
            raise BuildError(f"{self.name}: {length} bytes at {offset} are beyond the virtual disk's {self.size} bytes.")
        parts = []
        while length:
            cluster, within = divmod(offset, self.header.cluster_size)
            count = min(length, self.header.cluster_size - within)
            parts.append(self._read_cluster(cluster, within, count))
            offset, length = offset + count, length - count
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read_cluster(self, cluster: int, within: int, count: int) -> bytes:
        entry = self.entry(cluster)
        if entry & COMPRESSED:
            return self._inflate(cluster, entry)[within : within + count]
        start = entry & OFFSET
        if not start or self._is_zero(entry):
            return bytes(count)
        return self._file.read(start + within, count)

    def _is_zero(self, entry: int) -> bool:
        return self.header.version >= 3 and bool(entry & _ZERO)

    def _inflate(self, cluster: int, entry: int) -> bytes:
        data = self._inflated.get(cluster)
        if data is None:
            start, length = self.header.compressed_extent(entry)
            compressed = self._file.read(start, min(length, self._file.size - start))
            try:
                data = self._decompress(compressed, self.header.cluster_size)
            except (zlib.error, ValueError) as error:
                raise BuildError(f"{self.name}: the compressed cluster at {start} is damaged: {error}.") from error
            if len(data) != self.header.cluster_size:
                raise BuildError(f"{self.name}: the compressed cluster at {start} is cut short.")
            self._inflated[cluster] = data
            while len(self._inflated) * self.header.cluster_size > _CLUSTER_CACHE and len(self._inflated) > 1:
                self._inflated.popitem(last=False)
        return data

    def plan(self, writes: Mapping[int, bytes]) -> dict[int, bytes]:
        """The writes to the host file; clusters that have no place of their own get one at the file's end."""
        return _Planner(self, self._file, self._l1).plan(writes)


class _Planner:
    """One set of writes, turned into clusters, L2 entries and reference counts. All in memory."""

    def __init__(self, image: Qcow2Image, file: Device, l1: array[int]) -> None:
        header = image.header
        if header.refcount_bits != 16:
            raise Unsupported(f"{file.name}: the qcow2 image has reference counts of {header.refcount_bits} bits.")
        if header.autoclear:
            raise Unsupported(f"{file.name}: the qcow2 image uses autoclear features {header.autoclear:#x} (such as bitmaps).")
        self._image, self._file, self._header = image, file, header
        self._l1, self._l1_changed = array("Q", l1), False
        self._tables: dict[int, array[int]] = {}
        self._refcounts = _Refcounts(file, header)

    def plan(self, writes: Mapping[int, bytes]) -> dict[int, bytes]:
        host: dict[int, bytes] = {}
        for cluster, pieces in sorted(self._pieces(writes).items()):
            entry = self._image.entry(cluster)
            if entry & OFFSET and not entry & (COMPRESSED | _ZERO):
                self._own(entry, "cluster")
                host.update({(entry & OFFSET) + within: data for within, data in pieces})
            else:
                host[self._place(cluster, entry)] = self._whole(cluster, pieces)
        for index, table in self._tables.items():
            host[self._l1[index] & OFFSET] = pack_words(table)
        if self._l1_changed:
            host[self._header.l1_offset] = pack_words(self._l1)
        host.update(self._refcounts.writes())
        return host

    def _pieces(self, writes: Mapping[int, bytes]) -> dict[int, list[tuple[int, bytes]]]:
        """The writes by guest cluster, as (offset in the cluster, bytes)."""
        pieces: dict[int, list[tuple[int, bytes]]] = {}
        for offset, data in writes.items():
            if offset < 0 or offset + len(data) > self._image.size:
                raise BuildError(f"{self._file.name}: a write at {offset} would be beyond the virtual disk.")
            done = 0
            while done < len(data):
                cluster, within = divmod(offset + done, self._header.cluster_size)
                count = min(len(data) - done, self._header.cluster_size - within)
                pieces.setdefault(cluster, []).append((within, data[done : done + count]))
                done += count
        return pieces

    def _whole(self, cluster: int, pieces: list[tuple[int, bytes]]) -> bytes:
        size = self._header.cluster_size
        start = cluster * size
        data = bytearray(self._image.read(start, min(size, self._image.size - start)).ljust(size, b"\0"))
        for within, piece in pieces:
            data[within : within + len(piece)] = piece
        return bytes(data)

    def _place(self, cluster: int, entry: int) -> int:
        """A place in the host file for a cluster that has been compressed, zero, or absent."""
        index, slot = divmod(cluster, self._entries)
        if entry & COMPRESSED:
            start, length = self._header.compressed_extent(entry)
            self._refcounts.release(start, length)
        elif entry & OFFSET:  # a zero cluster that keeps a place
            self._own(entry, "cluster")
            self._table(index)[slot] = entry & ~_ZERO
            return entry & OFFSET
        place = self._refcounts.allocate()
        self._table(index)[slot] = place | _COPIED
        return place

    def _table(self, index: int) -> array[int]:
        """The L2 table, to be changed."""
        if index not in self._tables:
            entry = self._l1[index]
            if entry & OFFSET:
                self._own(entry, "L2 table")
                self._tables[index] = read_words(self._file, entry & OFFSET, self._entries)
            else:
                self._l1[index] = self._refcounts.allocate() | _COPIED
                self._l1_changed = True
                self._tables[index] = array("Q", bytes(8 * self._entries))
        return self._tables[index]

    @property
    def _entries(self) -> int:
        return self._header.cluster_size // 8

    def _own(self, entry: int, what: str) -> None:
        if not entry & _COPIED or self._refcounts.get(entry & OFFSET) != 1:
            raise Unsupported(f"{self._file.name}: the qcow2 image shares the {what} at {entry & OFFSET}.")


class _Refcounts:
    """The reference counts of host clusters, 16 bits each, with the changes that are planned."""

    def __init__(self, file: Device, header: Qcow2Header) -> None:
        self._file, self._bits, self._size = file, header.cluster_bits, header.cluster_size
        self._offset = header.refcount_table_offset
        length = header.refcount_table_clusters * self._size
        self._table = read_words(file, self._offset, length // 8)
        self._blocks: dict[int, bytearray] = {}
        self._changed: set[int] = set()
        self._table_changed = False
        self._end = -(-file.size // self._size)

    def get(self, offset: int) -> int:
        index, slot = divmod(offset >> self._bits, self._size // 2)
        block = self._block(index)
        return int.from_bytes(block[2 * slot : 2 * slot + 2], "big") if block else 0

    def allocate(self) -> int:
        """A new cluster at the end of the file, counted once."""
        offset = self._new_cluster()
        self._set(offset, 1)
        return offset

    def release(self, start: int, length: int) -> None:
        """One reference less to each cluster that these bytes touch."""
        for cluster in range(start >> self._bits, ((start + length - 1) >> self._bits) + 1):
            count = self.get(cluster << self._bits)
            if count < 1:
                raise BuildError(f"{self._file.name}: the compressed cluster at {start} is not counted as used.", "Run qemu-img check.")
            self._set(cluster << self._bits, count - 1)

    def writes(self) -> dict[int, bytes]:
        host = {self._table[index] & ~511: bytes(self._blocks[index]) for index in self._changed}
        if self._table_changed:
            host[self._offset] = pack_words(self._table)
        return host

    def _new_cluster(self) -> int:
        for _turn in range(_MOST_COUNTED):
            offset = self._end << self._bits
            self._end += 1
            if not self.get(offset):
                return offset
        raise Unsupported(f"{self._file.name}: the qcow2 image counts more than {_MOST_COUNTED} clusters beyond its file's end as used.")

    def _block(self, index: int) -> bytearray | None:
        if index not in self._blocks:
            if index >= len(self._table) or not self._table[index] & ~511:
                return None
            self._blocks[index] = bytearray(self._file.read(self._table[index] & ~511, self._size))
        return self._blocks[index]

    def _set(self, offset: int, count: int) -> None:
        index, slot = divmod(offset >> self._bits, self._size // 2)
        if index >= len(self._table):
            raise Unsupported(f"{self._file.name}: the refcount table of the qcow2 image is full.")
        if self._block(index) is None:
            place = self._new_cluster()
            self._table[index], self._blocks[index] = place, bytearray(self._size)
            self._table_changed = True
            self._set(place, 1)
        struct.pack_into(">H", self._blocks[index], 2 * slot, count)
        self._changed.add(index)
