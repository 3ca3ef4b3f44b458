# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build program on the fixtures, whole and damaged: what it makes, and what it says when it cannot."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
import zlib
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import ostree_archive
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import DamagedBlob, read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import deflate, encapsulated, object_writer
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import encode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree_archive import Built, Options, build

from tests.support.nginx_image import MAIN_CONFIGURATION, SITE_CONFIGURATION, write_image
from tests.support.ostree_image import CHUNKED, COMMIT, OBJECTS, SINGLE, Member, OstreeImage, as_version_0, load

#: What is left of a checksum in an object's path.
X = "a" * 62
REPOSITORY = "usr/share/nginx/html/ostree/"
BASE = {
    "etc/nginx/nginx.conf": MAIN_CONFIGURATION.encode(),
    "etc/nginx/conf.d/default.conf": SITE_CONFIGURATION.format(port=80, root="/usr/share/nginx/html").encode(),
}


class Builder:
    """Builds from an image that a test has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out/archive.tar"
        self.output.parent.mkdir()
        self.base: dict[str, Any] = {}
        self.reports: list[tuple[str, int, Optional[int]]] = []

    def __call__(self, image: OstreeImage, options: Options = Options(compression_level=6), **written: Any) -> Built:  # noqa: B008
        image.write(self.folder / "source", **written)
        return self.build(options)

    def build(self, options: Options = Options(compression_level=6)) -> Built:  # noqa: B008
        if not (self.folder / "base").exists():
            write_image(self.folder / "base", (BASE,), **self.base)
        source, base = (read_image(self.folder / name, self.folder / name / "blobs") for name in ("source", "base"))
        return build(source, base, options, self.output, lambda *report: self.reports.append(report))

    def message(self, image: OstreeImage, **written: Any) -> str:
        with pytest.raises(BuildError) as caught:
            self(image, **written)
        assert sorted(path.name for path in self.output.parent.iterdir()) in ([], [self.output.name]), "something else is left"
        return str(caught.value)

    def archive(self) -> dict[str, Any]:
        """What is in the archive: index, manifest, config, and the layers' members: name -> (info, content)."""
        with tarfile.open(self.output) as tar:

            def read(name: str) -> bytes:
                return tar.extractfile(name).read()  # type: ignore[union-attr]

            index = json.loads(read("index.json"))
            manifest = json.loads(read(f"blobs/sha256/{index['manifests'][0]['digest'][7:]}"))
            config = json.loads(read(f"blobs/sha256/{manifest['config']['digest'][7:]}"))
            stored = read(f"blobs/sha256/{manifest['layers'][-1]['digest'][7:]}")
            assert f"sha256:{hashlib.sha256(stored).hexdigest()}" == manifest["layers"][-1]["digest"]
        plain = gzip.decompress(stored)
        assert f"sha256:{hashlib.sha256(plain).hexdigest()}" == config["rootfs"]["diff_ids"][-1]
        members: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        with tarfile.open(fileobj=io.BytesIO(plain)) as layer:
            for info in layer:
                assert info.name not in members, "written twice"
                members[info.name] = info, layer.extractfile(info).read() if info.isreg() else b""  # type: ignore[union-attr]
        return {"index": index, "manifest": manifest, "config": config, "members": members}

    def repository(self) -> dict[str, bytes]:
        return {name[len(REPOSITORY) :]: data for name, (info, data) in self.archive()["members"].items() if info.isreg()}


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def _checksum(data: bytes) -> str:
    """The checksum of what an archived content object holds: ostree's own rule, written down a second time."""
    length = int.from_bytes(data[:4], "big")
    body, stream = data[8 : 8 + length], data[8 + length :]
    fields = body[8:]
    width = 1 if length <= 255 else 2 if length <= 65535 else 4
    end = int.from_bytes(body[-width:], "little") - 8
    content = zlib.decompress(stream, -15) if stream else b""
    assert int.from_bytes(body[:8], "big") == len(content)
    narrow = fields[:-width]
    width = 1 if len(narrow) + 1 <= 255 else 2 if len(narrow) + 2 <= 65535 else 4
    header = narrow + end.to_bytes(width, "little")
    return hashlib.sha256(len(header).to_bytes(4, "big") + bytes(4) + header + content).hexdigest()


@pytest.mark.parametrize("fixture", [SINGLE, CHUNKED], ids=["single", "chunked"])
def test_an_archive_holds_the_whole_commit(builder: Builder, fixture: Path) -> None:
    built = builder(load(fixture))
    files = builder.repository()
    objects = {name: data for name, data in files.items() if name.startswith("objects/")}
    for name, data in objects.items():
        checksum, kind = name[8:].replace("/", "").split(".")
        if kind == "filez":
            assert _checksum(data) == checksum
        elif kind != "commitmeta":
            assert hashlib.sha256(data).hexdigest() == checksum
    assert len(objects) == 76
    assert f"objects/{COMMIT[:2]}/{COMMIT[2:]}.commitmeta" in objects
    assert files["refs/heads/ock"] == f"{COMMIT}\n".encode()
    assert b"mode=archive-z2" in files["config"]
    assert bytes.fromhex(COMMIT) in files["summary"]
    assert (built.commit, built.version, built.port, built.unreferenced) == (COMMIT, "1.31.0", 80, 0)


def test_the_digests_are_those_of_the_file(builder: Builder) -> None:
    built = builder(load(SINGLE))
    data = builder.output.read_bytes()
    assert (built.sha256, built.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert built.digest == builder.archive()["index"]["manifests"][0]["digest"]
    assert builder.output.stat().st_mode & 0o777 == 0o600


def test_chunks_hold_what_one_layer_holds(builder: Builder, tmp_path: Path) -> None:
    builder(load(SINGLE))
    (tmp_path / "other").mkdir()
    other = Builder(tmp_path / "other")
    other(load(CHUNKED))
    assert builder.repository() == other.repository()


@pytest.mark.parametrize(
    "written",
    [{"compression": "zstd"}, {"compression": "none"}, {"docker": True}, {"tar_format": tarfile.PAX_FORMAT}],
    ids=["zstd", "none", "docker", "pax"],
)
def test_the_source_may_be_stored_otherwise(builder: Builder, tmp_path: Path, written: dict[str, Any]) -> None:
    builder(load(CHUNKED))
    (tmp_path / "other").mkdir()
    other = Builder(tmp_path / "other")
    other(load(CHUNKED), **written)
    assert builder.output.read_bytes() == other.output.read_bytes()


def test_format_version_0_is_read(builder: Builder, tmp_path: Path) -> None:
    builder(load(SINGLE))
    (tmp_path / "other").mkdir()
    other = Builder(tmp_path / "other")
    other(as_version_0(load(SINGLE)))
    assert builder.repository() == other.repository()


@pytest.mark.parametrize("level", [3, 4, 6])
def test_the_same_input_gives_the_same_bytes_whatever_the_threads_do(builder: Builder, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    first = builder(load(CHUNKED), Options(compression_level=level))
    monkeypatch.setattr(object_writer, "_cores", lambda: 9)
    monkeypatch.setattr(object_writer, "_BATCH", 1)
    monkeypatch.setattr(object_writer, "_UNDER_WAY", 100)
    assert builder.build(Options(compression_level=level)) == first


def test_large_objects_are_what_small_ones_are(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder(load(SINGLE))
    first = builder.repository()
    monkeypatch.setattr(deflate, "_AT_ONCE", 1000)
    for name, value in (("_CHUNK", 700), ("_SPOOL", 2000)):
        monkeypatch.setattr(object_writer, name, value)
    builder.build()
    assert builder.repository() == first


def test_the_image_is_the_base_image_and_what_it_serves(builder: Builder) -> None:
    builder.base = {"docker": True, "run": {"ExposedPorts": {"443/tcp": {}}, "User": "101"}}
    built = builder(load(SINGLE))
    archive = builder.archive()
    base = read_image(builder.folder / "base", builder.folder / "base/blobs")
    layers, config = archive["manifest"]["layers"], archive["config"]
    assert [layer["digest"] for layer in layers[:-1]] == [layer.digest for layer in base.layers]
    assert {layer["mediaType"] for layer in layers} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    assert config["config"]["ExposedPorts"] == {"443/tcp": {}, "80/tcp": {}}
    assert config["config"]["Cmd"] == ["/usr/sbin/nginx", "-g", "daemon off;"]
    assert config["config"]["User"] == "101"
    assert config["config"]["Labels"] == {
        "maintainer": "tests",
        "ocne.images.ostree.commit": COMMIT,
        "ocne.images.ostree.ref": "ock",
        "ocne.images.ostree.path": "/ostree",
        "ocne.images.ostree.repository": "/usr/share/nginx/html/ostree",
        "org.opencontainers.image.version": "1.31.0",
    }
    assert config["created"] == "2026-01-01T00:00:00Z"
    assert len([entry for entry in config["history"] if not entry.get("empty_layer")]) == len(layers)
    assert archive["index"]["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "localhost/ock-ostree:latest"
    assert archive["manifest"]["annotations"]["org.opencontainers.image.base.digest"] == base.digest
    assert built.digest == archive["index"]["manifests"][0]["digest"]


def test_everything_can_be_read_by_any_user(builder: Builder) -> None:
    builder(load(SINGLE))
    for name, (info, _data) in builder.archive()["members"].items():
        assert (info.uid, info.gid, info.mtime) == (0, 0, 0)
        assert info.mode == (0o755 if info.isdir() else 0o644), name


def test_a_ref_can_have_several_parts(builder: Builder) -> None:
    builder(load(SINGLE), Options("ock/x86_64/1.33", 6))
    assert builder.repository()["refs/heads/ock/x86_64/1.33"] == f"{COMMIT}\n".encode()
    assert {REPOSITORY + "refs/heads/ock", REPOSITORY + "refs/heads/ock/x86_64"} <= set(builder.archive()["members"])


@pytest.mark.parametrize("ref", ["", "../ock", "/ock", "ock/", "a//b", "o ck", "-ock", "a" * 300])
def test_a_ref_that_is_none_is_refused(builder: Builder, ref: str) -> None:
    with pytest.raises(BuildError, match="is no name for an ostree ref"):
        builder(load(SINGLE), Options(ref))


def test_progress_ends_where_the_layers_end(builder: Builder) -> None:
    builder(load(CHUNKED))
    done = [(done, total) for activity, done, total in builder.reports if activity == "converting ostree objects"]
    assert done[-1][0] == done[-1][1]
    assert [count for count, _total in done] == sorted(count for count, _total in done)


def test_an_object_that_nothing_names_is_left_out(builder: Builder) -> None:
    image = load(SINGLE)
    image.insert_after(image.find(".commitmeta"), f"{OBJECTS}/aa/{X}.file", b"hidden")
    assert builder(image).unreferenced == 1
    assert not [name for name in builder.repository() if X in name]


@pytest.mark.parametrize("name", ["../../tmp/evil", "/tmp/evil", "sysroot/ostree/repo/refs/heads/other"])
def test_what_is_no_object_is_not_looked_at(builder: Builder, tmp_path: Path, name: str) -> None:
    builder(load(SINGLE))
    (tmp_path / "other").mkdir()
    other, image = Builder(tmp_path / "other"), load(SINGLE)
    image.insert_after(image.find(".commitmeta"), name, b"evil")
    other(image)
    assert other.repository() == builder.repository()


def test_attributes_may_lie_beside_their_object(builder: Builder, tmp_path: Path) -> None:
    builder(load(SINGLE))
    (tmp_path / "other").mkdir()
    other, image = Builder(tmp_path / "other"), load(SINGLE)
    sets = {member.info.name: member.content for member in image.layers[0] if member.info.name.endswith(".file-xattrs")}
    for member in image.layers[0]:
        if member.info.name.endswith(".file-xattrs-link"):
            member.content, member.info.type = sets[member.info.linkname], tarfile.REGTYPE
    other(image)
    assert other.repository() == builder.repository()


# What is wrong with the image -> what is said. The image's digests are right, so that only this program can notice.
Change = Callable[[OstreeImage], object]


def _flip(suffix: str, at: int) -> Change:
    def change(image: OstreeImage) -> None:
        member = image.find(suffix, at_least=at + 1)
        assert member.content
        member.content = member.content[:at] + bytes([member.content[at] ^ 1]) + member.content[at + 1 :]

    return change


def _change(suffix: str, **attributes: Any) -> Change:
    def change(image: OstreeImage) -> None:
        for key, value in attributes.items():
            setattr(image.find(suffix).info, key, value)

    return change


def _fill(suffix: str, content: bytes) -> Change:
    return lambda image: setattr(image.find(suffix, 1), "content", content)


def _remove(suffix: str, at_least: int = 0) -> Change:
    return lambda image: image.remove(image.find(suffix, at_least))


def _again(suffix: str) -> Change:
    def change(image: OstreeImage) -> None:
        member = image.find(suffix)
        image.insert_after(member, member.info.name, member.content or b"")

    return change


def _insert(name: str, content: bytes = b"x") -> Change:
    return lambda image: image.insert_after(image.find(".commit"), name, content)


def _label(name: str, value: str) -> Change:
    return lambda image: image.labels.update({name: value})


def _derive(count: int) -> Change:
    def change(image: OstreeImage) -> None:
        image.derived = count
        image.layers += [[Member(tarfile.TarInfo("usr/local/addition"), b"")] for _layer in range(count)]

    return change


BAD: dict[str, tuple[Change, str]] = {
    "flipped content": (_flip(".file", 50), r"ostree object [0-9a-f]{64}\.file is damaged: its checksum is [0-9a-f]{64}\. Fetch"),
    "flipped directory": (_flip(".dirtree", 40), r"ostree object [0-9a-f]{64}\.dirtree is damaged"),
    "flipped commit": (_flip(".commit", 40), rf"ostree object {COMMIT}\.commit is damaged"),
    "another mode": (_change(".file", mode=0o604), r"\.file is damaged"),
    "another owner": (_change(".file", uid=12), r"\.file is damaged"),
    "absurd owner": (_change(".file", uid=1 << 40), "has an owner beyond 32 bits"),
    "symlink as directory": (_change(".dirtree", type=tarfile.SYMTYPE, linkname="x"), r"\.dirtree is no regular file"),
    "missing file": (_remove(".file"), r"not complete: ostree object [0-9a-f]{64}\.file is missing from the image"),
    "missing dirmeta": (_remove(".dirmeta"), r"object [0-9a-f]{64}\.dirmeta is missing"),
    "missing directory": (_remove(".dirtree", 60), r"[0-9a-f]{64}\.dirtree is missing"),
    "missing commit": (_remove(".commit"), f"{COMMIT}.commitmeta comes before the commit"),
    "nothing": (lambda image: image.layers.__setitem__(0, []), "holds no ostree commit"),
    "file twice": (_again(".file"), r"\.file is in the image twice"),
    "directory twice": (_again(".dirtree"), r"\.dirtree is in the image twice"),
    "commit twice": (_again(".commit"), f"{COMMIT}.commit is in it beside commit {COMMIT}"),
    "commitmeta twice": (_again(".commitmeta"), "commitmeta is in it twice"),
    "commitmeta of another": (_insert(f"{OBJECTS}/aa/{X}.commitmeta"), "belongs to no commit in it"),
    "commitmeta malformed": (_fill(".commitmeta", b"no dictionary"), "commitmeta is malformed"),
    "hard link as file": (_change(".file", type=tarfile.LNKTYPE, linkname="etc/passwd"), "neither a regular file nor a symlink"),
    "symlink to nothing": (_change(".file", type=tarfile.SYMTYPE, linkname=""), r"\.file is a symlink to ''"),
    "symlink to no text": (_change(".file", type=tarfile.SYMTYPE, linkname="\udcff"), r"\.file is a symlink to "),
    "device as file": (_change(".file", type=tarfile.CHRTYPE), "neither a regular file nor a symlink"),
    "name that climbs": (_insert(f"{OBJECTS}/../../../../etc/passwd"), "'sysroot/ostree/repo/objects/../../../../etc/passwd' is no name"),
    "name of no object": (_insert(f"{OBJECTS}/aa/{X}.exe"), "is no name of an ostree object"),
    "huge dirmeta": (_fill(".dirmeta", b"x" * ((10 << 20) + 1)), "10485761 bytes is larger than the 10485760 it can have"),
    "attributes damaged": (_fill(".file-xattrs", encode("a(ayay)", [(b"user.x\0", b"")])), "extended attributes [0-9a-f]{64} are damaged"),
    "attributes absurd": (_insert(f"{OBJECTS}/aa/{X}.file-xattrs", b"x" * ((1 << 20) + 1)), "larger than the 1048576 it can have"),
    "attributes malformed": (_insert(f"{OBJECTS}/aa/{X}.file-xattrs", b"abc"), "file-xattrs is malformed"),
    "attributes lacking": (_change(".file-xattrs-link", linkname=f"{OBJECTS}/aa/{X}.file-xattrs"), "are not in its layer"),
    "attributes elsewhere": (_change(".file-xattrs-link", linkname="../../etc/passwd"), "are not in its layer"),
    "label of another commit": (_label("ostree.commit", "b" * 64), f"holds commit {COMMIT}, its label says bbb"),
    "no label": (_label("ostree.final-diffid", ""), r"is no ostree container: it has no label ostree\.final-diffid"),
    "label of no layer": (_label("ostree.final-diffid", "sha256:1"), "which none of its layers is"),
    "a derived layer": (_derive(1), "has 1 layer on top of the ostree commit"),
    "derived layers": (_derive(2), "has 2 layers on top of the ostree commit"),
    "another architecture": (
        lambda image: setattr(image, "architecture", "arm64"),
        "base image sha256:[0-9a-f]+ is for amd64, the ostree container sha256:[0-9a-f]+ for arm64",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_image_is_refused(builder: Builder, case: str) -> None:
    change, message = BAD[case]
    image = load(SINGLE)
    change(image)
    assert re.search(message, builder.message(image))


def test_attributes_of_another_layer_do_not_count(builder: Builder) -> None:
    image = load(SINGLE)
    attributes = image.find(".file-xattrs", 1)
    place = next(index for index, member in enumerate(image.layers[0]) if member is attributes)
    image.layers = [image.layers[0][: place + 1], image.layers[0][place + 1 :]]
    assert "are not in its layer" in builder.message(image)


def test_attributes_of_a_layer_are_bounded(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encapsulated, "_XATTRS_TOTAL_LIMIT", 400)
    assert "more than 400 bytes of extended attributes" in builder.message(load(SINGLE))


# What is wrong with the bytes of a blob, as a bad disk or a bad network would have it.


def _rewrite(builder: Builder, layer: bytes, **changes: Any) -> None:
    """Give the source's only layer other bytes, and its manifest other facts."""
    folder = builder.folder / "source"
    index = json.loads((folder / "index.json").read_text())
    manifest_path = folder / "blobs/sha256" / index["manifests"][0]["digest"][7:]
    manifest = json.loads(manifest_path.read_text())
    digest = hashlib.sha256(layer).hexdigest()
    (folder / "blobs/sha256" / digest).write_bytes(layer)
    manifest["layers"][0].update({"digest": f"sha256:{digest}", "size": len(layer), **changes})
    data = json.dumps(manifest).encode()
    (folder / "blobs/sha256" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    index["manifests"][0].update({"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)})
    (folder / "index.json").write_text(json.dumps(index))


def _layer_path(builder: Builder) -> Path:
    load(SINGLE).write(builder.folder / "source")
    image = read_image(builder.folder / "source", builder.folder / "source/blobs")
    return builder.folder / "source/blobs/sha256" / image.layers[0].digest[7:]


@pytest.mark.parametrize("place", [0.01, 0.5, 0.99])
def test_a_flipped_byte_in_a_blob_is_noticed(builder: Builder, place: float) -> None:
    path = _layer_path(builder)
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 4
    path.write_bytes(data)
    with pytest.raises(DamagedBlob, match="its bytes have the digest sha256:"):
        builder.build()


def test_a_blob_of_another_size_is_noticed(builder: Builder) -> None:
    path = _layer_path(builder)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedBlob, match="bytes, its manifest says"):
        builder.build()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], "gzip stream ends too early"),
        (lambda data: data[:-4], "gzip stream ends too early"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-2048]), "ends too early|its content has the digest"),
        (lambda data: gzip.compress(gzip.decompress(data)[: 512 * 900 + 100]), "no sound tar stream"),
        (lambda data: gzip.compress(gzip.decompress(data) + bytes(512)), "its content has the digest .* the image's config says"),
        (lambda data: b"not a tar stream" * 100, "no sound tar stream"),
        (lambda data: b"", "ends too early"),
    ],
    ids=["half", "no checksum", "no end mark", "cut tar", "another diff id", "text", "empty"],
)
def test_a_layer_published_broken_is_noticed(builder: Builder, damage: Callable[[bytes], bytes], message: str) -> None:
    _rewrite(builder, damage(_layer_path(builder).read_bytes()))
    with pytest.raises(BuildError, match=message):
        builder.build()


def test_a_full_disk_is_told(builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ostree_archive.OciArchive, "close", full)
    with pytest.raises(BuildError, match=f"No space is left for {builder.output}"):
        builder(load(SINGLE))


def test_no_threads_are_left(builder: Builder) -> None:
    before = threading.active_count()
    image = load(SINGLE)
    _flip(".file", 50)(image)
    builder.message(image)
    assert threading.active_count() == before
