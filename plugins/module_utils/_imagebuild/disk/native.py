# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine that edits a disk image in user space: no mount, no virtual machine, no privilege."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..errors import BuildError, Unsupported
from .device import HostFile, Overlay, Window
from .fat import FatFilesystem, FatVolume, volume_id
from .gpt import GptEntry, read_gpt
from .image import Image, open_image
from .interface import Edit, Entry, FileStat, Filesystem, Partition, RemoveFile, SetUuid, Table, WriteFile
from .outcome import verify_outcome
from .xfs.check import check_plan
from .xfs.editor import Editor
from .xfs.geometry import BLOCK_SIZE, is_xfs, read_geometry
from .xfs.inode import FILE_TYPES
from .xfs.log import read_clean_log
from .xfs.symlink import read_symlink
from .xfs.tree import Tree
from .xfs.volume import Volume
from .xfs.xattr import read_label

_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}
_ENTRY_TYPES = {number: _TYPES.get(kind, "other") for kind, number in FILE_TYPES.items()}
_ENCODING = "utf-8"


def _encode(path: str) -> bytes:
    return path.encode(_ENCODING, "surrogateescape")


def _decode(path: bytes) -> str:
    return path.decode(_ENCODING, "surrogateescape")


class NativeFilesystem:
    """Read access to an XFS partition; see interface.Filesystem."""

    def __init__(self, partition: Partition, volume: Volume) -> None:
        self.partition = partition
        self._tree = Tree(volume)

    def stat(self, path: str) -> FileStat:
        inode = self._tree.lookup(_encode(path), follow=False).inode
        disk = inode.disk
        return FileStat(
            type=_TYPES.get(inode.type, "other"),
            mode=stat.S_IMODE(disk.mode),
            uid=disk.uid,
            gid=disk.gid,
            size=disk.size,
            links=disk.nlink,
            target=_decode(read_symlink(inode)) if inode.type == stat.S_IFLNK else "",
            selinux=_decode(read_label(inode).rstrip(b"\0")),
        )

    def list(self, path: str) -> Sequence[Entry]:
        location = self._tree.lookup_directory(_encode(path))
        names = self._tree.directory(location.inode).names.values()
        return sorted((Entry(_decode(name), _ENTRY_TYPES.get(kind, "other")) for name, _inode, kind in names), key=lambda entry: entry.name)

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        inode = self._tree.lookup(_encode(path)).inode
        if inode.type == stat.S_IFDIR:
            raise IsADirectoryError(path)
        if inode.type != stat.S_IFREG:
            raise BuildError(f"{self._tree.volume.geometry.name}: {path} is no regular file.")
        if inode.disk.size > limit:
            raise BuildError(f"{path} on partition {self.partition.label} has {inode.disk.size} bytes, more than the limit of {limit}.")
        return inode.read(limit)

    def resolve(self, path: str) -> str:
        return _decode(self._tree.lookup(_encode(path)).path)

    def find(self, path: str, name: str) -> Sequence[str]:
        return [_decode(found) for found in self._tree.find(_encode(path), _encode(name))]


class NativeDisk:
    """See interface.Disk. Takes the file over, and closes it."""

    engine = "native"

    def __init__(self, file: HostFile) -> None:
        self._file = file
        try:
            self._open()
        except BaseException:
            self._file.close()
            raise

    def _open(self, whole: bool = False) -> None:
        self._image = open_image(self._file, whole)
        gpt = read_gpt(self._image)
        self.table = Table(gpt.uuid, gpt.sector_size, self._image.size)
        self.partitions: Sequence[Partition] = [_recognise(self._image, entry) for entry in gpt.entries]
        self._filesystems: dict[int, Filesystem] = {}

    def filesystem(self, label: str) -> Filesystem:
        return self.open(self._xfs_partition(label))

    def open(self, partition: Partition) -> Filesystem:
        if partition.number not in self._filesystems:
            self._filesystems[partition.number] = self._read(partition)
        return self._filesystems[partition.number]

    def _read(self, partition: Partition) -> Filesystem:
        window = _window(self._image, partition)
        if partition.filesystem == "xfs":
            volume = Volume(window)
            read_clean_log(volume)  # while a log waits to be replayed, what the blocks say is not how things are
            return NativeFilesystem(partition, volume)
        if partition.filesystem == "vfat":
            return FatFilesystem(partition, FatVolume(window))
        raise Unsupported(f"{window.name}: it holds no filesystem that is known here, only XFS and FAT are.")

    def apply(self, edits: Sequence[Edit], timestamp: int) -> None:
        self._file.commit(self._plan(edits, timestamp))
        self._open(whole=True)

    def check(self, edits: Sequence[Edit], timestamp: int) -> None:
        self._plan(edits, timestamp)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> NativeDisk:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _xfs_partition(self, label: str) -> Partition:
        named = [partition for partition in self.partitions if partition.label == label]
        if len(named) != 1:
            labels = ", ".join(repr(partition.label) for partition in self.partitions)
            raise BuildError(f"{self._file.name}: {len(named)} partitions are labelled {label!r} (there are: {labels}).")
        if named[0].filesystem != "xfs":
            found = named[0].filesystem or "no known filesystem"
            raise BuildError(f"{self._file.name}: partition {label!r} holds {found} instead of XFS.")
        return named[0]

    def _plan(self, edits: Sequence[Edit], timestamp: int) -> dict[int, bytes]:
        """The writes to the host file, checked by fresh readers that go through them."""
        planned: dict[str, dict[int, bytes]] = {}
        for label in dict.fromkeys(edit.partition for edit in edits):
            planned[label] = self.plan_partition(label, [edit for edit in edits if edit.partition == label], timestamp)
        writes = {self._xfs_partition(label).start + offset: data for label, changes in planned.items() for offset, data in changes.items()}
        host = self._image.plan(writes)
        future = open_image(Overlay(self._file, host), whole=True)
        for label, changes in planned.items():
            self._check(label, future, changes, [edit for edit in edits if edit.partition == label])
        return host

    def _check(self, label: str, future: Image, changes: dict[int, bytes], edits: Sequence[Edit]) -> None:
        """The check of one partition: first of its structure, then of what the edits have come to."""
        partition = self._xfs_partition(label)
        before, after = (Volume(_window(image, partition)) for image in (self._image, future))
        changed = [before.geometry.from_linear(offset // BLOCK_SIZE) for offset in changes]
        tree = Tree(after)
        check_plan(before, after, changed, {name for edit in edits for name in _names(tree, edit)})
        changed_partition = replace(partition, uuid=str(after.geometry.uuid))
        verify_outcome(NativeFilesystem(partition, before), NativeFilesystem(changed_partition, after), edits)

    def plan_partition(self, label: str, edits: Sequence[Edit], timestamp: int) -> dict[int, bytes]:
        """The writes (offset in the partition: bytes) that carry out these edits of one partition."""
        editor = Editor(Volume(_window(self._image, self._xfs_partition(label))), timestamp)
        for edit in edits:
            if isinstance(edit, WriteFile):
                editor.write_file(_encode(edit.path), edit.content, edit.mode)
            elif isinstance(edit, RemoveFile):
                editor.remove_file(_encode(edit.path))
            else:
                editor.set_uuid(_parse_uuid(edit.uuid))
        return editor.finish()


def _parse_uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise BuildError(f"{text!r} is no UUID for a filesystem.") from None


def _names(tree: Tree, edit: Edit) -> set[bytes]:
    """Every name that the edit may make, remove, or lead to another inode."""
    if isinstance(edit, SetUuid):
        return set()
    asked = _encode(edit.path).split(b"/")
    location = tree.walk(_encode(edit.path), follow=isinstance(edit, WriteFile))
    return {*asked, *location.parts, *location.missing}


def _window(image: Image, partition: Partition) -> Window:
    return Window(image, partition.start, partition.size, f"{image.name}, partition {partition.label!r}")


def _recognise(image: Image, entry: GptEntry) -> Partition:
    window = Window(image, entry.start, entry.size, f"{image.name}, partition {entry.name!r}")
    filesystem = identity = label = ""
    if is_xfs(window):
        filesystem = "xfs"
        with suppress(Unsupported):
            geometry = read_geometry(window)
            identity, label = str(geometry.uuid), geometry.label
    else:
        serial = volume_id(window)
        if serial is not None:
            filesystem, identity = "vfat", serial
            with suppress(BuildError):
                label = FatVolume(window).label
    return Partition(entry.number, entry.name, entry.start, entry.size, filesystem, identity, label, entry.type, entry.uuid)


def open_native(path: Path, writable: bool) -> NativeDisk:
    """Open a raw or qcow2 disk image with a GUID partition table."""
    return NativeDisk(HostFile(path, writable))
