# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Receipts: what a run makes on a cluster, by exact name, written down before it is made.

The run holds a lock on its receipt for as long as it lives. One that nobody holds is that of a run that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

RECEIPTS_FOLDER = "~/.ocne/builds"


@dataclass(frozen=True)
class Receipt:
    """A Job, and the Secret and ConfigMap of its name. server: URL of the API server."""

    server: str
    namespace: str
    name: str


class Held:
    """The receipt of a run that lives."""

    def __init__(self, folder: Path, receipt: Receipt) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{receipt.name}.json"
        # Written under another name, locked, and only then put in place: nobody can see it without its lock.
        partial = folder / f".{receipt.name}.part"
        self._handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        os.write(self._handle, json.dumps(asdict(receipt)).encode())
        os.fsync(self._handle)
        partial.replace(self._path)

    def release(self, done: bool) -> None:
        """:param done: all that it names is gone; else it stays, for the next run."""
        if done:
            self._path.unlink(missing_ok=True)
        os.close(self._handle)


def settle(folder: Path, server: str, remove: Callable[[Receipt], bool]) -> None:
    """Deal with the receipts of runs that were killed, for one cluster.

    :param remove: removes what a receipt names; the receipt goes where it returns True.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            receipt = Receipt(**json.loads(os.read(handle, 1 << 16)))
        except (BlockingIOError, ValueError, TypeError):
            os.close(handle)
            continue  # its run lives, or it is none of ours
        try:
            if receipt.server == server and remove(receipt):
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)
