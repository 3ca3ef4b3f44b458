# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small files and the folders of an image's root filesystem, as its layers make it up together.

Layers: https://github.com/opencontainers/image-spec/blob/main/layer.md (changesets, whiteouts).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from ..errors import BuildError
from ..layout import Image
from ..progress import Progress
from ..tarstream import DIRECTORY, HARDLINK, REGULAR, SYMLINK, Member, TarStream

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_FILE_LIMIT = 256 << 10
#: Bytes of what is kept: paths, symlinks' targets, and configuration files.
_TOTAL_LIMIT = 32 << 20
_COUNT_LIMIT = 200_000
#: As many symlinks as Linux follows in one path.
_LINKS = 40


@dataclass(frozen=True)
class Folder:
    """A directory's mode (permission bits) and owner."""

    mode: int
    uid: int
    gid: int


class ImageFiles:
    """What a running container would see. Paths are absolute; symlinks are followed inside the image."""

    def __init__(self) -> None:
        self._entries: dict[str, Folder | str | bytes | None] = {"/": Folder(0o755, 0, 0)}
        self._names: dict[str, set[str]] = {"/": set()}
        self._held = 0

    def read(self, path: str) -> str | None:
        """The text of a configuration file; None where there is none."""
        entry = self._entries.get(self.resolve(path))
        return entry.decode("utf-8", "replace") if isinstance(entry, bytes) else None

    def names(self, path: str) -> list[str]:
        """The names in a folder; none where there is no such folder."""
        return sorted(self._names.get(self.resolve(path), ()))

    def folder(self, path: str) -> Folder | None:
        """The folder at a path without symlinks; None where there is none."""
        entry = self._entries.get(path)
        return entry if isinstance(entry, Folder) else None

    def resolve(self, path: str) -> str:
        """The path without symlinks, '.', '..'; as far as it exists, and the rest as it is."""
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done = "/"
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                done = posixpath.dirname(done)
                continue
            entry = self._entries.get(posixpath.join(done, part))
            if isinstance(entry, str) and links < _LINKS:
                links += 1
                if entry.startswith("/"):
                    done = "/"
                todo += [step for step in reversed(entry.split("/")) if step not in ("", ".")]
            else:
                done = posixpath.join(done, part)
        return done

    def add_layer(self, stream: TarStream) -> None:
        """Apply a layer."""
        hidden: list[str] = []
        added: dict[str, Folder | str | bytes | None] = {}
        for member in stream:
            path = posixpath.normpath("/" + member.name.decode("utf-8", "surrogateescape"))
            path = "/" + path.lstrip("/")
            folder, name = posixpath.split(path)
            if name == _OPAQUE:
                hidden += [posixpath.join(folder, entry) for entry in self._names.get(folder, ())]
            elif name.startswith(_WHITEOUT):
                hidden.append(posixpath.join(folder, name[len(_WHITEOUT) :]))
            else:
                self._hold(len(path) + len(member.target))
                added[path] = self._entry(member, stream)
            if len(self._entries) + len(added) + len(hidden) > _COUNT_LIMIT:
                raise BuildError(f"The base image has more than {_COUNT_LIMIT} files.", "Choose a usual nginx image.")
        for path in hidden:
            self._remove(path)
        for path, entry in added.items():
            self._add(path, entry)

    def _entry(self, member: Member, stream: TarStream) -> Folder | str | bytes | None:
        if member.type == DIRECTORY:
            return Folder(member.mode & 0o7777, member.uid, member.gid)
        if member.type == SYMLINK:
            return member.target.decode("utf-8", "surrogateescape")
        if member.type == REGULAR and member.size <= _FILE_LIMIT and _is_configuration(member.name):
            self._hold(member.size)
            return stream.content(_FILE_LIMIT)
        if member.type == HARDLINK and _is_configuration(member.name):
            # To whoever reads it, a hard link is as good as a link to the file's place.
            return "/" + member.target.decode("utf-8", "surrogateescape").lstrip("./")
        return None

    def _add(self, path: str, entry: Folder | str | bytes | None) -> None:
        old = self._entries.get(path)
        if isinstance(old, Folder) and not isinstance(entry, Folder):
            self._remove(path)
        self._entries[path] = entry
        if isinstance(entry, Folder):
            self._names.setdefault(path, set())
        while path != "/":
            folder, name = posixpath.split(path)
            known = self._names.setdefault(folder, set())
            if name in known:
                return
            known.add(name)
            self._hold(len(path))
            path = folder

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > _TOTAL_LIMIT:
            raise BuildError(
                f"The base image has more than {_TOTAL_LIMIT} bytes of paths and configuration files.", "Choose a usual nginx image."
            )

    def _remove(self, path: str) -> None:
        going = [path]
        while going:
            gone = going.pop()
            going += [posixpath.join(gone, name) for name in self._names.pop(gone, ())]
            self._entries.pop(gone, None)
        folder, name = posixpath.split(path)
        self._names.get(folder, set()).discard(name)


def read_files(image: Image, progress: Progress) -> ImageFiles:
    """:raises BuildError: a layer is missing or damaged."""
    files = ImageFiles()
    for index in range(len(image.layers)):
        with image.open_layer(index, progress) as stream:
            files.add_layer(stream)
    return files


def _is_configuration(name: bytes) -> bool:
    """Files that a web server's configuration can consist of: those anywhere below a folder of its name, or *.conf."""
    return b"nginx" in name or name.endswith(b".conf")
