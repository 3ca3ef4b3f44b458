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
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.deflate import Deflate
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.layer_writer import LayerWriter
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.oci_archive import OciArchive

RANDOM = hashlib.sha256(b"x").digest() * 10000


def _layer() -> tuple[LayerWriter, io.BytesIO]:
    file = io.BytesIO()
    layer = LayerWriter(file)
    layer.directory("srv", 0o750, 3, 4)
    layer.file("srv/large", RANDOM)
    layer.small_file("srv/small", b"text " * 1000)
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
        "srv/empty": b"",
        "srv/parts": b"abcde",
        "srv/" + "d" * 90 + "/" + "n" * 95: b"x",
    }
    assert (folder.type, folder.mode, folder.uid, folder.gid, folder.mtime) == (tarfile.DIRTYPE, 0o750, 3, 4, 0)


def test_a_layers_overhead_is_small() -> None:
    layer, _file = _layer()
    assert layer.size < len(RANDOM) + 1200


def test_the_same_content_gives_the_same_bytes() -> None:
    assert _layer()[1].getvalue() == _layer()[1].getvalue()


def test_a_layer_is_the_same_without_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _layer()[1].getvalue()
    monkeypatch.setattr(layer_writer, "_crc32", lambda: zlib.crc32)
    assert _layer()[1].getvalue() == expected


def test_a_size_beyond_octal_digits_is_written() -> None:
    header = zlib.decompressobj(-15).decompress(LayerWriter(io.BytesIO())._header("a", 9 << 30))
    assert tarfile.TarInfo.frombuf(header, "utf-8", "strict").size == 9 << 30


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_gives_a_raw_deflate_stream(level: int) -> None:
    deflate = Deflate(level)
    text = b"some text, some more text " * 500
    assert zlib.decompress(deflate.compress(text), -15) == text
    compressor = deflate.compressor()
    assert zlib.decompress(compressor.compress(text[:99]) + compressor.compress(text[99:]) + compressor.flush(), -15) == text


def test_level_6_is_that_of_libostree_whatever_is_installed() -> None:
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    text = b"some text, some more text " * 500
    assert Deflate(6).compress(text) == compressor.compress(text) + compressor.flush()
    assert Deflate(6).library == "zlib"
    assert Deflate(6).compress(b"") == b"\x03\0"


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
