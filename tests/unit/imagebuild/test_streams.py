# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import random
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import streams
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

CONTENT = random.Random(1).randbytes(300_000) + bytes(5 << 20) + b"end"


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def zstd(data: bytes) -> bytes:
    program = shutil.which("zstd")
    if program is None:
        pytest.fail("the zstd program is missing; the unit tier installs it")
    return subprocess.run([program, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(params=["isal", "zlib"])
def inflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "zlib":
        monkeypatch.setattr(streams, "_zlib", lambda: streams.zlib)


@pytest.mark.parametrize("size", [1, 3, 1000, 1 << 20])
@pytest.mark.parametrize("encode", [gzip.compress, zstd, bytes], ids=["gzip", "zstd", "plain"])
def test_whatever_the_compression_and_the_chunks_the_content_comes_out(size: int, encode, inflate: None) -> None:  # type: ignore[no-untyped-def]
    content = CONTENT if size > 3 else CONTENT[:3000]
    assert b"".join(streams.decompressed(cut(encode(content), size), "x")) == content


@pytest.mark.parametrize("encode", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_members_and_frames_follow_each_other(encode, inflate: None) -> None:  # type: ignore[no-untyped-def]
    stream = encode(b"one,") + encode(b"") + encode(b"two")
    assert b"".join(streams.decompressed(cut(stream, 7), "x")) == b"one,two"


@pytest.mark.parametrize("encode", [gzip.compress, zstd, bytes], ids=["gzip", "zstd", "plain"])
def test_no_chunk_is_large_even_where_the_ratio_is(encode, inflate: None) -> None:  # type: ignore[no-untyped-def]
    bomb = encode(bytes(64 << 20)) if encode is not bytes else bytes(3 << 20)
    assert max(len(chunk) for chunk in streams.decompressed(cut(bomb, 1 << 20), "x")) <= streams.CHUNK


@pytest.mark.parametrize("encode", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("keep", [5, 1000, -1])
def test_a_cut_stream_is_an_error(encode, keep: int, inflate: None) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BuildError, match=r"layer 1: the (gzip|zstd) stream .*ends too early"):
        list(streams.decompressed(cut(encode(CONTENT)[:keep], 999), "layer 1"))


@pytest.mark.parametrize("encode", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_damaged_stream_is_an_error(encode, inflate: None) -> None:  # type: ignore[no-untyped-def]
    data = bytearray(encode(CONTENT))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(BuildError, match=r"layer 1: the (gzip|zstd) stream"):
        list(streams.decompressed(cut(bytes(data), 999), "layer 1"))


def test_zstd_without_a_reader_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams.shutil, "which", lambda name: None)
    monkeypatch.setattr(streams, "_zstd_decompressor", lambda: None)
    with pytest.raises(BuildError, match=r"zstd.*Install the zstd program"):
        list(streams.decompressed([streams.ZSTD_MAGIC + b"...."], "layer 1"))


def test_an_error_of_the_source_is_not_lost_on_the_way_through_the_program() -> None:
    def source() -> Iterator[bytes]:
        yield zstd(CONTENT)[:2000]
        raise BuildError("the disk is gone")

    with pytest.raises(BuildError, match="the disk is gone"):
        list(streams._unzstd_by_program(source(), "x"))


def test_the_reader_gives_what_is_asked_for_and_drains_the_rest() -> None:
    sha = hashlib.sha256()
    reader = streams.ChunkReader(streams.hashed(cut(CONTENT, 777), sha))
    assert reader.read(10) == CONTENT[:10]
    assert reader.read(2000) == CONTENT[10:2010]
    reader.drain()
    assert reader.read(1) == b""
    assert sha.hexdigest() == hashlib.sha256(CONTENT).hexdigest()
