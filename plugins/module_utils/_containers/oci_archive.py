# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what describes the image of an OCI archive, in place.

skopeo unpacks the whole archive to learn its digest, which takes as long as copying it.
Formats: https://github.com/opencontainers/image-spec, image-layout.md; containers-transports(5), oci-archive.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any, cast

from .manifest import digest_of, parse
from .reference import Reference

_REF_NAME = "org.opencontainers.image.ref.name"
#: Index, manifest and configuration are smaller.
_LIMIT = 4 << 20


class Unreadable(Exception):
    """It cannot be read in place: compressed, damaged, or not there. skopeo may read it, or say what is wrong."""


def read_manifest(reference: Reference) -> bytes:
    """The manifest (or index) that the reference names, byte for byte.

    :raises Unreadable: see there.
    """
    blobs = _Members(cast(Path, reference.path))
    index = blobs.json("index.json", reference)
    entries = [entry for entry in index.get("manifests") or [] if isinstance(entry, dict)]
    if reference.name:
        entries = [entry for entry in entries if (entry.get("annotations") or {}).get(_REF_NAME) == reference.name]
    if len(entries) != 1:
        raise Unreadable
    digest = str(entries[0].get("digest"))
    raw = blobs.read(f"blobs/{digest.replace(':', '/')}")
    if digest_of(raw) != digest:
        raise Unreadable
    return raw


class _Members:
    """The small files of an uncompressed tar. Its headers are read once; contents are skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with tarfile.open(path, "r:") as archive:
                self._files = {
                    member.name[2:] if member.name.startswith("./") else member.name: (member.offset_data, member.size)
                    for member in archive
                    if member.isreg()
                }
        except (OSError, tarfile.TarError) as error:
            raise Unreadable from error

    def read(self, name: str) -> bytes:
        offset, size = self._files.get(name, (0, _LIMIT + 1))
        if size > _LIMIT:
            raise Unreadable
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def json(self, name: str, reference: Reference) -> dict[str, Any]:
        return parse(self.read(name), reference)
