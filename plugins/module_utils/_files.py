# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that appear whole or not at all, made by one run at a time."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ._errors import OcneError
from ._imagebuild.progress import Progress, silent

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


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
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the content of a file, or the names in a folder, on disk for good."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(folder: Path) -> None:
    """sync() of the folder and of all that is in it. Programs that write there leave it to the system."""
    for parent, _folders, names in os.walk(folder):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def remove(path: Path) -> None:
    """A file, or a folder with all that is in it, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def exchange(one: Path, other: Path) -> None:
    """Let two files or folders of a filesystem take each other's name, at once: renameat2(2), which Python does not have.

    :raises OSError: also where the system or the filesystem cannot do that.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


@contextmanager
def locked(destination: Path, timeout: float, progress: Progress = silent) -> Iterator[None]:
    """Be the only run that makes this file.

    :param timeout: seconds to wait for another run; progress is told of the wait.
    :raises Busy: another run still holds the lock.
    :raises OcneError: the folder cannot be written to.
    """
    path = _lock_path(destination)
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


def remove_leftovers(destination: Path) -> None:
    """Remove what a run left that was killed when all but that had been done; nothing while another run is at work."""
    if _lock_path(destination).exists():
        with suppress(OcneError), locked(destination, 0):
            remove(partial_path(destination))


def _lock_path(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.lock")


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
