# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The artefact's bytes: a tar that any program reads, addressed without being written, compressed piece by piece."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import tarfile
import zlib
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._oci.artefact import Artefact, open_source
from ansible_collections.ocne.images.plugins.module_utils._oci.deflate import (
    GZIP_HEADER,
    Codec,
    best_codec,
    gzip_trailer,
    zlib_codec,
)

METADATA = b'{"version": 2}\n'


def _artefact(path: Path) -> Artefact:
    return Artefact(open_source(path), METADATA)


def _disk(path: Path, size: int) -> Path:
    path.write_bytes(random.Random(size).randbytes(size))
    return path


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 10240, 100_001])
def test_artefact_is_a_tar_of_the_two_files(tmp_path: Path, size: int) -> None:
    disk = _disk(tmp_path / "disk", size)
    with _artefact(disk) as artefact:
        content = artefact.read(0, artefact.size)
        assert len(content) == artefact.size
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["output.QCOW2", "image_metadata.json"]
        assert [archive.extractfile(member).read() for member in members] == [disk.read_bytes(), METADATA]  # type: ignore[union-attr]
        assert {(member.mtime, member.uid, member.gid, member.uname, member.mode) for member in members} == {(0, 0, 0, "", 0o644)}
    assert artefact.size % tarfile.RECORDSIZE == 0


@pytest.mark.parametrize("length", [1, 100, 512, 700, 4096, 1 << 20])
def test_artefact_reads_alike_in_pieces_of_any_length(tmp_path: Path, length: int) -> None:
    with _artefact(_disk(tmp_path / "disk", 5000)) as artefact:
        whole = artefact.read(0, artefact.size)
        pieces = [artefact.read(offset, length) for offset in range(0, artefact.size, length)]
    assert b"".join(pieces) == whole
    assert {len(piece) for piece in pieces[:-1]} <= {length}


def test_artefact_of_a_file_beyond_the_octal_size_field(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate((8 << 30) + 12345)
    disk.with_name("disk.build.json").write_text("")
    stat = disk.stat()
    source = open_source(_disk(tmp_path / "small", 1))
    large = type(source)(disk, "0" * 64, stat.st_size, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    with Artefact(large, METADATA) as artefact:
        member = tarfile.TarInfo.frombuf(artefact.read(0, 512), "utf-8", "strict")
        assert member.size == stat.st_size
        tail = artefact.read(512 + stat.st_size, 1 << 20)
    assert METADATA in tail


def test_same_content_gives_the_same_bytes_whatever_the_file_is(tmp_path: Path) -> None:
    first, second = _disk(tmp_path / "a", 7000), tmp_path / "b"
    second.write_bytes(first.read_bytes())
    second.chmod(0o600)
    os.utime(second, (1, 1))
    with _artefact(first) as one, _artefact(second) as other:
        assert one.read(0, one.size) == other.read(0, other.size)


def test_source_knows_its_digest(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", 5000)
    assert open_source(disk).sha256 == hashlib.sha256(disk.read_bytes()).hexdigest()


def test_file_that_was_replaced_after_its_digest_was_taken_is_refused(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", 5000)
    source = open_source(disk)
    _disk(tmp_path / "new", 5000).replace(disk)
    with pytest.raises(OcneError, match="was changed while it was being uploaded"):
        Artefact(source, METADATA)


def test_file_that_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", 5000)
    with _artefact(disk) as artefact:
        artefact.verify_unchanged()
        os.utime(disk, (1, 1))
        with pytest.raises(OcneError, match="was changed"):
            artefact.verify_unchanged()
        disk.unlink()
        with pytest.raises(OcneError, match="was changed"):
            artefact.verify_unchanged()


def test_file_that_becomes_shorter_is_noticed_while_it_is_read(tmp_path: Path) -> None:
    disk = _disk(tmp_path / "disk", 5000)
    with _artefact(disk) as artefact:
        os.truncate(disk, 100)
        with pytest.raises(OcneError, match="was changed"):
            artefact.read(0, artefact.size)


CODECS = {codec.name: codec for codec in (zlib_codec(), best_codec())}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("size", [0, 1, 100, 300_000])
def test_chunks_joined_are_one_gzip_member(codec: Codec, size: int) -> None:
    data = (b"a text that compresses well. " * (size // 20 + 1))[: size // 2] + random.Random(1).randbytes(size - size // 2)
    crc, pieces = 0, [GZIP_HEADER]
    for offset in range(0, size, 70_000):
        chunk = data[offset : offset + 70_000]
        crc = zlib.crc32(chunk, crc)
        pieces.append(codec.deflate(chunk))
    stream = b"".join([*pieces, gzip_trailer(crc, size)])
    assert gzip.decompress(stream) == data
    member = zlib.decompressobj(wbits=31)
    assert member.decompress(stream) == data
    assert member.eof and member.unused_data == b"", "one member, and nothing after it"


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_same_chunk_gives_the_same_bytes(codec: Codec) -> None:
    chunk = random.Random(2).randbytes(50_000) + bytes(50_000)
    assert codec.deflate(chunk) == codec.deflate(chunk)


def test_a_codec_names_library_version_and_level() -> None:
    assert zlib_codec().name == f"zlib {zlib.ZLIB_RUNTIME_VERSION} 1"


def test_size_in_the_trailer_is_modulo_four_gib() -> None:
    assert gzip_trailer(0, (4 << 30) + 5)[-4:] == b"\x05\0\0\0"
