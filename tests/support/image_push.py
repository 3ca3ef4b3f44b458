# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images to push, and ocne_image_push as tests call it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.support import module_call
from tests.support.command import run
from tests.support.container_image import Layout


class Image:
    """A small image in an OCI layout; each number gives another one."""

    def __init__(self, folder: Path, number: int = 0, compression: str = "gzip", size: int = 20000) -> None:
        layout = Layout(folder)
        layers = [{"srv/base": b"the same in each " * 100}, {"srv/file": os.urandom(size) if size > 20000 else bytes([number]) * size}]
        descriptor = layout.add_image(layers, "amd64", compression)
        layout.tag("t", descriptor)
        self.folder = folder
        self.digest = str(descriptor["digest"])
        self.reference = f"oci:{folder}:t"

    def archive(self, path: Path) -> Path:
        """The same as an OCI archive."""
        run("tar", "-cf", path, "-C", self.folder, "oci-layout", "index.json", "blobs")
        return path


def push(src: object, dest: object, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's result."""
    return module_call.call("ocne_image_push", {"src": str(src), "dest": str(dest), "retries": 0, **options}, check)


def failure(src: object, dest: object, check: bool = False, **options: Any) -> dict[str, Any]:
    """The result of a push that has to fail."""
    try:
        result = push(src, dest, check, **options)
    except module_call.ModuleFailed as failed:
        return failed.result
    raise AssertionError(f"The push did not fail: {result}")


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Each file and folder below, with what tells that it was written to."""
    return {str(path): ((stat := path.lstat()).st_ino, stat.st_size, stat.st_mtime_ns) for path in folder.rglob("*")}


def layer_types(manifest: str) -> set[str]:
    return {layer["mediaType"].rpartition(".")[2] for layer in json.loads(manifest)["layers"]}
