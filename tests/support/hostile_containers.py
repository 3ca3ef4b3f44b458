# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images that are made to do harm: one row for each attack, with what has to be said of it.

Formats: https://github.com/opencontainers/image-spec. Digests are right where an attack is not about them.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable

import zstandard

from tests.support.container_image import CONFIG, LAYERS, MANIFEST, Layout
from tests.support.ostree_image import OBJECTS, SINGLE, OstreeImage, load
from tests.support.tiny_boot_disk import TinyDisk

#: From the folder where the modules' cache keeps layouts to a folder beside the cache.
FROM_CACHE = "../../../"
#: What is to be left alone: a folder beside the cache, and the place that members of archives name.
VICTIM = "victim"


@dataclass(frozen=True)
class Attack:
    """:param make: writes an image into the folder, and gives the reference to it. said: a pattern in the message."""

    make: Callable[[Path], str]
    said: str


@lru_cache(maxsize=1)
def _disk() -> bytes:
    return bytes(TinyDisk().qcow2(compressed=True))


def member(name: str, content: bytes = b"", **attributes: Any) -> bytes:
    """A member of a tar; with a size among the attributes, one that lies about it."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")


def write_image(
    folder: Path,
    plain: bytes,
    packed: bytes | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> str:
    """An image of one layer, given by its tar and by what is stored of it; config and manifest: what else these have."""
    layout = Layout(folder)
    stored = gzip.compress(plain, 1, mtime=0) if packed is None else packed
    layer = layout.add_blob(stored, LAYERS["zstd" if stored[:4] == b"\x28\xb5\x2f\xfd" else "gzip"])
    diff_ids = [f"sha256:{hashlib.sha256(plain).hexdigest()}"]
    facts = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}, **(config or {})}
    described = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add_blob(json.dumps(facts).encode(), CONFIG),
        "layers": [layer],
    }
    layout.tag("latest", layout.add_blob(json.dumps({**described, **(manifest or {})}).encode(), MANIFEST))
    return f"oci:{folder}:latest"


def _layer(*members: bytes, **more: Any) -> Callable[[Path], str]:
    return lambda folder: write_image(folder, b"".join(members) + bytes(1024), **more)


def _of_disk(**more: Any) -> Callable[[Path], str]:
    return lambda folder: write_image(folder, member("disk/boot.qcow2", _disk()) + bytes(1024), **more)


def _packed(pack: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        plain = member("disk/boot.qcow2", _disk()) + bytes(1024)
        return write_image(folder, plain, pack(plain))

    return make


def _index(entries: Sequence[Mapping[str, Any]]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        layout = Layout(folder)
        layout.tag("latest", layout.add_index([dict(entry) for entry in entries]))
        return f"oci:{folder}:latest"

    return make


def _entry(digest: str) -> dict[str, Any]:
    return {"mediaType": MANIFEST, "digest": digest, "size": 500, "platform": {"architecture": "amd64", "os": "linux"}}


def _spoilt(what: str) -> Callable[[Path], str]:
    """An image one of whose blobs has other bytes than its digest says: 'layer', 'config', or 'manifest'."""

    def make(folder: Path) -> str:
        reference = write_image(folder, member("disk/boot.qcow2", _disk()) + bytes(1024))
        digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        if what != "manifest":
            manifest = json.loads((folder / "blobs" / digest.replace(":", "/")).read_text())
            digest = (manifest["layers"][0] if what == "layer" else manifest["config"])["digest"]
        path = folder / "blobs" / digest.replace(":", "/")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        return reference

    return make


def _wide_window(plain: bytes) -> bytes:
    """zstd whose reader would have to keep two gigabytes."""
    packed = bytearray(b"\x28\xb5\x2f\xfd\x00\xa8")  # no content size; a window of 2^31 bytes (RFC 8878, 3.1.1.1.2)
    for at in range(0, len(plain), 100_000):
        part = plain[at : at + 100_000]
        last = at + len(part) == len(plain)
        packed += (len(part) << 3 | last).to_bytes(3, "little") + part
    return bytes(packed)


#: Images of boot disks.
DISKS: Mapping[str, Attack] = {
    "index names a path": Attack(_index([_entry(f"sha256:{FROM_CACHE}{VICTIM}")]), "which is no digest"),
    "index names an absolute path": Attack(_index([_entry("/etc")]), "which is no digest"),
    "index names what is not there": Attack(_index([_entry("sha256:" + "0" * 64)]), "no such file|missing"),
    "index of strange things": Attack(_index([{"platform": ["amd64"], "digest": 7}]), "platform is no object"),
    "layer's digest is another": Attack(_spoilt("layer"), "[Dd]igest"),
    "config's digest is another": Attack(_spoilt("config"), "[Dd]igest"),
    "manifest's digest is another": Attack(_spoilt("manifest"), "[Dd]igest|no such file"),
    "diff id is another": Attack(
        _of_disk(config={"rootfs": {"type": "layers", "diff_ids": ["sha256:" + "1" * 64]}}), "config says sha256:1111"
    ),
    "no diff id": Attack(_of_disk(config={"rootfs": {"type": "layers", "diff_ids": []}}), "diff id|DiffIDs"),
    "config is a list": Attack(_of_disk(config={"config": ["x"]}), "config is no object|cannot unmarshal"),
    "labels are a list": Attack(_of_disk(config={"config": {"Labels": ["x"]}}), "Labels is no object|cannot unmarshal"),
    "labels that are no text": Attack(_of_disk(config={"config": {"Labels": {"a": "\ud800"}}}), "no text"),
    "annotations are a list": Attack(_of_disk(manifest={"annotations": ["x"]}), "annotations is no object"),
    "layers are none": Attack(_of_disk(manifest={"layers": {}}), "layers is no list"),
    "size without end": Attack(_of_disk(manifest={"config": {"digest": "sha256:" + "1" * 64, "size": 1 << 70}}), "."),
    "metadata of megabytes": Attack(_of_disk(manifest={"annotations": {"a": "x" * (5 << 20)}}), "larger|too big|exceed|bytes"),
    "no tar": Attack(lambda folder: write_image(folder, b"no tar at all" * 1000), "is no sound tar stream"),
    "xz": Attack(_packed(lzma.compress), "is no sound tar stream|media"),
    "gzip cut": Attack(_packed(lambda plain: gzip.compress(plain, 1)[:-1000]), "gzip stream ends too early"),
    "zstd cut": Attack(_packed(lambda plain: zstandard.compress(plain)[:-1000]), "zstd stream ends too early|zstd stream is damaged"),
    "zstd with a window of gigabytes": Attack(_packed(_wide_window), "zstd stream is damaged"),
    "disk is a symlink": Attack(_layer(member("disk/boot.qcow2", type=tarfile.SYMTYPE, linkname="/etc/shadow")), "is no regular file"),
    "disk is a hard link": Attack(_layer(member("disk/boot.qcow2", type=tarfile.LNKTYPE, linkname="etc/shadow")), "is no regular file"),
    "disk is a device": Attack(_layer(member("disk/boot.qcow2", type=tarfile.BLKTYPE, devmajor=8)), "is no regular file"),
    "disk twice": Attack(_layer(member("disk/a.qcow2", _disk()), member("disk/a.qcow2", _disk())), "holds several disks"),
    "disk of 401 GB": Attack(_layer(member("disk/boot.qcow2", size=401 * 10**9)), "more than the limit of 400000000000"),
    "disk cut": Attack(_layer(member("disk/boot.qcow2", b"QFI\xfb", size=1 << 30)), "it ends too early"),
    "disk elsewhere": Attack(
        _layer(*(member(f"{place}/boot.qcow2", _disk()) for place in (f"{FROM_CACHE}{VICTIM}", "/disk", "disk/../disk2", "../disk"))),
        "holds n",
    ),
    "member of a name without end": Attack(
        _layer(member("x", size=1 << 30, type=tarfile.GNUTYPE_LONGNAME)), "larger than the 4096 it can have"
    ),
    "sparse member": Attack(_layer(member("disk/boot.qcow2", type=tarfile.GNUTYPE_SPARSE)), "a member is sparse"),
    "disk with a backing file": Attack(
        _layer(member("disk/boot.qcow2", _disk()[:8] + (1024).to_bytes(8, "big") + _disk()[16:])), "has a backing file"
    ),
}


def _ostree(change: Callable[[OstreeImage], object]) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        image = load(SINGLE)
        change(image)
        image.write(folder)
        return f"oci:{folder}:latest"

    return make


def _inserted(name: str, content: bytes = b"x", **attributes: Any) -> Callable[[Path], str]:
    return _ostree(lambda image: image.insert_after(image.find(".commit"), name, content, **attributes))


def _attributes(suffix: str, **attributes: Any) -> Callable[[Path], str]:
    def change(image: OstreeImage) -> None:
        for key, value in attributes.items():
            setattr(image.find(suffix).info, key, value)

    return _ostree(change)


def _again(image: OstreeImage) -> None:
    found = image.find(".dirtree")
    image.insert_after(found, found.info.name, found.content or b"")


_X = "a" * 62

#: Containers of ostree commits; more of them, without a registry between, are in tests/unit/ostree.
OSTREE: Mapping[str, Attack] = {
    "object that climbs": Attack(_inserted(f"{OBJECTS}/{FROM_CACHE}{VICTIM}/evil"), "is no name of an ostree object"),
    "object is a link out": Attack(
        _attributes(".file", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "neither a regular file nor a symlink"
    ),
    "object is a device": Attack(_attributes(".file", type=tarfile.CHRTYPE), "neither a regular file nor a symlink"),
    "object is another": Attack(_attributes(".file", uid=12), "is damaged: its checksum is"),
    "object is missing": Attack(_ostree(lambda image: image.remove(image.find(".file"))), "is missing from the image"),
    "directory is missing": Attack(_ostree(lambda image: image.remove(image.find(".dirtree", 60))), "is missing"),
    "commit is missing": Attack(_ostree(lambda image: image.remove(image.find(".commit"))), "comes before the commit"),
    "object twice": Attack(_ostree(_again), "is in the image twice"),
    "directory of megabytes": Attack(
        _ostree(lambda image: setattr(image.find(".dirmeta"), "content", bytes(11 << 20))), "larger than the 10485760"
    ),
    "attributes of megabytes": Attack(_inserted(f"{OBJECTS}/aa/{_X}.file-xattrs", bytes(2 << 20)), "larger than the 1048576"),
    "label of another commit": Attack(_ostree(lambda image: image.labels.update({"ostree.commit": "b" * 64})), "its label says bbb"),
    "no ostree container": Attack(DISKS["disk twice"].make, "is no ostree container"),
}


def archive_that_climbs(folder: Path) -> str:
    """An OCI archive whose own members are meant to be written elsewhere."""
    DISKS["disk twice"].make(folder / "layout")
    path = folder / "archive.tar"
    with tarfile.open(path, "w") as archive:
        for each in sorted((folder / "layout").rglob("*")):
            archive.add(each, str(each.relative_to(folder / "layout")), recursive=False)
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(folder.parent.parent / VICTIM)
        archive.addfile(link)
        for name in ("../../../../victim/evil", str(folder.parent.parent / VICTIM / "evil"), "out/evil"):
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"evil"))
    return f"oci-archive:{path}"


#: Archives that skopeo unpacks.
ARCHIVES: Mapping[str, Attack] = {
    "archive that climbs": Attack(archive_that_climbs, "."),
}
