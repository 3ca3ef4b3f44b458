# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image, or several that share one layer, as the archive that 'docker load' and 'ctr images import' read.

Format: https://github.com/moby/docker-image-spec (image tar archive).
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
_TIME = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Image:
    """The images' names, and how a container of it runs."""

    tags: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)


def write_archive(dest: Path, layer: Path, images: Sequence[Image]) -> None:
    """Write an archive of images whose only layer is the tar at layer."""
    digest = hashlib.sha256()
    with layer.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    with tarfile.open(dest, "w") as archive:
        archive.add(layer, "layer.tar")
        manifest = []
        for image in images:
            config = {
                "architecture": _ARCHITECTURE,
                "os": "linux",
                "created": _TIME,
                "config": image.config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
                "history": [{"created": _TIME}],
            }
            content = json.dumps(config, sort_keys=True).encode()
            name = f"{hashlib.sha256(content).hexdigest()}.json"
            _add(archive, name, content)
            manifest.append({"Config": name, "RepoTags": list(image.tags), "Layers": ["layer.tar"]})
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    if name in archive.getnames():
        return
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
