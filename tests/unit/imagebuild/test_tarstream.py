# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import random
import tarfile

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.tarstream import (
    DIRECTORY,
    HARDLINK,
    REGULAR,
    SYMLINK,
    TarStream,
    TooManyMembers,
)

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def _info(name: str, size: int = 0, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def _tar(tar_format: int, *infos: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as archive:
        for info in infos:
            archive.addfile(info, io.BytesIO(bytes(range(256)) * 1000) if info.isreg() else None)
    return buffer.getvalue()


def _members(data: bytes) -> list[tuple[object, ...]]:
    stream = TarStream(io.BytesIO(data), "layer x")
    return [(m.name, m.type, m.size, m.mode, m.uid, m.gid, m.target, stream.content(1 << 20)) for m in stream]


@pytest.mark.parametrize("tar_format", FORMATS)
def test_members_are_those_that_tarfile_writes(tar_format: int) -> None:
    long = "d" * 90 + "/" + "n" * 95
    longest = "very/" * 50 + "long" if tar_format != tarfile.USTAR_FORMAT else long
    uid = 1 << 22 if tar_format != tarfile.USTAR_FORMAT else 7
    data = _tar(
        tar_format,
        _info("dir", type=tarfile.DIRTYPE, mode=0o1777),
        _info("file", 1000, mode=0o4755, uid=5, gid=6),
        _info(long, 512),
        _info(longest, 1, uid=uid, gid=uid),
        _info("link", type=tarfile.SYMTYPE, linkname="../" + "t" * (90 if tar_format == tarfile.USTAR_FORMAT else 200), mode=0o777),
        _info("hard", type=tarfile.LNKTYPE, linkname="file"),
        _info("last", 0),
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = []
        for info in archive:
            content = archive.extractfile(info).read() if info.isreg() else b""  # type: ignore[union-attr]
            expected.append((info.name.encode(), info.type, len(content), info.mode, info.uid, info.gid, info.linkname.encode(), content))
    found = _members(data)
    assert [(name.rstrip(b"/"), *rest) for name, *rest in found] == expected  # type: ignore[attr-defined]
    assert [member[1] for member in found] == [DIRECTORY, REGULAR, REGULAR, REGULAR, SYMLINK, HARDLINK, REGULAR]


def test_what_is_not_read_is_skipped_and_what_is_read_is_read_in_parts() -> None:
    stream = TarStream(io.BytesIO(_tar(tarfile.GNU_FORMAT, _info("a", 5000), _info("b", 100), _info("c", 3))), "x")
    parts = []
    for member in stream:
        if member.name == b"b":
            parts += [stream.read(60), stream.read(60), stream.read(60)]
        elif member.name == b"c":
            parts.append(stream.read(2))
    assert parts == [bytes(range(60)), bytes(range(60, 100)), b"", b"\0\x01"]


@pytest.mark.parametrize("cut", [100, 512, 700, 1536, 1024 + 512 + 10])
def test_a_stream_that_ends_early_is_refused(cut: int) -> None:
    data = _tar(tarfile.GNU_FORMAT, _info("a", 1000), _info("b"))
    with pytest.raises(BuildError, match="layer x is no sound tar stream: it ends too early"):
        _members(data[:cut])


def _with(data: bytes, at: int, value: bytes) -> bytes:
    """The first header changed, with a checksum that is right again."""
    block = bytearray(data[:512])
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + data[512:]


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (124, b"99999999999\0", "for a number"),
        (124, b"-0000000001\0", "for a number"),
        (124, b"\xff" * 12, "for a number"),
        (124, b"77777777777\0", "ends too early"),
        (124, b"\x80" + b"\x7f" * 11, "ends too early"),
        (156, b"S", "sparse"),
    ],
)
def test_headers_that_lie_are_refused(at: int, value: bytes, message: str) -> None:
    stream = TarStream(io.BytesIO(_with(_tar(tarfile.GNU_FORMAT, _info("a", 10)), at, value)), "x")
    with pytest.raises(BuildError, match=message):
        for _member in stream:
            pass


def test_a_header_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(_tar(tarfile.GNU_FORMAT, _info("a", 10)))
    data[0] ^= 1
    with pytest.raises(BuildError, match="wrong checksum"):
        _members(bytes(data))


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (b"99 path=x\n", "pax header is malformed"),
        (b"no number\n", "pax header is malformed"),
        (b"0 path=x\n", "pax header is malformed"),
        (b"9 path=xx", "pax header is malformed"),
        (b"10 size=x\n", "for a number"),
        (b"22 GNU.sparse.major=1\n", "sparse"),
        (b"5010 path=" + b"x" * 4999 + b"\n", "more than 4096 bytes"),
    ],
)
def test_malformed_pax_headers_are_refused(records: bytes, message: str) -> None:
    header = _info("pax", len(records), type=tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    data = header + records + bytes(-len(records) % 512) + _tar(tarfile.USTAR_FORMAT, _info("a", 3))
    with pytest.raises(BuildError, match=message):
        _members(data)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_extended_headers_are_bounded(kind: bytes) -> None:
    data = _info("x", 1 << 30, type=kind).tobuf(tarfile.GNU_FORMAT) + bytes(1 << 21)
    with pytest.raises(BuildError, match="larger than"):
        _members(data)


def test_the_content_that_is_held_is_bounded() -> None:
    stream = TarStream(io.BytesIO(_tar(tarfile.GNU_FORMAT, _info("a", 1000))), "x")
    next(iter(stream))
    with pytest.raises(BuildError, match="1000 bytes is larger than the 999"):
        stream.content(999)


def test_the_number_of_members_is_bounded() -> None:
    data = _tar(tarfile.PAX_FORMAT, *(_info(f"{number}" * 150) for number in range(3)))
    assert len(list(TarStream(io.BytesIO(data), "x", most_members=6))) == 3, "each has an extended header"
    with pytest.raises(TooManyMembers, match="layer x has more than 5 members"):
        list(TarStream(io.BytesIO(data), "layer x", most_members=5))


def test_what_is_passed_over_need_not_be_read() -> None:
    data = _tar(tarfile.GNU_FORMAT, _info("a", 5000), _info("b", 100))
    source = io.BytesIO(data)
    stream = TarStream(source, "x", skip=lambda size: source.seek(size, io.SEEK_CUR))
    assert [(member.name, source.tell()) for member in stream] == [(b"a", 512), (b"b", 512 + 5120 + 512)]
    source = io.BytesIO(data[:3000])
    with pytest.raises(BuildError, match="ends too early"):
        list(TarStream(source, "x", skip=lambda size: source.seek(size, io.SEEK_CUR)))


def test_no_bytes_make_it_fail_otherwise() -> None:
    chance = random.Random(7)
    sound = _tar(tarfile.PAX_FORMAT, _info("a" * 150, 600, uid=1 << 30), _info("b", 20), _info("c", type=tarfile.SYMTYPE, linkname="b"))[
        :6144
    ]
    for _attempt in range(500):
        data = bytearray(sound)
        for _change in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            _members(_with(bytes(data), 0, b""))
        except BuildError:
            continue
