# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes OCI image layouts: container images whose layers are given as files, without a container engine.

Formats: OCI image specification 1.1 (image-layout, manifest, config, layer).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Union, cast

import zstandard

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYERS = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}
Json = dict[str, Any]


# A layer: names in it, each with its content or the file that has it.
Layer = Mapping[str, Union[bytes, Path]]


class _HashingWriter(io.RawIOBase):
    def __init__(self, target: Any) -> None:
        self.target = target
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.target.write(data)
        self.digest.update(data)
        self.size += len(data)
        return len(data)


class Layout:
    """An OCI layout folder that images are added to.

    >>> layout = Layout(folder)
    >>> manifest = layout.add_image([{"disk/boot.qcow2": path}], "amd64", "gzip")
    >>> layout.tag("latest", layout.add_index([manifest]))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._tags: list[Json] = []

    def add_blob(self, content: bytes, media_type: str) -> Json:
        """Store a blob; its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def add_layer(self, files: Layer, compression: str) -> tuple[Json, str]:
        """Store a layer; its descriptor and the digest of its tar."""
        partial = self.blobs / "partial"
        with partial.open("wb") as target:
            stored = _HashingWriter(target)
            with _compressor(stored, compression) as compressor:
                plain = _HashingWriter(compressor)
                with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                    _add_files(archive, files)
        digest = stored.digest.hexdigest()
        partial.rename(self.blobs / digest)
        descriptor = {"mediaType": LAYERS[compression], "digest": f"sha256:{digest}", "size": stored.size}
        return descriptor, f"sha256:{plain.digest.hexdigest()}"

    def add_image(self, layers: Sequence[Layer], architecture: str, compression: str) -> Json:
        """Store an image; the descriptor of its manifest, with the platform."""
        stored = [self.add_layer(files, compression) for files in layers]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _descriptor, diff_id in stored]},
            "history": [{"created_by": "ocne.images tests"} for _layer in stored],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add_blob(json.dumps(config).encode(), CONFIG),
            "layers": [descriptor for descriptor, _diff_id in stored],
        }
        platform = {"architecture": architecture, "os": "linux"}
        return {**self.add_blob(json.dumps(manifest).encode(), MANIFEST), "platform": platform}

    def add_index(self, manifests: Sequence[Json]) -> Json:
        """Store an index of several images; its descriptor."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}
        return self.add_blob(json.dumps(index).encode(), INDEX)

    def tag(self, name: str, descriptor: Json) -> None:
        """Give an image or an index a name."""
        self._tags.append({**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}})
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self._tags}
        (self.folder / "index.json").write_text(json.dumps(index))


def _add_files(archive: tarfile.TarFile, files: Layer) -> None:
    """Names with their content; owner and mode as the containerDisk convention has them (107 is qemu's user)."""
    for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o555, 107, 107
        archive.addfile(entry)
    for name, content in files.items():
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid = 0o440, 107, 107
        if isinstance(content, bytes):
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        else:
            entry.size = content.stat().st_size
            with content.open("rb") as stream:
                archive.addfile(entry, stream)


@contextmanager
def _compressor(target: _HashingWriter, compression: str) -> Iterator[Any]:
    """A stream whose compressed form goes to the target."""
    if compression == "none":
        yield target
    elif compression == "zstd":
        with zstandard.ZstdCompressor(level=1).stream_writer(cast(BinaryIO, target), closefd=False) as packed:
            yield packed
    else:
        with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1, mtime=0) as zipped:
            yield zipped
