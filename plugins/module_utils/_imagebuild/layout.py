# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images in an OCI image layout: manifests, layers, and their bytes, verified.

Formats: https://github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md, layer.md) and Docker's
image manifest version 2, schema 2, whose fields have the same names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BuildError
from .image_metadata import load_metadata
from .progress import Progress, silent
from .streams import ChunkReader, Count, counted, decompressed, hashed, read_ahead, read_chunks
from .tarstream import TarStream

#: No manifest and no config is larger (registries refuse manifests above 4 MiB).
METADATA_LIMIT = 4 << 20
#: A layer may unpack to so many bytes, and a large one to so many times its size: disks with much free space do, bombs to more.
_UNPACKED_LIMIT, _UNPACKED_RATIO = 16 << 30, 200
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class DamagedBlob(BuildError):
    """A blob is missing, or its bytes are not those its digest names.

    :param path: the blob's file, for those who can fetch it again.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message, "Remove it and fetch it again.")
        self.path = path


@dataclass(frozen=True)
class Descriptor:
    """A blob as a manifest names it. size in bytes, of the blob as stored."""

    digest: str
    size: int
    media_type: str
    annotations: dict[str, str]


@dataclass(frozen=True)
class Image:
    """One image of a layout.

    :param blobs: the folder with files <algorithm>/<hex>.
    :param digest: of the manifest.
    :param config: the image configuration, as JSON gives it.
    :param diff_ids: digests of the layers' uncompressed bytes, in the order of layers.
    """

    blobs: Path
    digest: str
    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]

    @property
    def architecture(self) -> str:
        return str(self.config.get("architecture", ""))

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the configuration."""
        labels = (self.config.get("config") or {}).get("Labels") or {}
        return {str(key): str(value) for key, value in labels.items()}

    @contextmanager
    def open_layer(self, index: int, progress: Progress = silent) -> Iterator[TarStream]:
        """The layer as a tar stream. Verified as by read_layer()."""
        with ExitStack() as stack:
            reader = stack.enter_context(self.read_layer(index, progress))
            yield TarStream(reader, f"layer {self.layers[index].digest}")

    @contextmanager
    def read_layer(self, index: int, progress: Progress = silent) -> Iterator[ChunkReader]:
        """The layer's uncompressed bytes, read, hashed and decompressed by a thread of their own.

        When the block ends without an error, the layer is read to its end and verified: its digest, size, and diff id.

        :raises DamagedBlob: the bytes are not what the manifest and the config name.
        :raises BuildError: the layer is missing, cut short, or damaged.
        """
        layer, diff_id = self.layers[index], self.diff_ids[index]
        path = blob_path(self.blobs, layer.digest)
        what = f"layer {layer.digest}"
        _check_present(path, layer)
        stored, plain = hashlib.sha256(), hashlib.sha256()
        count = Count()
        raw = hashed(counted(read_chunks(path), count), stored)
        try:
            limit = max(_UNPACKED_LIMIT, _UNPACKED_RATIO * layer.size)
            with read_ahead(hashed(_limited(decompressed(raw, what), limit, what), plain)) as chunks:
                reader = ChunkReader(_reported(chunks, count, f"reading {what[:25]}", layer.size, progress))
                yield reader
                reader.drain()
        except BuildError:
            # A wrong digest explains whatever else went wrong, so it is the better message.
            _check_digest(path, layer.digest, _sha256(path), what)
            raise
        _check_digest(path, layer.digest, stored.hexdigest(), what)
        if plain.hexdigest() != diff_id.partition(":")[2]:
            raise BuildError(
                f"{what}: its content has the digest sha256:{plain.hexdigest()}, the image's config says {diff_id}.",
                "The image is broken: tell its publisher.",
            )


def blob_path(blobs: Path, digest: str) -> Path:
    """Where a layout keeps the blob.

    :raises BuildError: the digest is not sha256, or not well-formed.
    """
    if not _DIGEST.fullmatch(digest):
        raise BuildError(f"{digest[:100]!r} is not a sha256 digest.", "Only images with sha256 digests can be read.")
    return blobs / "sha256" / digest[7:]


def read_image(layout: Path, blobs: Path) -> Image:
    """The only image of the layout.

    :param layout: the folder with index.json.
    :param blobs: its folder of blobs; layout / 'blobs' where none is shared.
    :raises BuildError: it is missing, holds several images, is malformed, or its metadata are not what digests name.
    """
    index = _parse(_read_limited(layout / "index.json"), f"{layout}/index.json")
    manifests = index.get("manifests")
    if not isinstance(manifests, list) or len(manifests) != 1:
        raise BuildError(f"{layout}/index.json names {len(manifests or [])} images, not one.")
    digest = _descriptor(manifests[0], "index.json").digest
    manifest = _parse(read_metadata(blobs, digest), f"manifest {digest}")
    if not isinstance(manifest.get("config"), dict) or not isinstance(manifest.get("layers"), list):
        raise BuildError(f"manifest {digest} is not that of an image: it has no config or no layers.")
    config_digest = _descriptor(manifest["config"], f"manifest {digest}").digest
    config = _parse(read_metadata(blobs, config_digest), f"config {config_digest}")
    layers = tuple(_descriptor(layer, f"manifest {digest}") for layer in manifest["layers"])
    rootfs = config.get("rootfs")
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) != len(layers):
        raise BuildError(f"config {config_digest} does not name one diff id for each of the {len(layers)} layers.")
    return Image(blobs, digest, manifest, config, layers, tuple(str(diff_id) for diff_id in diff_ids))


def read_metadata(blobs: Path, digest: str) -> bytes:
    """A small blob (manifest, config), verified.

    :raises DamagedBlob: its bytes are not what the digest names.
    """
    path = blob_path(blobs, digest)
    data = _read_limited(path)
    _check_digest(path, digest, hashlib.sha256(data).hexdigest(), f"blob {digest}")
    return data


def _check_present(path: Path, layer: Descriptor) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DamagedBlob(path, f"layer {layer.digest} is missing from the layout.") from None
    if size != layer.size:
        raise DamagedBlob(path, f"layer {layer.digest} has {size} bytes, its manifest says {layer.size}.")


def _check_digest(path: Path, wanted: str, found: str, what: str) -> None:
    if wanted != f"sha256:{found}":
        raise DamagedBlob(path, f"{what}: its bytes have the digest sha256:{found}.")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    for _chunk in hashed(read_chunks(path), digest):
        pass
    return digest.hexdigest()


def _limited(chunks: Iterable[bytes], limit: int, what: str) -> Iterator[bytes]:
    """The same chunks; an error where they are more than limit bytes together."""
    left = limit
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise BuildError(f"{what} unpacks to more than {limit} bytes: it is made to fill disks.", "Do not use this image.")
        yield chunk


def _reported(chunks: Iterator[bytes], count: Count, activity: str, total: int, progress: Progress) -> Iterator[bytes]:
    for chunk in chunks:
        progress(activity, count.bytes, total)
        yield chunk


def _read_limited(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(METADATA_LIMIT + 1)
    except FileNotFoundError:
        raise DamagedBlob(path, f"{path} is missing.") from None
    except OSError as error:
        raise BuildError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > METADATA_LIMIT:
        raise BuildError(f"{path} is larger than {METADATA_LIMIT} bytes: no image metadata is.")
    return data


def _parse(data: bytes, what: str) -> dict[str, Any]:
    try:
        return load_metadata(data)
    except ValueError as error:
        raise BuildError(f"{what} is no image's metadata ({error}).", "The image is broken: tell its publisher.") from error


def _descriptor(value: object, where: str) -> Descriptor:
    if not isinstance(value, dict):
        raise BuildError(f"{where}: a descriptor is not a JSON object.")
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not isinstance(size, int) or size < 0:
        raise BuildError(f"{where}: a descriptor has no digest or no size.")
    annotations = value.get("annotations") or {}
    return Descriptor(digest, size, str(value.get("mediaType", "")), {str(k): str(v) for k, v in annotations.items()})
