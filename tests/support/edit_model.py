# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What edits of a filesystem must come to, as changes of a listing; and random edits."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Edit, RemoveFile, SetUuid, WriteFile

from .kernel_trees import BOOT_ENTRY, FSTAB, MACHINE_ID, random_name
from .listing import Item, Listing, digest

#: A path to BOOT_ENTRY through a symbolic link.
LINKED_BOOT_ENTRY = BOOT_ENTRY.replace("loader.1", "loader")


def parent(path: str) -> str:
    return os.path.dirname(path)  # noqa: PTH120


class Model:
    """A listing, with the groups of names that are one inode."""

    def __init__(self, listing: Listing, inodes: dict[str, int]) -> None:
        self.listing = dict(listing)
        self._inodes = dict(inodes)

    def apply(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            if isinstance(edit, WriteFile):
                self._write(replace(edit, path=edit.path.replace("/loader/", "/loader.1/")))
            elif isinstance(edit, RemoveFile):
                self._remove(edit.path)

    def _write(self, edit: WriteFile) -> None:
        old = self.listing.get(edit.path)
        size, content = len(edit.content), digest(edit.content)
        if old and old.links == 1:
            self.listing[edit.path] = replace(old, size=size, content=content)
        elif old:
            self._remove(edit.path)
            self.listing[edit.path] = Item("file", old.mode, old.uid, old.gid, 1, size, content, old.selinux)
        else:
            directory = parent(edit.path)
            self._make(directory)
            beside = sorted(
                (os.fsencode(path), item) for path, item in self.listing.items() if item.type == "file" and parent(path) == directory
            )
            label = beside[0][1].selinux if beside else self.listing[directory].selinux
            self.listing[edit.path] = Item("file", edit.mode, 0, 0, 1, size, content, label)

    def _make(self, directory: str) -> None:
        if directory not in self.listing:
            above = parent(directory)
            self._make(above)
            self.listing[above] = replace(self.listing[above], links=self.listing[above].links + 1)
            self.listing[directory] = Item("directory", 0o755, 0, 0, 2, 0, "", self.listing[above].selinux)

    def _remove(self, path: str) -> None:
        gone = self.listing.pop(path)
        inode = self._inodes.pop(path, None)
        if gone.links > 1:
            for other, number in self._inodes.items():
                if number == inode:
                    self.listing[other] = replace(self.listing[other], links=self.listing[other].links - 1)


def random_edits(dice: random.Random, before: Listing, partition: str) -> list[Edit]:
    """Edits that make sense one after the other; those of every conversion are among them."""
    directories = [path for path, item in before.items() if item.type == "directory"]
    files = [path for path, item in before.items() if item.type in ("file", "symlink") and not path.startswith("/boot/loader")]
    regular = [path for path in files if before[path].type == "file"]
    sizes: dict[str, int] = {}
    for path in before:
        sizes[parent(path)] = sizes.get(parent(path), 0) + 1
    largest = sorted(directories, key=lambda path: -sizes.get(path, 0))[:4]
    odd = [path for path in regular if path.rpartition("/")[2].startswith(("clone", "sparse", "hardlink")) or before[path].xattrs]
    removed: set[str] = set()
    edits: list[Edit] = []

    def write(path: str, size: int, mode: int = 0o644) -> None:
        if path not in removed:
            edits.append(WriteFile(partition, path, dice.randbytes(size), mode))

    def remove(path: str) -> None:
        if path not in removed and path not in (FSTAB, MACHINE_ID):
            removed.add(path)
            edits.append(RemoveFile(partition, path))

    def new_name(directory: str) -> str:
        return directory.rstrip("/") + "/" + random_name(dice)

    if dice.random() < 0.9:
        edits.append(SetUuid(partition, str(uuid.UUID(int=dice.getrandbits(128), version=4))))
    if dice.random() < 0.5:
        for path in dice.sample(odd, min(len(odd), 12)):
            write(path, dice.choice([0, 600, 9000])) if dice.random() < 0.5 else remove(path)
    if dice.random() < 0.25:  # a directory grows, or is emptied
        directory = dice.choice(directories)
        if dice.random() < 0.6:
            for number in range(dice.choice([10, 40, 150])):
                write(f"{directory.rstrip('/')}/G{number}-{random_name(dice)[: dice.choice([2, 30, 200])]}", dice.choice([0, 10, 5000]))
        else:
            for path in [path for path in files if parent(path) == directory][: dice.choice([10, 150])]:
                remove(path)
    for _turn in range(dice.choice([1, 2, 5, 8, 12, 40])):
        directory = dice.choice(largest) if dice.random() < 0.4 else dice.choice(directories)
        size = dice.choice([0, 1, 33, 600, 620, 4096, 4097, 9000, 30_000, 65_536])
        chance = dice.random()
        if chance < 0.3:
            write(dice.choice(regular), size)
        elif chance < 0.6:
            write(new_name(directory), size, dice.choice([0o644, 0o600, 0o755]))
        elif chance < 0.9:
            remove(dice.choice(files))
        else:
            write(new_name(directory.rstrip("/") + "/new-" + random_name(dice)[:20]), size)
    write(LINKED_BOOT_ENTRY, 2000)
    write(FSTAB, 180)
    edits.append(RemoveFile(partition, MACHINE_ID))
    taken = before.keys()
    return [edit for edit in edits if not isinstance(edit, WriteFile) or edit.path in taken or _is_new(edit.path, before)]


def _is_new(path: str, before: Listing) -> bool:
    """Can a new file be here: are all of its parents directories or new, and does it not lead through a symlink?"""
    if path == LINKED_BOOT_ENTRY:
        return True
    while path != "/":
        path = parent(path)
        if path in before and before[path].type != "directory":
            return False
    return True
