# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Have edits come to what they say? Judged by reading a filesystem before and after them, through any engine."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

from ..errors import BuildError
from .interface import Edit, FileStat, Filesystem, RemoveFile, SetUuid


@dataclass(frozen=True)
class _Wanted:
    """A file as it should be. kept: what it was before, where it takes over owner, mode and label; content: None where it is gone."""

    content: Optional[bytes]
    kept: Optional[FileStat]
    mode: int


def verify_outcome(before: Filesystem, after: Filesystem, edits: Sequence[Edit]) -> None:
    """Raise BuildError where a file, its attributes, or the UUID of the partition is not what the edits make it.

    :param edits: those of this partition, in the order in which they are made.
    """
    wanted: dict[str, _Wanted] = {}
    for edit in edits:
        if isinstance(edit, SetUuid):
            continue
        path = _home(before, edit.path, follow=False) if isinstance(edit, RemoveFile) else _home(after, edit.path, follow=True)
        known = wanted.get(path) or _as_before(before, path)
        if isinstance(edit, RemoveFile):
            wanted[path] = _Wanted(None, None, 0)
        elif known.content is None:
            wanted[path] = _Wanted(edit.content, None, edit.mode)
        else:
            wanted[path] = replace(known, content=edit.content)
    for path, file in wanted.items():
        if file.content is None and any(other.startswith(path + "/") for other in wanted):
            continue  # a directory has taken its place
        _verify(before, after, path, file)
    uuids = [edit.uuid.lower() for edit in edits if isinstance(edit, SetUuid)]
    _expect(after, "the UUID", after.partition.uuid, uuids[-1] if uuids else before.partition.uuid)


def _home(filesystem: Filesystem, path: str, follow: bool) -> str:
    """The path without symbolic links, as far as it exists. follow: also one at its end."""
    if follow and _exists(filesystem, path):
        return filesystem.resolve(path)
    directory, name = posixpath.split(path)
    return posixpath.join(filesystem.resolve(directory), name) if _exists(filesystem, directory) else path


def _exists(filesystem: Filesystem, path: str) -> bool:
    try:
        filesystem.resolve(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _as_before(before: Filesystem, path: str) -> _Wanted:
    kept = _stat(before, path) if _home(before, path, follow=True) == path else None
    return _Wanted(b"" if kept else None, kept, 0)


def _verify(before: Filesystem, after: Filesystem, path: str, wanted: _Wanted) -> None:
    if wanted.content is None:
        _expect(after, f"{path} after its removal", _stat(after, path), None)
        return
    where = f"{path} after it was written"
    if after.read(path, max(len(wanted.content), after.stat(path).size)) != wanted.content:
        raise _wrong(after, f"the content of {where}")
    new, old = after.stat(path), wanted.kept
    if old:
        _expect(after, where, (new.type, new.mode, new.uid, new.gid, new.selinux, new.links), ("file", *_identity(old), 1))
        return
    _expect(after, where, (new.type, new.mode, new.uid, new.gid, new.links), ("file", wanted.mode, 0, 0, 1))
    directory = posixpath.dirname(path)
    _verify_new_directories(before, after, directory)
    if new.selinux not in _labels_beside(before, after, directory):
        raise _wrong(after, f"the SELinux label of {where}: it is {new.selinux!r}")


def _identity(file: FileStat) -> tuple[int, int, int, str]:
    return file.mode, file.uid, file.gid, file.selinux


def _labels_beside(before: Filesystem, after: Filesystem, directory: str) -> set[str]:
    """The labels that a new file in the directory can have."""
    files = [entry.name for entry in before.list(directory) if entry.type == "file"] if _stat(before, directory) else []
    return {before.stat(posixpath.join(directory, name)).selinux for name in files} | {after.stat(directory).selinux}


def _verify_new_directories(before: Filesystem, after: Filesystem, directory: str) -> None:
    while directory != "/" and _stat(before, directory) is None:
        above = posixpath.dirname(directory)
        new = after.stat(directory)
        expected = ("directory", 0o755, 0, 0, after.stat(above).selinux)
        _expect(after, f"the new directory {directory}", (new.type, *_identity(new)), expected)
        directory = above


def _stat(filesystem: Filesystem, path: str) -> Optional[FileStat]:
    try:
        return filesystem.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _expect(filesystem: Filesystem, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise _wrong(filesystem, f"{what}: it is {found}, and should be {expected}")


def _wrong(filesystem: Filesystem, what: str) -> BuildError:
    return BuildError(
        f"partition {filesystem.partition.label!r}: the planned edit would be wrong: {what}.",
        "Nothing was written. Please report this with the image.",
    )
