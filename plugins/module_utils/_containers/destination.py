# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an image is copied to, by transport: a file or folder appears whole or not at all."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from .._errors import OcneError
from .._files import exchange, locked, partial_path, remove, sync, sync_all
from .._imagebuild.progress import Progress, silent
from .oci_layout import REF_NAME
from .reference import Reference

_DIR_VERSION = b"Directory Transport Version"


@dataclass(frozen=True)
class Staged:
    """Where skopeo writes, before the destination is what it wrote.

    :param options: of 'skopeo copy'.
    :param clear: removes what an earlier try left there.
    """

    reference: Reference
    options: Sequence[str] = ()
    clear: Callable[[], None] = lambda: None


def check(destination: Reference) -> None:
    """Refuse a destination that cannot be one, or that would destroy something else.

    :raises OcneError: see above.
    """
    if destination.transport == "sif":
        raise OcneError(f"{destination}: skopeo reads this transport, but cannot write to it.", "Choose another destination.")
    path = destination.path
    if path is None:
        return
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "is not writable for this user" if above.is_dir() else "is no folder"
        raise OcneError(f"{destination} cannot be written: {above} {why}.", "Choose another destination.")
    if not path.exists():
        return
    if destination.transport in ("dir", "oci"):
        if not path.is_dir() or not (_is_image_folder(path) or not any(path.iterdir())):
            raise OcneError(f"{path} exists and holds something else than an image.", "Choose another destination, or remove it.")
        if destination.transport == "dir" and path.is_mount():
            raise OcneError(f"{path} is a mount point, which cannot be replaced as a whole.", f"Choose a folder in it: dir:{path}/image.")
    elif not path.is_file() or (path.stat().st_size and not tarfile.is_tarfile(path)):
        raise OcneError(f"{path} exists and is no image archive.", "Choose another destination, or remove it.")


@contextmanager
def writing(destination: Reference, lock_timeout: float, progress: Progress = silent) -> Iterator[Staged]:
    """Be the only run that writes this destination: gives what to write to, which becomes the destination at the end of the
    block, and is gone when the block fails.

    Registries, daemons and containers-storage look after that themselves.
    """
    path = destination.path
    if path is None:
        yield Staged(destination)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    publish = {"dir": _publish_folder, "oci": _publish_layout}.get(destination.transport, _publish_file)
    with locked(path, lock_timeout, progress):
        partial, existed = partial_path(path), path.exists()
        # Blobs go where they stay, so that what is there is not copied again; skopeo renames each into its place.
        options = [f"--dest-shared-blob-dir={path / 'blobs'}"] if destination.transport == "oci" else []
        try:
            yield Staged(destination.with_path(partial), options, lambda: remove(partial))
            publish(partial, path)
        except BaseException:
            if not existed:
                remove(path)  # blobs of a layout that never came to be
            raise
        finally:
            remove(partial)


def _publish_file(partial: Path, path: Path) -> None:
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def _publish_folder(partial: Path, path: Path) -> None:
    """Where something is there, it becomes the partial folder, which is removed in the end."""
    sync_all(partial)
    old = path.with_name(f".{path.name}.old")
    remove(old)  # a killed run left it
    if not path.exists():
        partial.rename(path)
    else:
        try:
            exchange(partial, path)
        except OSError:  # the filesystem cannot: for a moment there is nothing
            path.rename(old)
            partial.rename(path)
    sync(path.parent)
    remove(old)


def _publish_layout(partial: Path, path: Path) -> None:
    """Put the image that the partial layout names into the layout's own index, in place of that of the same name."""
    (entry,) = _read_index(partial)
    name = _name(entry)
    index = {"schemaVersion": 2, "manifests": [*(other for other in _read_index(path) if _name(other) != name), entry]}
    sync_all(path / "blobs")
    if not (path / "oci-layout").exists():
        _publish_file(partial / "oci-layout", path / "oci-layout")
    written = partial / "index.json"
    written.write_text(json.dumps(index), "utf-8")
    _publish_file(written, path / "index.json")


def _read_index(layout: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads((layout / "index.json").read_text("utf-8"))["manifests"])
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise OcneError(f"{layout}/index.json is no index of images.", "Remove the folder, or choose another destination.") from error


def _name(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(REF_NAME, ""))


def _is_image_folder(path: Path) -> bool:
    """Whether it is what the transports dir or oci write. An oci layout's folder of blobs is there before its index."""
    version = path / "version"
    if version.is_file():
        with version.open("rb") as file:
            return file.read(len(_DIR_VERSION)) == _DIR_VERSION
    return (path / "index.json").is_file() or {entry.name for entry in path.iterdir()} == {"blobs"}
