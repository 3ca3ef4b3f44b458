# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FAT12, FAT16 and FAT32 with long names, as EFI system partitions have it: recognised, and read.

Source: Microsoft, FAT: General Overview of On-Disk Format, version 1.03. What it has no word for (owners, modes, the
letters' case in short names) is told as Linux' vfat tells it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..errors import BuildError
from .device import Device
from .interface import Entry, FileStat, Partition

#: (offset of the extended boot signature, of the volume id, of the type string, the type string's start)
_LAYOUTS = ((38, 39, 54, b"FAT1"), (66, 67, 82, b"FAT32"))
_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_READ_ONLY, _VOLUME, _DIRECTORY, _LONG_NAME = 0x01, 0x08, 0x10, 0x0F
_LOWER_NAME, _LOWER_SUFFIX = 0x08, 0x10
_LAST_PART = 0x40
_MOST_PARTS = 20
#: Entries of a directory, as the format has it.
_MOST_ENTRIES = 1 << 16
_MOST_DIRECTORIES = 200_000
_CHUNK = 4096
_CACHED_CHUNKS = 256


class _Node(NamedTuple):
    """A file or directory. cluster: its first one; 0: none, or the root directory outside of the clusters."""

    name: str
    attributes: int
    cluster: int
    size: int

    @property
    def is_directory(self) -> bool:
        return bool(self.attributes & _DIRECTORY)


def volume_id(device: Device) -> str | None:
    """The volume id as blkid prints it ('ABCD-1234'); None where this is no FAT filesystem."""
    if device.size < 512:
        return None
    sector = device.read(0, 512)
    if sector[510:] != b"\x55\xaa":
        return None
    for signature, serial, kind, name in _LAYOUTS:
        if sector[signature] == 0x29 and sector[kind : kind + len(name)] == name:
            number = int.from_bytes(sector[serial : serial + 4], "little")
            return f"{number >> 16:04X}-{number & 0xFFFF:04X}"
    return None


class FatVolume:
    """The clusters of a filesystem, and the directories in them.

    :raises BuildError: its geometry does not make sense.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        sector = device.read(0, 512)
        size, per_cluster, reserved, tables, self._root_entries = struct.unpack_from("<HBHBH", sector, 11)
        total = struct.unpack_from("<H", sector, 19)[0] or struct.unpack_from("<I", sector, 32)[0]
        table_sectors = struct.unpack_from("<H", sector, 22)[0]
        self._width, root_cluster = 0, 0
        if not table_sectors:
            self._width = 32
            table_sectors = struct.unpack_from("<I", sector, 36)[0]
            root_cluster = struct.unpack_from("<I", sector, 44)[0]
        if size not in (512, 1024, 2048, 4096) or per_cluster not in (1, 2, 4, 8, 16, 32, 64, 128) or not reserved or not tables:
            raise self.damage("its geometry makes no sense")
        self._root_start = (reserved + tables * table_sectors) * size
        self._data = self._root_start + -(-self._root_entries * 32 // size) * size
        self.cluster_size = size * per_cluster
        self._clusters = (total * size - self._data) // self.cluster_size
        self._width = self._width or (12 if self._clusters < 4085 else 16)
        self._clusters = min(self._clusters, table_sectors * size * 8 // self._width - 2)
        self._table = reserved * size
        if self._clusters < 1 or total * size > device.size:
            raise self.damage("its geometry makes no sense")
        self.root = _Node("", _DIRECTORY, root_cluster, 0)
        self._read_chunk = lru_cache(_CACHED_CHUNKS)(self._chunk)

    @property
    def label(self) -> str:
        """The volume's label; '' where it has none."""
        for node in self._nodes(self.root):
            if node.attributes & _VOLUME:
                return node.name
        return ""

    def directory(self, node: _Node) -> Iterator[_Node]:
        """What the directory holds, without '.' and '..'."""
        return (each for each in self._nodes(node) if not each.attributes & _VOLUME and each.name not in (".", ".."))

    def content(self, node: _Node) -> bytes:
        """All of a file."""
        whole = b"".join(self._cluster(number) for number in self._chain(node.cluster, -(-node.size // self.cluster_size)))
        if len(whole) < node.size:
            raise self.damage(f"{node.name} ends after {len(whole)} of {node.size} bytes")
        return whole[: node.size]

    def damage(self, what: str) -> BuildError:
        return BuildError(f"{self._device.name}: the FAT filesystem is damaged: {what}.", "Fetch the image again.")

    def _nodes(self, directory: _Node) -> Iterator[_Node]:
        """Entries as they are kept, with the volume's label."""
        parts: list[bytes] = []
        for raw in self._entries(directory):
            fields = _ENTRY.unpack(raw)
            name, attributes, case, high, low, size = fields[0], fields[1], fields[2], fields[7], fields[10], fields[11]
            if attributes & 0x3F == _LONG_NAME:
                parts = [raw] if raw[0] & _LAST_PART else [*parts[-_MOST_PARTS:], raw]
                continue
            long_name = _long_name(parts, name)
            parts = []
            shown = long_name or (_text(name).rstrip() if attributes & _VOLUME else _short_name(name, case))
            if not shown or "/" in shown or "\0" in shown:
                raise self.damage(f"a directory has the name {shown!r}")
            # Only the root is outside of the clusters; '..' in its children says 0.
            yield _Node(shown, attributes, (high << 16 if self._width == 32 else 0) | low, size)

    def _entries(self, directory: _Node) -> Iterator[bytes]:
        for number, block in enumerate(self._blocks(directory)):
            for at in range(0, len(block), 32):
                if block[at] == 0:
                    return
                if number * len(block) + at >= 32 * _MOST_ENTRIES:
                    raise self.damage("a directory has more entries than any can have")
                if block[at] != 0xE5:
                    yield block[at : at + 32]

    def _blocks(self, directory: _Node) -> Iterator[bytes]:
        if directory.cluster:
            most = -(-32 * _MOST_ENTRIES // self.cluster_size) + 1
            yield from (self._cluster(number) for number in self._chain(directory.cluster, most))
        elif directory is self.root:
            yield self._device.read(self._root_start, 32 * self._root_entries)
        else:
            raise self.damage("a directory has no content")

    def _chain(self, first: int, most: int) -> Iterator[int]:
        """Numbers of a file's clusters, not more than that many."""
        number = first
        end = {12: 0xFF8, 16: 0xFFF8, 32: 0xFFFFFF8}[self._width]
        for _turn in range(most):
            if number >= end or (number == 0 and first == 0):
                return
            if not 2 <= number < self._clusters + 2:
                raise self.damage(f"the cluster {number} is outside of it")
            yield number
            number = self._next(number)

    def _next(self, number: int) -> int:
        if self._width == 12:
            at = number * 3 // 2
            pair = int.from_bytes(self._table_bytes(at, 2), "little")
            return pair >> 4 if number & 1 else pair & 0xFFF
        width = self._width // 8
        entry = int.from_bytes(self._table_bytes(number * width, width), "little")
        return entry & 0xFFFFFFF  # of FAT32's 32 bits, four are reserved

    def _table_bytes(self, at: int, length: int) -> bytes:
        first, within = divmod(at, _CHUNK)
        data = self._read_chunk(first)[within : within + length]
        return data if len(data) == length else data + self._read_chunk(first + 1)[: length - len(data)]

    def _chunk(self, number: int) -> bytes:
        start = self._table + number * _CHUNK
        return self._device.read(start, min(_CHUNK, self._device.size - start))

    def _cluster(self, number: int) -> bytes:
        return self._device.read(self._data + (number - 2) * self.cluster_size, self.cluster_size)


class FatFilesystem:
    """Read access to a FAT partition; see interface.Filesystem. The case of letters in paths does not matter."""

    def __init__(self, partition: Partition, volume: FatVolume) -> None:
        self.partition = partition
        self._volume = volume

    def stat(self, path: str) -> FileStat:
        node = self._find(path)[1]
        mode = 0o555 if node.attributes & _READ_ONLY and not node.is_directory else 0o755
        return FileStat(_type(node), mode, 0, 0, 0 if node.is_directory else node.size, 1, "", "")

    def list(self, path: str) -> Sequence[Entry]:
        node = self._find(path)[1]
        if not node.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return sorted((Entry(each.name, _type(each)) for each in self._volume.directory(node)), key=lambda entry: entry.name)

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        node = self._find(path)[1]
        if node.is_directory:
            raise IsADirectoryError(path)
        if node.size > limit:
            raise BuildError(f"{path} on partition {self.partition.label} has {node.size} bytes, more than the limit of {limit}.")
        return self._volume.content(node)

    def resolve(self, path: str) -> str:
        return self._find(path)[0]

    def find(self, path: str, name: str) -> Sequence[str]:
        top, node = self._find(path)
        if not node.is_directory:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        found: list[str] = []
        waiting = [(top, node)]
        seen = {node.cluster}
        while waiting:
            above, directory = waiting.pop()
            for each in self._volume.directory(directory):
                if each.is_directory:
                    if each.cluster in seen or len(seen) > _MOST_DIRECTORIES:
                        raise self._volume.damage(f"the directory {each.name} is in it twice")
                    seen.add(each.cluster)
                    waiting.append((posixpath.join(above, each.name), each))
                elif each.name.upper() == name.upper():
                    found.append(posixpath.join(above, each.name))
        return sorted(found)

    def _find(self, path: str) -> tuple[str, _Node]:
        """The path as the filesystem spells it, and what is there."""
        above: list[_Node] = []
        node = self._volume.root
        for part in (part for part in path.split("/") if part not in ("", ".")):
            if not node.is_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            if part == "..":
                node = above.pop() if above else node
                continue
            found = next((each for each in self._volume.directory(node) if each.name.upper() == part.upper()), None)
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            above.append(node)
            node = found
        return "/" + "/".join(each.name for each in [*above, node] if each.name), node


def _type(node: _Node) -> str:
    return "directory" if node.is_directory else "file"


def _long_name(parts: Sequence[bytes], short: bytes) -> str:
    """The name that long-name entries hold; '' where they belong to another entry, or are not whole."""
    checksum = 0
    for byte in short:
        checksum = ((checksum & 1) << 7) + (checksum >> 1) + byte & 0xFF
    numbers = [part[0] & ~_LAST_PART for part in parts]
    if not parts or numbers != list(range(len(parts), 0, -1)) or any(part[13] != checksum for part in parts):
        return ""
    name = b"".join(part[1:11] + part[14:26] + part[28:32] for part in reversed(parts))
    return name.decode("utf-16-le", "replace").partition("\0")[0]


def _short_name(raw: bytes, case: int) -> str:
    name, suffix = _text(b"\xe5" + raw[1:8] if raw[0] == 0x05 else raw[:8]).rstrip(), _text(raw[8:]).rstrip()
    name = name.lower() if case & _LOWER_NAME else name
    suffix = suffix.lower() if case & _LOWER_SUFFIX else suffix
    return f"{name}.{suffix}" if suffix else name


def _text(raw: bytes) -> str:
    return raw.decode("cp437")
