# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a disk as a module returns them: a file with its content, or what is in a folder. Bounded in bytes of JSON."""

from __future__ import annotations

import base64
import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .disk.interface import Disk, FileStat, Filesystem, Partition
from .errors import BuildError

#: Bytes of JSON that a module's result may have: AWX drops results of more than 700,000, and has its own in them.
RESULT_LIMIT = 600_000
#: Bytes of a file whose content is told: base64 makes four of three.
CONTENT_LIMIT = 400_000


@dataclass(frozen=True)
class Question:
    """Which files to tell of.

    :param partition: label or number of the partition; '' for all whose filesystem is known.
    :param path: absolute; '' for none.
    :param recursive: of a folder, also what is in the folders below it.
    """

    partition: str = ""
    path: str = ""
    recursive: bool = False


def chosen(disk: Disk, partition: str) -> Sequence[Partition]:
    """The partitions of that label or number; all where none is asked for.

    :raises BuildError: there is none.
    """
    if not partition:
        return disk.partitions
    found = [each for each in disk.partitions if each.label == partition] or [
        each for each in disk.partitions if str(each.number) == partition
    ]
    if not found:
        there = ", ".join(f"{each.number} ({each.label})" if each.label else str(each.number) for each in disk.partitions)
        raise BuildError(f"The disk has no partition {partition}.", f"Choose one of those that there are: {there or 'none'}.")
    return found


def list_files(disk: Disk, question: Question) -> list[dict[str, Any]]:
    """What is at the path, on each of the partitions that have it.

    :returns: of a file, one entry with 'content', as 'encoding' says 'utf-8' or 'base64'; of a folder, an entry for each
        name in it. Each has 'partition', 'path', 'type', 'mode', 'uid', 'gid', and where it has one 'size', 'target', 'selinux'.
    :raises BuildError: no partition has the path, or it is more than a result can hold.
    """
    if not question.path.startswith("/"):
        raise BuildError(f"The path {question.path} is not absolute.", "Begin it with '/', the root of the partition.")
    partitions = [each for each in chosen(disk, question.partition) if each.filesystem or question.partition]
    room = _Room(question)
    found: list[dict[str, Any]] = []
    missing = 0
    for partition in partitions:
        try:
            found += room.take(_at(disk.open(partition), question), _name(disk, partition))
        except (FileNotFoundError, NotADirectoryError):
            missing += 1
    if missing == len(partitions):
        names = ", ".join(_name(disk, each) for each in partitions) or "none with a filesystem that is known"
        raise BuildError(f"There is no {question.path} on the partitions looked at: {names}.", "List the folder above it.")
    return found


class _Room:
    """What a result can still hold."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._left = RESULT_LIMIT
        self._count = 0

    def take(self, entries: Iterator[dict[str, Any]], partition: str) -> list[dict[str, Any]]:
        taken = []
        for entry in entries:
            named = {"partition": partition, **entry}
            self._left -= len(json.dumps(named)) + 2
            if self._left < 0:
                raise BuildError(
                    f"{self._question.path} has more in it than a result can hold: {self._count} entries take {RESULT_LIMIT} bytes.",
                    "Choose a partition, or a folder further down.",
                )
            self._count += 1
            taken.append(named)
        return taken


def _at(filesystem: Filesystem, question: Question) -> Iterator[dict[str, Any]]:
    """Entries, with paths as they were asked for: what symlinks lead to has the name that led there."""
    asked = "/" + "/".join(part for part in question.path.split("/") if part)
    try:
        path = filesystem.resolve(asked)
    except FileNotFoundError:
        # A symlink whose target is not there, as of an absolute one that is meant for the running system, or nothing at all.
        yield _entry(asked, filesystem.stat(asked))
        return
    found = filesystem.stat(path)
    if found.type == "directory":
        for below, entry in _below(filesystem, path, question.recursive):
            yield _entry(posixpath.join(asked, below), entry)
    elif found.type == "file":
        yield {**_entry(asked, found), **_content(filesystem, path, found.size)}
    else:
        yield _entry(asked, found)


def _below(filesystem: Filesystem, top: str, recursive: bool) -> Iterator[tuple[str, FileStat]]:
    """Paths below the folder and what is there: depth first, sorted; symlinks are told, not followed."""
    waiting = [entry.name for entry in reversed(filesystem.list(top))]
    while waiting:
        path = waiting.pop()
        place = posixpath.join(top, path)
        found = filesystem.stat(place)
        yield path, found
        if recursive and found.type == "directory":
            waiting += [posixpath.join(path, entry.name) for entry in reversed(filesystem.list(place))]


def _entry(path: str, found: FileStat) -> dict[str, Any]:
    entry: dict[str, Any] = {"path": path, "type": found.type, "mode": f"{found.mode:04o}", "uid": found.uid, "gid": found.gid}
    if found.type == "file":
        entry["size"] = found.size
    if found.target:
        entry["target"] = found.target
    if found.selinux:
        entry["selinux"] = found.selinux
    return entry


def _content(filesystem: Filesystem, path: str, size: int) -> dict[str, str]:
    if size > CONTENT_LIMIT:
        raise BuildError(
            f"{path} on partition {filesystem.partition.label} has {size} bytes; the content of a file is told up to {CONTENT_LIMIT}.",
            "List the folder that it is in to see its attributes.",
        )
    content = filesystem.read(path, CONTENT_LIMIT)
    packed = base64.b64encode(content).decode()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    # What JSON has to escape can be longer than base64.
    if "\0" in text or len(json.dumps(text)) > max(len(packed), 4096):
        return {"content": packed, "encoding": "base64"}
    return {"content": text, "encoding": "utf-8"}


def _name(disk: Disk, partition: Partition) -> str:
    """What a user calls it: by its label, or by its number where that is not its alone."""
    labels = [each.label for each in disk.partitions]
    return partition.label if partition.label and labels.count(partition.label) == 1 else str(partition.number)
