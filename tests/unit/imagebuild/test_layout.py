# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import layout as module
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.boot_image import extract_disk, private_file
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.tarstream import REGULAR

from tests.support.container_image import Layout

Files = dict[str, bytes]


def image(folder: Path, *layers: Files) -> module.Image:
    made = Layout(folder)
    made.tag("x", made.add_image(list(layers), "amd64", "gzip"))
    return module.read_image(folder, folder / "blobs")


def put(folder: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(content)
    return f"sha256:{digest}"


def rewrite(folder: Path, **changes: Any) -> None:
    """Give the image another manifest, with these keys changed."""
    index = json.loads((folder / "index.json").read_text())
    manifest = json.loads((folder / "blobs" / index["manifests"][0]["digest"].replace(":", "/")).read_text())
    content = json.dumps({**manifest, **changes}).encode()
    index["manifests"][0].update(digest=put(folder, content), size=len(content))
    (folder / "index.json").write_text(json.dumps(index))


def test_members_of_a_layer_come_in_order(tmp_path: Path) -> None:
    read = image(tmp_path, {"a": b"1", "b/c": b"22"})
    with read.open_layer(0) as layer:
        found = {member.name: layer.content(100) for member in layer if member.type == REGULAR}
    assert found == {b"a": b"1", b"b/c": b"22"}
    assert read.architecture == "amd64"


@pytest.mark.parametrize("read_all", [True, False])
def test_a_layer_is_verified_although_only_a_part_was_asked_for(tmp_path: Path, read_all: bool) -> None:
    read = image(tmp_path, {"a": b"1", "b": bytes(100_000)})
    path = module.blob_path(read.blobs, read.layers[0].digest)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1  # in the stream's end, behind all content
    path.write_bytes(data)
    with pytest.raises(module.DamagedBlob, match="its bytes have the digest") as caught, read.open_layer(0) as layer:
        for _member in layer:
            if not read_all:
                break
    assert caught.value.path == path


def test_a_wrong_diff_id_is_the_publisher_s_fault(tmp_path: Path) -> None:
    read = dataclasses.replace(image(tmp_path, {"a": b"1"}), diff_ids=("sha256:" + "0" * 64,))
    with pytest.raises(BuildError, match="the image's config says sha256:0000") as caught, read.open_layer(0):
        pass
    assert not isinstance(caught.value, module.DamagedBlob)


def test_a_blob_that_is_missing_or_short_can_be_fetched_again(tmp_path: Path) -> None:
    read = image(tmp_path, {"a": b"1"})
    path = module.blob_path(read.blobs, read.layers[0].digest)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(module.DamagedBlob, match="bytes, its manifest says"), read.open_layer(0):
        pass
    path.unlink()
    with pytest.raises(module.DamagedBlob, match="is missing"), read.open_layer(0):
        pass


def test_a_layer_that_is_no_tar_is_named(tmp_path: Path) -> None:
    image(tmp_path, {"a": b"1"})
    content = gzip.compress(b"no tar at all" * 100)
    digest = put(tmp_path, content)
    rewrite(tmp_path, layers=[{"mediaType": "x", "digest": digest, "size": len(content)}])
    read = module.read_image(tmp_path, tmp_path / "blobs")
    with pytest.raises(BuildError, match=f"{digest} is no sound tar"), read.open_layer(0) as layer:
        next(iter(layer))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_layer_that_unpacks_to_more_than_a_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    made = Layout(tmp_path)
    made.tag("x", made.add_image([{"zeros": bytes(8 << 20)}], "amd64", compression))
    read = module.read_image(tmp_path, tmp_path / "blobs")
    with read.read_layer(0):
        pass
    monkeypatch.setattr(module, "_UNPACKED_LIMIT", 1 << 20)
    with pytest.raises(BuildError, match=r"unpacks to more than [0-9]+ bytes: it is made to fill disks"), read.read_layer(0):
        pass
    monkeypatch.setattr(module, "_UNPACKED_RATIO", 100_000)
    with read.read_layer(0):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": []}, "one diff id for each of the 0 layers"),
        ({"config": None}, "it has no config or no layers"),
        ({"layers": [7]}, "a descriptor is not a JSON object"),
        ({"layers": [{"digest": "sha256:00", "size": -1}]}, "no digest or no size"),
        ({"config": {"digest": "../../etc/shadow", "size": 1}}, "'../../etc/shadow' is not a sha256 digest"),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    image(tmp_path, {"a": b"1"})
    rewrite(tmp_path, **changes)
    with pytest.raises(BuildError, match=said):
        module.read_image(tmp_path, tmp_path / "blobs")


@pytest.mark.parametrize("text", ["", "[]", '{"manifests": []}', "[" * 100_000, '{"manifests": [1, 2]}'])
def test_indexes_that_are_none(tmp_path: Path, text: str) -> None:
    image(tmp_path, {"a": b"1"})
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(BuildError, match=r"index\.json"):
        module.read_image(tmp_path, tmp_path / "blobs")


def test_metadata_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path, {"a": b"1"})
    monkeypatch.setattr(module, "METADATA_LIMIT", 20)
    with pytest.raises(BuildError, match="larger than 20 bytes"):
        module.read_image(tmp_path, tmp_path / "blobs")


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"disk/boot.qcow2": b"lower"}, {"disk/boot.qcow2": b"upper"}], b"upper"),
        ([{"disk/boot.qcow2": b"lower"}, {"etc/issue": b"x"}], b"lower"),
        ([{"disk/a.qcow2": b"lower"}, {"disk/.wh.a.qcow2": b"", "disk/b.qcow2": b"upper"}], b"upper"),
        ([{"disk/a.qcow2": b"lower"}, {"disk/.wh.a.qcow2": b""}], None),
        ([{"disk/a.qcow2": b"lower"}, {"disk/.wh..wh..opq": b""}], None),
        ([{"disk/sub/a.qcow2": b"deeper"}, {"a.qcow2": b"higher"}], None),
    ],
)
def test_the_disk_is_what_a_running_container_would_see(tmp_path: Path, layers: list[Files], expected: bytes | None) -> None:
    read, output = image(tmp_path / "image", *layers), tmp_path / "out"
    if expected is None:
        with pytest.raises(BuildError, match="holds no disk"):
            extract_disk(read, lambda: private_file(output))
    else:
        extract_disk(read, lambda: private_file(output))
        assert output.read_bytes() == expected and output.stat().st_mode & 0o777 == 0o600


def _member(name: str, **attributes: Any) -> bytes:
    """The header of a member without content, whatever size it says."""
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (_member("disk/boot.qcow2", type=tarfile.SYMTYPE, linkname="/etc/shadow"), r"disk/boot\.qcow2 in image .* is no regular file"),
        (_member("disk/boot.qcow2", type=tarfile.LNKTYPE, linkname="etc/shadow"), "is no regular file"),
        (_member("disk/boot.qcow2", type=tarfile.CHRTYPE, devmajor=1, devminor=5), "is no regular file"),
        (_member("disk/boot.qcow2", type=tarfile.FIFOTYPE), "is no regular file"),
        (_member("disk/boot.qcow2", size=401 * 10**9), "401000000000 bytes, more than the limit of 400000000000"),
        (_member("disk/boot.qcow2", size=1 << 80), "more than the limit"),
        (_member("disk/boot.qcow2", size=1000), "ends too early"),
        (_member("disk/../../disk/boot.qcow2", size=10) + bytes(512), "holds no disk"),
        (_member("/disk/boot.qcow2", size=10) + bytes(512), "holds no disk"),
        (_member("../disk/boot.qcow2", size=10) + bytes(512), "holds no disk"),
        (_member("disk/a.qcow2") + _member("disk/a.qcow2"), r"holds several disks: a\.qcow2, a\.qcow2"),
        (b"".join(_member(f"disk/.wh.{number}") for number in range(1001)), "removes more than 1000 files"),
    ],
)
def test_members_that_are_no_disk_are_refused(tmp_path: Path, members: bytes, said: str) -> None:
    image(tmp_path / "image", {"a": b"1"})
    content = members + bytes(1024)
    digest = put(tmp_path / "image", content)
    config = put(tmp_path / "image", json.dumps({"architecture": "amd64", "rootfs": {"diff_ids": [digest]}}).encode())
    rewrite(tmp_path / "image", layers=[{"digest": digest, "size": len(content)}], config={"digest": config, "size": 1})
    with pytest.raises(BuildError, match=said):
        extract_disk(module.read_image(tmp_path / "image", tmp_path / "image/blobs"), lambda: private_file(tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} <= {"image", "out"}
