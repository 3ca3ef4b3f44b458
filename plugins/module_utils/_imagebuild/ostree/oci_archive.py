# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes an OCI archive: a tar of an image layout, with one image.

Formats: https://github.com/opencontainers/image-spec, image-layout.md; podman and skopeo call it oci-archive.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable
from typing import Any, BinaryIO

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"

_BLOCK = 512


class OciArchive:
    """Writes blobs as they come, and at last what names them. The same calls give the same bytes.

    :param file: seekable; it is written from its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        for directory in ("blobs", "blobs/sha256"):
            info = tarfile.TarInfo(directory)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            self._file.write(info.tobuf(tarfile.GNU_FORMAT))
        self._add("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))

    def add_blob(self, digest: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a blob whose digest is known."""
        self._file.write(_header(_blob_name(digest), size))
        for chunk in chunks:
            self._file.write(chunk)
        self._pad(size)

    def begin_blob(self) -> int:
        """What is now written to the file is a blob, until end_blob() says which. Returns where its header goes."""
        start = self._file.tell()
        self._file.write(bytes(_BLOCK))
        return start

    def end_blob(self, start: int, digest: str, size: int) -> None:
        """Give the blob that begin_blob() began its name and size."""
        self._pad(size)
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_header(_blob_name(digest), size))
        self._file.seek(end)

    def add_json(self, value: dict[str, Any], media_type: str) -> dict[str, Any]:
        """Add a blob of JSON; its descriptor."""
        data = _json(value)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.add_blob(digest, len(data), [data])
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def close(self, manifest: dict[str, Any], name: str) -> None:
        """End the archive.

        :param manifest: descriptor of the image's manifest.
        :param name: what the image is called once it is loaded.
        """
        # containerd and Docker take the whole name from an annotation of their own.
        entry = {**manifest, "annotations": {REF_NAME: name, "io.containerd.image.name": name}}
        self._add("index.json", _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}))
        self._file.write(bytes(2 * _BLOCK))

    def _add(self, name: str, data: bytes) -> None:
        self._file.write(_header(name, len(data)))
        self._file.write(data)
        self._pad(len(data))

    def _pad(self, size: int) -> None:
        self._file.write(bytes(-size % _BLOCK))


def _blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
