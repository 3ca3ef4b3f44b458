# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of files of this host, each remembered for as long as nothing touches the file, so that it is read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ._files import file_sha256, write_private
from ._imagebuild.progress import Progress, silent

#: A file touched this shortly before it is read could be written to once more at what the clock of its filesystem takes for
#: the same time.
_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class _Identity:
    """What differs once a file has been written to or replaced. Nobody can set ctime_ns back."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int


class _Memory:
    """A folder with a file for each path, and what is not in it yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new: dict[_Identity, str] = {}

    def find(self, identity: _Identity) -> str | None:
        if identity in self._new:
            return self._new[identity]
        try:
            value = json.loads(self._place(identity).read_text("utf-8"))
            digest = str(value.pop("sha256"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # nothing is there, or nothing of ours
        return digest if value == asdict(identity) else None

    def add(self, identity: _Identity, digest: str) -> None:
        self._new[identity] = digest

    def keep(self) -> None:
        """Where the folder cannot be written, the next run reads the files again."""
        for identity, digest in self._new.items():
            with contextlib.suppress(OSError):
                write_private(self._place(identity), json.dumps({**asdict(identity), "sha256": digest}).encode())

    def _place(self, identity: _Identity) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(identity.path)).hexdigest()[:32]}.json"


_memory: _Memory | None = None


@contextmanager
def remembering(cache: Path, keep: bool) -> Iterator[None]:
    """Within the block, digests are remembered from run to run, in a folder of the cache.

    :param keep: whether new ones are written there at its end.
    """
    global _memory
    _memory = memory = _Memory(cache / "digests")
    try:
        yield
    finally:
        _memory = None
        if keep:
            memory.keep()


def known_sha256(path: Path, progress: Progress = silent) -> str:
    """The digest of the file's bytes in hex: the remembered one where the file is as it was, else by reading it."""
    started, identity = time.time_ns(), _identity(path)
    known = _memory.find(identity) if _memory else None
    if known:
        return known
    digest = file_sha256(path, progress)
    settled = started - max(identity.mtime_ns, identity.ctime_ns) > _SETTLED_NS
    if _memory and settled and _identity(path) == identity:
        _memory.add(identity, digest)
    return digest


def _identity(path: Path) -> _Identity:
    path = path.resolve()
    stat = path.stat()
    return _Identity(os.fspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)
