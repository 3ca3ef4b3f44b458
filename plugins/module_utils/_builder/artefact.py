# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an artefact comes to be: one run at a time, under a temporary name, then whole at its place with its record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import _record
from .._errors import OcneError
from .._files import locked, partial_path, sync
from .._imagebuild.errors import BuildError
from .._imagebuild.progress import Progress, silent


def destination(dest: str, default_name: str) -> Path:
    """Where the artefact goes: a folder (one that exists, or a path that ends in '/') gets the default name."""
    path = Path(dest)
    path = path / default_name if dest.endswith("/") or path.is_dir() else path
    path = path.absolute()
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "is not writable for this user" if above.is_dir() else "is no folder"
        raise OcneError(f"{path} cannot be written: {above} {why}.", "Choose another destination.")
    if path.exists() and not path.is_file():
        raise OcneError(f"{path} exists and is no regular file.", "Choose another destination.")
    return path


@contextmanager
def making(dest: Path, lock_timeout: float, progress: Progress = silent) -> Iterator[Path]:
    """Be the only run that makes this artefact: gives the name to write it under, which is gone at the end of the block.

    :raises OcneError: also for a BuildError of the block, so that modules know one kind of error.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    with locked(dest, lock_timeout, progress):
        partial = partial_path(dest)
        try:
            yield partial
        except BuildError as error:
            # The temporary name means nothing to the user.
            message = error.message.replace(f"{partial}: ", "").replace(f"{partial}, ", "")
            raise OcneError(f"Could not make {dest}: {message}", error.hint) from error
        finally:
            partial.unlink(missing_ok=True)


def publish(partial: Path, dest: Path, record: _record.Record) -> None:
    """Give the finished file its name, with the record beside it; on disk for good when this returns."""
    sync(partial)
    # Without its record the artefact counts as unknown, so a kill between the two steps costs a run, not the truth.
    _record.record_path(dest).unlink(missing_ok=True)
    partial.replace(dest)
    _record.write(dest, record)
    sync(dest.parent)
