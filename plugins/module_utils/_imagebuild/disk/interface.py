# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an engine offers: read a disk image by partition and path, and change it by one planned set of edits.

An engine opens a disk image, tells its partitions, reads files, and applies a sequence of edits at once. Paths are
absolute inside the partition's filesystem ('/loader/entries/ock.conf'); symlinks on the way are followed inside
that filesystem, the last component is followed by read() and list() and not by stat().
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Union


@dataclass(frozen=True)
class Partition:
    """A GPT partition and the filesystem in it.

    :param number: 1-based index in the partition table.
    :param label: GPT partition name, e.g. 'boot'.
    :param start: first byte in the virtual disk.
    :param size: bytes.
    :param filesystem: 'xfs', 'vfat', or '' where none is recognised.
    :param uuid: filesystem UUID, lower case; for vfat 'ABCD-1234'; '' where there is none.
    :param filesystem_label: the filesystem's own label; '' where there is none.
    :param partition_type: GUID of its type, lower case.
    :param partition_uuid: its own GUID, lower case.
    """

    number: int
    label: str
    start: int
    size: int
    filesystem: str
    uuid: str
    filesystem_label: str = ""
    partition_type: str = ""
    partition_uuid: str = ""


@dataclass(frozen=True)
class Table:
    """The partition table's facts of the disk. uuid: its GUID, lower case; sizes in bytes."""

    uuid: str
    sector_size: int
    disk_size: int


@dataclass(frozen=True)
class Entry:
    """A name in a directory. type: 'file', 'directory', 'symlink', 'other'."""

    name: str
    type: str


@dataclass(frozen=True)
class FileStat:
    """What is known of a file.

    :param type: as in Entry.
    :param mode: permission bits with setuid, setgid and sticky; no type bits.
    :param size: bytes.
    :param target: where a symlink points; '' otherwise.
    :param selinux: the SELinux label without its final NUL; '' where there is none.
    """

    type: str
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    target: str
    selinux: str


@dataclass(frozen=True)
class WriteFile:
    """Make the file's content this. A file that exists keeps owner, mode and SELinux label; its blocks are never
    patched (they can be shared), it is written anew and takes the old one's place. A new file gets mode, owner 0:0,
    and the SELinux label of the first regular file beside it, by name (of its directory where there is none); missing
    parent directories are made with mode 0755 and their parent's label. A symlink at the end of the path is followed,
    and BuildError where it leads nowhere. A file with several names gets a new inode: the other names keep the old one.
    """

    partition: str
    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class RemoveFile:
    """Unlink the regular file or symlink. It exists when the plan is made; FileNotFoundError otherwise."""

    partition: str
    path: str


@dataclass(frozen=True)
class SetUuid:
    """Give the partition's filesystem this UUID."""

    partition: str
    uuid: str


Edit = Union[WriteFile, RemoveFile, SetUuid]


class Filesystem(Protocol):
    """Read access to one partition. Paths that do not exist raise FileNotFoundError, paths through something that
    is no directory NotADirectoryError, damage raises BuildError."""

    partition: Partition

    def stat(self, path: str) -> FileStat:
        """The file itself, not what a symlink at its end points to."""

    def list(self, path: str) -> Sequence[Entry]:
        """The directory's entries without '.' and '..', sorted by name."""

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """The file's whole content; BuildError where it is longer than limit bytes."""

    def resolve(self, path: str) -> str:
        """The path with every symlink followed; FileNotFoundError where it leads nowhere."""

    def find(self, path: str, name: str) -> Sequence[str]:
        """Paths of regular files and symlinks of that name below the directory, sorted; links are not followed."""


class Disk(Protocol):
    """An open disk image; a context manager that releases what the engine holds.

    An engine raises Unsupported, before a byte is written, for what another engine may be able to do, and BuildError
    for what is wrong with the image.
    """

    engine: str
    table: Table
    partitions: Sequence[Partition]

    def filesystem(self, label: str) -> Filesystem:
        """The filesystem of the partition with that label; BuildError where no or several partitions have it,
        or where it is not XFS."""

    def open(self, partition: Partition) -> Filesystem:
        """The filesystem of one of the partitions, of whatever kind, for reading; Unsupported where it is none that
        the engine reads."""

    def apply(self, edits: Sequence[Edit], timestamp: int) -> None:
        """All edits, or none: everything is planned and checked before the first byte is written, and on disk
        (fsync) when this returns. timestamp: seconds since the epoch, the time that changed files and directories
        get, so that the same input gives the same bytes."""

    def check(self, edits: Sequence[Edit], timestamp: int) -> None:
        """Everything that apply() does before it writes: raises what apply() would raise."""

    def close(self) -> None:
        """Release everything."""

    def __enter__(self) -> Disk:
        """The disk itself."""

    def __exit__(self, *exc: object) -> None:
        """close()."""
