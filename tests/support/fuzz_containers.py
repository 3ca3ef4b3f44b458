# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile container images, by seeds; see parser_fuzz."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable

import zstandard
from ansible_collections.ocne.images.plugins.module_utils._containers import manifest as container_manifest
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import Reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import layout
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.encapsulated import describe_encapsulated
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.image_files import ImageFiles
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.layer_repository import LayerRepository
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.nginx_configuration import read_site
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree_archive import Options, build
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.streams import decompressed

from tests.support.fuzz_disks import Dice, flip
from tests.support.nginx_image import MAIN_CONFIGURATION, SITE_CONFIGURATION, write_image
from tests.support.ostree_image import COMMIT, SINGLE, load

_REFERENCE = Reference("oci", "/image:latest")
_DOCUMENT = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {"digest": "sha256:" + "1" * 64, "size": 7, "Labels": {"ostree.commit": "a"}, "ExposedPorts": {"80/tcp": {}}, "Cmd": ["x"]},
    "layers": [{"digest": "sha256:" + "2" * 64, "size": 9, "annotations": {"a": "b"}}],
    "manifests": [{"digest": "sha256:" + "3" * 64, "size": 9, "platform": {"architecture": "amd64", "os": "linux"}}],
    "architecture": "amd64",
    "created": "2026-01-01T00:00:00.10Z",
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "4" * 64]},
    "history": [{"created_by": "x"}],
    "annotations": {"a": "b"},
}
_STRANGE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    1.5,
    "",
    "x",
    "../../etc",
    "\ud800",
    "\0",
    [],
    [1],
    [None],
    {},
    {"a": []},
    [[[]]],
    "sha256:",
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON document."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def _blobs(folder: Path) -> Callable[[bytes], dict[str, Any]]:
    """What puts a blob into a folder, and gives its descriptor."""
    (folder / "sha256").mkdir(parents=True)

    def put(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (folder / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    return put


def metadata(dice: Dice, folder: Path) -> None:
    """Indexes, manifests and configurations whose parts are something else."""
    role = dice.choice(["index", "manifest", "config"])
    document = copy.deepcopy(_DOCUMENT)
    for _turn in range(dice.choice([1, 1, 2, 4])):
        holder, key = dice.choice(list(_places(document)))
        holder[key] = copy.deepcopy(dice.choice(_STRANGE))
    data = bytearray(json.dumps(document).encode())
    if dice.random() < 0.2:
        flip(dice, data)
    put = _blobs(folder)
    as_config = json.dumps({"config": put(bytes(data)), "layers": _DOCUMENT["layers"]}).encode()
    data_of_manifest = as_config if role == "config" else bytes(data)
    index = bytes(data) if role == "index" else json.dumps({"manifests": [put(data_of_manifest)]}).encode()
    (folder / "index.json").write_bytes(index)
    with suppress(OcneError):
        parsed = container_manifest.parse(bytes(data), _REFERENCE)
        sizes = container_manifest.layer_sizes(parsed)
        told = [container_manifest.content_digest(parsed), describe_encapsulated(parsed, sizes), container_manifest.media_type(parsed)]
        json.dumps(told).encode()
        for check in (container_manifest.instance, container_manifest.check_architecture):
            with suppress(OcneError):
                check(parsed, _REFERENCE, "amd64")
    image = layout.read_image(folder, folder)
    json.dumps([image.architecture, image.labels, image.digest]).encode()


@lru_cache(maxsize=1)
def _plain_layer() -> bytes:
    image = load(SINGLE)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member in image.layers[0]:
            archive.addfile(member.info, io.BytesIO(member.content) if member.content is not None else None)
    return buffer.getvalue()


def _headers(data: bytes) -> list[int]:
    """Where members' headers are."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.offset for member in archive]


@lru_cache(maxsize=1)
def _places_of_headers() -> list[int]:
    return _headers(_plain_layer())


#: Fields of a tar header: name, mode, uid, gid, size, type, link, magic, prefix.
_TAR_FIELDS = ((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (156, 1), (157, 100), (257, 8), (345, 155))
_TAR_VALUES = (
    b"../../../tmp/evil",
    b"/etc/evil",
    b"\xff\xfe",
    b"\x80" + b"\x7f" * 11,
    b"77777777777\0",
    b"-1",
    b"",
    b"L",
    b"K",
    b"x",
    b"g",
    b"1",
    b"2",
)


def _strange_tar(dice: Dice) -> bytes:
    data = bytearray(_plain_layer())
    for _turn in range(dice.choice([1, 1, 3])):
        place = dice.choice(_places_of_headers())
        if dice.random() < 0.7:
            offset, length = dice.choice(_TAR_FIELDS)
            value = dice.choice([dice.choice(_TAR_VALUES), dice.randbytes(3), bytes(data[place + offset : place + offset + length])[::-1]])
            data[place + offset : place + offset + length] = value[:length].ljust(length, b"\0")
        else:
            flip(dice, data, place, place + 512)
        if dice.random() < 0.9:
            data[place + 148 : place + 156] = b" " * 8
            data[place + 148 : place + 156] = b"%06o\0 " % sum(data[place : place + 512])
    if dice.random() < 0.1:
        del data[dice.randrange(len(data)) :]
    return bytes(data)


def _layout_of(folder: Path, plain: bytes, labels: Mapping[str, str]) -> layout.Image:
    """An image of one layer, whose digests are right."""
    put = _blobs(folder)
    diff_id = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    config = {"architecture": "amd64", "config": {"Labels": {**labels, "ostree.final-diffid": diff_id}}, "rootfs": {"diff_ids": [diff_id]}}
    manifest = {"config": put(json.dumps(config).encode()), "layers": [put(plain)]}
    (folder / "index.json").write_text(json.dumps({"manifests": [put(json.dumps(manifest).encode())]}))
    return layout.read_image(folder, folder)


_BASE = {
    "etc/nginx/nginx.conf": MAIN_CONFIGURATION.encode(),
    "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=80, root="/www").encode(),
}


def container(dice: Dice, folder: Path) -> None:
    """Layers of an ostree container, of a base image and of an archive; nothing is written but the archive."""
    plain = _strange_tar(dice)
    source = _layout_of(folder / "source", plain, {"ostree.commit": COMMIT})
    with suppress(BuildError), source.open_layer(0) as stream:
        files = ImageFiles()
        files.add_layer(stream)
        files.resolve("/sysroot/ostree/../../etc")
    with suppress(BuildError):
        LayerRepository(source)
    write_image(folder / "base", (_BASE,))
    base = layout.read_image(folder / "base", folder / "base/blobs")
    (folder / "out").mkdir()
    try:
        build(source, base, Options(compression_level=1), folder / "out/archive")
    finally:
        assert {path.name for path in folder.iterdir()} == {"source", "base", "out"}
        assert {path.name for path in (folder / "out").iterdir()} <= {"archive"}


_NGINX = (
    "http {",
    "server {",
    "}",
    ";",
    "root ",
    "/www",
    "listen ",
    "80",
    "include ",
    "*.conf",
    "a.conf",
    "location / {",
    '"',
    "'",
    "#",
    "\n",
    " ",
    "\\",
)


def nginx(dice: Dice, _folder: Path) -> None:
    """Configurations of a base image's web server."""
    files = ImageFiles()
    for name in ("nginx.conf", "a.conf", "b.conf"):
        text = "".join(dice.choice(_NGINX) for _turn in range(dice.choice([3, 30, 300])))
        files._add(f"/etc/nginx/{name}", text.encode())
    try:
        read_site(files, "/etc/nginx/nginx.conf", "/ostree/config")
    except ValueError as error:
        raise BuildError(str(error)) from error


def stream(dice: Dice, _folder: Path) -> None:
    """gzip and zstd: cut, changed, with members and frames of nothing; no piece is large."""
    plain = dice.randbytes(3000) + bytes(dice.choice([0, 100_000]))
    packed = gzip.compress(plain, mtime=0) if dice.random() < 0.5 else zstandard.ZstdCompressor().compress(plain)
    data = bytearray(packed * dice.choice([1, 2]))
    for _turn in range(dice.choice([0, 1, 3])):
        flip(dice, data, 4)
    if dice.random() < 0.3:
        del data[dice.randrange(4, len(data)) :]
    step = dice.choice([1, 7, 1000, len(data)])
    for piece in decompressed((bytes(data[at : at + step]) for at in range(0, len(data), step)), "it"):
        assert 0 < len(piece) <= 1 << 20
