# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import layer_writer
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.layer_writer import LayerWriter, file_header
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.oci_archive import OciArchive

RANDOM = hashlib.sha256(b"x").digest() * 10000


def _layer() -> tuple[LayerWriter, io.BytesIO]:
    file = io.BytesIO()
    layer = LayerWriter(file)
    layer.directory("srv", 0o750, 3, 4)
    layer.file("srv/large", RANDOM)
    layer.small_file("srv/small", b"text " * 1000)
    layer.file("srv/two", b"ab", b"cde" * 30000)
    layer.file("srv/empty", b"")
    layer.file_of("srv/parts", 5, [b"ab", b"", b"cde"])
    layer.small_file("srv/" + "d" * 90 + "/" + "n" * 95, b"x")
    layer.close()
    return layer, file


def test_a_layer_is_a_gzipped_tar_with_the_digests_it_says() -> None:
    layer, file = _layer()
    stored = file.getvalue()
    plain = gzip.decompress(stored)
    assert layer.size == len(stored)
    assert layer.digest == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert layer.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = {info.name: archive.extractfile(info).read() for info in archive if info.isreg()}  # type: ignore[union-attr]
        folder = archive.getmember("srv")
    assert found == {
        "srv/large": RANDOM,
        "srv/small": b"text " * 1000,
        "srv/two": b"ab" + b"cde" * 30000,
        "srv/empty": b"",
        "srv/parts": b"abcde",
        "srv/" + "d" * 90 + "/" + "n" * 95: b"x",
    }
    assert (folder.type, folder.mode, folder.uid, folder.gid, folder.mtime) == (tarfile.DIRTYPE, 0o750, 3, 4, 0)


def test_a_layers_overhead_is_small() -> None:
    layer, _file = _layer()
    assert layer.size < len(RANDOM) + 90002 + 1100


def test_the_same_content_gives_the_same_bytes() -> None:
    assert _layer()[1].getvalue() == _layer()[1].getvalue()


def test_a_layer_is_the_same_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _layer()[1].getvalue()
    monkeypatch.setattr(layer_writer, "_crc32", lambda: zlib.crc32)
    assert _layer()[1].getvalue() == expected


@pytest.mark.parametrize(
    "path",
    ["a", "a" * 100, "a" * 30 + "/" + "b" * 70, "d/" * 70 + "b" * 30, "a" * 155 + "/" + "b" * 100, "ä/" * 50 + "ö" * 50],
    ids=len,
)
@pytest.mark.parametrize("size", [0, 1, 511, 8**11 - 1])
def test_headers_are_those_of_tarfile(path: str, size: int) -> None:
    info = tarfile.TarInfo(path)
    info.size = size
    assert file_header(path, size) == info.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(("path", "size"), [("a", 9 << 30), ("a" * 101, 5), ("a" * 156 + "/" + "b" * 100, 5)])
def test_headers_say_what_ustar_cannot(path: str, size: int) -> None:
    with tarfile.open(fileobj=io.BytesIO(file_header(path, size) + bytes(1024))) as archive:
        info = archive.next()
    assert info and (info.name, info.size) == (path, size)


def test_an_archive_has_the_blob_whose_digest_was_learnt_last() -> None:
    file = io.BytesIO()
    archive = OciArchive(file)
    start = archive.begin_blob()
    file.write(b"layer")
    digest = f"sha256:{hashlib.sha256(b'layer').hexdigest()}"
    archive.end_blob(start, digest, 5)
    archive.close(archive.add_json({"a": 1}, "type"), "name")
    file.seek(0)
    with tarfile.open(fileobj=file) as tar:
        assert tar.extractfile(f"blobs/sha256/{digest[7:]}").read() == b"layer"  # type: ignore[union-attr]
        assert tar.getnames()[-1] == "index.json"
