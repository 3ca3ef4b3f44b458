# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths: from the root directory to inodes, through symbolic links, inside one filesystem."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from typing import NamedTuple

from ...errors import BuildError
from .directory import Directory, Name, read_directory
from .inode import FILE_TYPES, Inode, read_used_inode
from .symlink import read_symlink
from .volume import Volume

#: As the kernel's MAXSYMLINKS.
_MOST_LINKS = 40
_MOST_DIRECTORIES = 200_000
_MOST_NAMES = 2_000_000
_LONGEST_PATH = 65536
_KEPT_DIRECTORIES = 32

_DIRECTORY, _SYMLINK, _REGULAR = (FILE_TYPES[kind] for kind in (stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG))


class Location(NamedTuple):
    """A path as far as it could be followed.

    missing: the components that do not exist; dangling: it is a symbolic link that leads to what does not exist.
    """

    inode: Inode
    parts: tuple[bytes, ...]
    missing: tuple[bytes, ...] = ()
    dangling: bool = False

    @property
    def path(self) -> bytes:
        return b"/" + b"/".join(self.parts)


def no_entry(path: bytes) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path.decode("utf-8", "surrogateescape"))


def no_directory(path: bytes) -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path.decode("utf-8", "surrogateescape"))


class Tree:
    """The directory tree of a volume.

    planned: directories by inode number, as they are to be; they go before what the volume says.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self.planned: dict[int, Directory] = {}
        self._directories: OrderedDict[int, Directory] = OrderedDict()

    def inode(self, ino: int) -> Inode:
        return read_used_inode(self.volume, ino)

    def directory(self, inode: Inode) -> Directory:
        known = self.planned.get(inode.ino) or self._directories.get(inode.ino)
        if known is None:
            known = self._directories[inode.ino] = read_directory(inode)
            if len(self._directories) > _KEPT_DIRECTORIES:
                self._directories.popitem(last=False)
        return known

    def walk(self, path: bytes, follow: bool = True) -> Location:
        """Follow a path as far as it exists. follow: also a symbolic link at its very end."""
        parts: list[bytes] = []
        inodes = [self.inode(self.volume.geometry.root_inode)]
        rest = self._components(path)
        links, own = 0, len(rest)  # own: how many of the rest are of the path itself, and not of a link's target
        while rest:
            part = rest.pop()
            linked, own = len(rest) >= own, min(len(rest), own)
            if inodes[-1].type != stat.S_IFDIR:
                raise no_directory(path)
            if part == b"..":
                del inodes[max(len(parts), 1) :]
                del parts[-1:]
                continue
            entry = self.directory(inodes[-1]).names.get(part)
            if entry is None:
                return Location(inodes[-1], tuple(parts), (part, *reversed(rest)), linked)
            inode = self.inode(entry.ino)
            if inode.type == stat.S_IFLNK and (rest or follow):
                links += 1
                target = read_symlink(inode)
                if links > _MOST_LINKS or len(rest) > _LONGEST_PATH:
                    shown = path.decode("utf-8", "replace")
                    raise BuildError(f"{self.volume.geometry.name}: the path {shown} goes through too many symbolic links.")
                if target.startswith(b"/"):
                    del inodes[1:], parts[:]
                rest += self._components(target)
                continue
            inodes.append(inode)
            parts.append(part)
        return Location(inodes[-1], tuple(parts))

    @staticmethod
    def _components(path: bytes) -> list[bytes]:
        """In reverse, so that the next one is at the end."""
        return [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]

    def lookup(self, path: bytes, follow: bool = True) -> Location:
        """Like walk(), but FileNotFoundError where the path does not exist."""
        location = self.walk(path, follow)
        if location.missing:
            raise no_entry(path)
        return location

    def lookup_directory(self, path: bytes) -> Location:
        location = self.lookup(path)
        if location.inode.type != stat.S_IFDIR:
            raise no_directory(path)
        return location

    def find(self, path: bytes, name: bytes) -> list[bytes]:
        """Paths of regular files and symbolic links of that name below the directory, sorted; links are not followed."""
        top = self.lookup_directory(path)
        found = []
        seen = {top.inode.ino}
        waiting = [(top.inode, path.rstrip(b"/"))]
        count = 0
        while waiting:
            inode, prefix = waiting.pop()
            names = read_directory(inode).names
            count += len(names)
            if count > _MOST_NAMES:
                raise self.volume.geometry.unsupported(f"there are more than {_MOST_NAMES} files")
            if len(prefix) > _LONGEST_PATH:
                raise self.volume.geometry.unsupported(f"there is a path of more than {_LONGEST_PATH} bytes")
            for entry in names.values():
                if entry.type == _DIRECTORY:
                    if entry.ino in seen:
                        raise inode.damage(f"holds directory {entry.ino}, which is also elsewhere")
                    if len(seen) >= _MOST_DIRECTORIES:
                        raise self.volume.geometry.unsupported(f"there are more than {_MOST_DIRECTORIES} directories")
                    seen.add(entry.ino)
                    waiting.append((self._directory_inode(entry), prefix + b"/" + entry.name))
                elif entry.name == name and entry.type in (_REGULAR, _SYMLINK):
                    found.append(prefix + b"/" + name)
        return sorted(found)

    def _directory_inode(self, entry: Name) -> Inode:
        inode = self.inode(entry.ino)
        if inode.type != stat.S_IFDIR:
            raise inode.damage("is no directory, as its name says")
        return inode
