# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a directory tree holds, in a form that two readers of the same tree can be compared by: the kernel's and an engine's."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Filesystem

_LABEL = "security.selinux"
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True)
class Item:
    """A file of any type. content: of a regular file, its SHA-1; of a symlink, its target. xattrs: without the label."""

    type: str
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    content: str
    selinux: str
    xattrs: tuple[tuple[str, str], ...] = ()

    def without_xattrs(self) -> Item:
        return replace(self, xattrs=())


Listing = dict[str, Item]


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def list_mounted(root: Path) -> Listing:
    """Everything below a mounted directory, the directory itself as '/'."""
    found: Listing = {}
    waiting = [(os.fsencode(root), "/")]
    while waiting:
        place, path = waiting.pop()
        found[path] = _mounted_item(place)
        if found[path].type == "directory":
            waiting += [(place + b"/" + name, path.rstrip("/") + "/" + os.fsdecode(name)) for name in os.listdir(place)]  # noqa: PTH208
    return found


def _mounted_item(place: bytes) -> Item:
    facts = os.lstat(place)
    kind = _TYPES.get(stat.S_IFMT(facts.st_mode), "other")
    content = ""
    if kind == "file":
        with open(place, "rb") as file:  # noqa: PTH123
            content = digest(file.read())
    elif kind == "symlink":
        content = os.fsdecode(os.readlink(place))  # noqa: PTH115
    xattrs = {name: os.getxattr(place, name, follow_symlinks=False) for name in os.listxattr(place, follow_symlinks=False)}
    label = xattrs.pop(_LABEL, b"").rstrip(b"\0").decode()
    size = facts.st_size if kind in ("file", "symlink") else 0
    mode = stat.S_IMODE(facts.st_mode)
    extra = tuple(sorted((name, value.hex()) for name, value in xattrs.items()))
    return Item(kind, mode, facts.st_uid, facts.st_gid, facts.st_nlink, size, content, label, extra)


def list_engine(filesystem: Filesystem, limit: int = 1 << 26) -> Listing:
    """The same by an engine, without extended attributes other than the label."""
    found: Listing = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        facts = filesystem.stat(path)
        content = digest(filesystem.read(path, limit)) if facts.type == "file" else facts.target
        size = facts.size if facts.type in ("file", "symlink") else 0
        found[path] = Item(facts.type, facts.mode, facts.uid, facts.gid, facts.links, size, content, facts.selinux)
        if facts.type == "directory":
            waiting += [path.rstrip("/") + "/" + entry.name for entry in filesystem.list(path)]
    return found


def differences(expected: Listing, found: Listing, most: int = 5) -> list[str]:
    """The first paths that differ, each in a sentence; empty where the listings are equal."""
    paths = [path for path in sorted(expected.keys() | found.keys()) if expected.get(path) != found.get(path)]
    return [f"{path}: expected {expected.get(path)}, found {found.get(path)}" for path in paths[:most]]
