# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that appear whole or not at all, made by one run at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._errors import OcneError
from ._imagebuild.progress import Progress, silent


class Busy(OcneError):
    """Another run makes the file."""


def file_sha256(path: Path, progress: Progress = silent) -> str:
    """The digest of the file's bytes in hex; memory does not grow with the file."""
    digest, done = hashlib.sha256(), 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            done += len(chunk)
            progress(f"computing the digest of {path.name}", done, size)
    return digest.hexdigest()


def partial_path(destination: Path) -> Path:
    """Where a file is written before it takes its name. One name for each destination: what a killed run left is
    overwritten by the next, which holds the same lock."""
    return destination.with_name(f".{destination.name}.part")


def write_private(path: Path, content: bytes) -> None:
    """Make a file that only this user can read, whole or not at all, and on disk for good when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = partial_path(path)
    partial.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(destination: Path, timeout: float, progress: Progress = silent) -> Iterator[None]:
    """Be the only run that makes this file.

    :param timeout: seconds to wait for another run; progress is told of the wait.
    :raises Busy: another run still holds the lock.
    :raises OcneError: the folder cannot be written to.
    """
    path = destination.with_name(f".{destination.name}.lock")
    deadline = time.monotonic() + timeout
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OcneError(
                f"{destination} cannot be written: {error.strerror} ({path.parent}).", "Choose a folder that this user may write to."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            if time.monotonic() >= deadline:
                raise Busy(
                    f"Another run (process {holder}) is making {destination}; it did not end within {timeout:.0f} s.",
                    "Wait for it, end it, or give this run another destination.",
                ) from None
            progress(f"waiting for process {holder}, which makes the same", 0, None)
            time.sleep(0.2)
            continue
        try:
            if not _is_at(handle, path):
                continue  # its last owner removed the file between our open and our lock
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            try:
                yield
            finally:
                path.unlink()
            return
        finally:
            os.close(handle)


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keep a file from being pruned while it is read; what is no file is left alone."""
    if not path.is_file():
        yield
        return
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def is_in_use(path: Path) -> bool:
    """Whether some run on this host reads the file within in_use()."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
