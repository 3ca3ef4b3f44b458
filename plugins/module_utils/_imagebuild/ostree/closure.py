# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which objects a commit needs, found while they pass by.

Writers put a commit before its directories and a directory before what it names, so each object can be judged when
it comes: needed, or named by nothing. Nothing is kept of an object but its checksum.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import BuildError
from .objects import DIRMETA, DIRTREE, FILE, Commit, DirTree

#: Objects of one commit; an operating system has some ten thousand. It bounds the memory that checksums take.
OBJECT_LIMIT = 500_000


class Closure:
    """The objects reachable from a commit: those still to come, and those seen."""

    def __init__(self) -> None:
        self._awaited: dict[str, set[bytes]] = {DIRTREE: set(), DIRMETA: set(), FILE: set()}
        self._seen: dict[str, set[bytes]] = {DIRTREE: set(), DIRMETA: set(), FILE: set()}
        self._count = 0

    def add_commit(self, commit: Commit) -> None:
        """Await the commit's root."""
        self._await(DIRTREE, (commit.tree,))
        self._await(DIRMETA, (commit.meta,))

    def add_tree(self, tree: DirTree) -> None:
        """Await what the directory names."""
        self._await(FILE, tree.files)
        self._await(DIRTREE, tree.trees)
        self._await(DIRMETA, tree.metas)

    def take(self, kind: str, checksum: bytes) -> bool:
        """An object has come. True: it is needed. False: nothing before it names it.

        :raises BuildError: it has come before.
        """
        if checksum in self._awaited[kind]:
            self._awaited[kind].remove(checksum)
            self._seen[kind].add(checksum)
            return True
        if checksum in self._seen[kind]:
            raise BuildError(f"ostree object {checksum.hex()}.{kind} is in the image twice.", "The image is broken: tell its publisher.")
        return False

    def check_complete(self) -> None:
        """:raises BuildError: objects are missing."""
        missing = [f"{checksum.hex()}.{kind}" for kind in (DIRTREE, DIRMETA, FILE) for checksum in sorted(self._awaited[kind])]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise BuildError(
                f"The commit is not complete: ostree object {missing[0]}{more} is missing from the image.",
                "The image is broken: tell its publisher.",
            )

    def _await(self, kind: str, checksums: Iterable[bytes]) -> None:
        awaited, seen = self._awaited[kind], self._seen[kind]
        for checksum in checksums:
            if checksum not in seen and checksum not in awaited:
                awaited.add(checksum)
                self._count += 1
        if self._count > OBJECT_LIMIT:
            raise BuildError(f"The commit has more than {OBJECT_LIMIT} objects: no operating system's has.")
