# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encapsulated ostree containers for tests: the fixtures, taken apart, changed, and put together as sound images again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import stat
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Optional

import zstandard

from tests.support.container_image import CONFIG, LAYERS, MANIFEST, Layout

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SINGLE, CHUNKED = FIXTURES / "ock-ostree-edge-single.oci.tar", FIXTURES / "ock-ostree-edge-chunked.oci.tar"
COMMIT = "077e037555471c16cb31fe425acd1780db35f66123e74fdf6c91ac0404750058"
OBJECTS = "sysroot/ostree/repo/objects"

_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "zstd": zstandard.ZstdCompressor(level=1).compress,
    "none": lambda data: data,
}
_DOCKER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass
class Member:
    """A member of a layer. content: None for what has none."""

    info: tarfile.TarInfo
    content: Optional[bytes]


@dataclass
class OstreeImage:
    """An image, open for changes; write() makes it one whose digests are right again."""

    layers: list[list[Member]]
    labels: dict[str, str]
    architecture: str = "amd64"
    #: How many of the last layers are not of the commit.
    derived: int = 0

    def find(self, suffix: str, at_least: int = 0) -> Member:
        """The first member whose name ends like that, with so many bytes."""
        return next(
            member for layer in self.layers for member in layer if member.info.name.endswith(suffix) and member.info.size >= at_least
        )

    def remove(self, wanted: Member) -> None:
        for layer in self.layers:
            layer[:] = [member for member in layer if member is not wanted]

    def insert_after(self, place: Member, name: str, content: bytes, **attributes: Any) -> None:
        """Put a regular file (or what the attributes make of it) into a layer."""
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for key, value in attributes.items():
            setattr(info, key, value)
        for layer in self.layers:
            at = next((index for index, member in enumerate(layer) if member is place), None)
            if at is not None:
                layer.insert(at + 1, Member(info, content))

    def write(self, dest: Path, compression: str = "gzip", docker: bool = False, tar_format: int = tarfile.GNU_FORMAT) -> str:
        """Make the folder dest an OCI layout of the image, tagged 'latest'; the digest of its manifest."""
        layout = Layout(dest)
        layers, diff_ids = [], []
        for members in self.layers:
            plain = _tar(members, tar_format)
            layers.append(layout.add_blob(_COMPRESSORS[compression](plain), _DOCKER if docker else LAYERS[compression]))
            diff_ids.append(f"sha256:{hashlib.sha256(plain).hexdigest()}")
        labels = {"ostree.final-diffid": diff_ids[-1 - self.derived], **self.labels}
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {"Labels": {key: value for key, value in labels.items() if value}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": layout.add_blob(json.dumps(config).encode(), CONFIG),
            "layers": layers,
        }
        descriptor = layout.add_blob(json.dumps(manifest).encode(), MANIFEST)
        layout.tag("latest", descriptor)
        return str(descriptor["digest"])


def load(fixture: Path) -> OstreeImage:
    """The fixture's image, the caller's own."""
    image: OstreeImage = pickle.loads(_pickled(fixture))
    return image


@lru_cache(maxsize=4)
def _pickled(fixture: Path) -> bytes:
    with tarfile.open(fixture) as archive:

        def blob(digest: str) -> bytes:
            return _content(archive, archive.getmember(f"blobs/sha256/{digest[7:]}"))

        index = json.loads(_content(archive, archive.getmember("index.json")))
        manifest = json.loads(blob(index["manifests"][0]["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))
        layers = []
        for layer in manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer["digest"])))) as members:
                layers.append([Member(info, _content(members, info) if info.isreg() else None) for info in members])
    labels = dict(config["config"]["Labels"])
    labels.pop("ostree.final-diffid")
    return pickle.dumps(OstreeImage(layers, labels, config["architecture"]))


def as_version_0(image: OstreeImage) -> OstreeImage:
    """The image in the format that early writers used: extended attributes elsewhere, types in modes, './' before paths."""
    members: list[Member] = []
    for member in (member for layer in image.layers for member in layer):
        info, name = member.info, member.info.name
        if name.endswith((".file-xattrs-link", ".file-xattrs")) and (info.linkname or name).rpartition("/objects/")[2].startswith(
            "e3/b0c44298"
        ):
            continue  # empty sets are not written
        if name.endswith(".file-xattrs"):
            info.name = _set_path(name)
        elif name.endswith(".file-xattrs-link"):
            info.name, info.linkname = name.replace(".file-xattrs-link", ".file.xattrs"), _set_path(info.linkname)
        elif name.endswith(".file"):
            info.mode |= stat.S_IFLNK if info.issym() else stat.S_IFREG
        if not name.endswith("repo/config"):
            info.name = f"./{info.name}"
            members.append(member)
    return OstreeImage([members], image.labels, image.architecture)


def _set_path(name: str) -> str:
    return "sysroot/ostree/repo/xattrs/" + name.rpartition("/objects/")[2].replace("/", "").partition(".")[0]


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info)
    assert stream is not None
    return stream.read()


def _tar(members: list[Member], tar_format: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for member in members:
            content = member.content if member.info.isreg() else None
            member.info.size = len(content or b"")
            archive.addfile(member.info, io.BytesIO(content) if content is not None else None)
    return buffer.getvalue()
