# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which library compresses what. All of them are installed where the tests run."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import deflate
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.deflate import LEVELS, Deflate

TEXT = b"".join(b"%d is %d times itself\n" % (number * number, number) for number in range(9000))
#: What cannot be compressed.
RANDOM = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(9000))


def _zlib(level: int, data: bytes) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def _without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    installed = deflate._installed
    monkeypatch.setattr(deflate, "_installed", lambda module: None if module.partition(".")[0] in missing else installed(module))


@pytest.mark.parametrize("missing", [(), ("deflate",), ("isal",), ("deflate", "isal")], ids=str)
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_a_raw_deflate_stream(monkeypatch: pytest.MonkeyPatch, level: int, missing: tuple[str, ...]) -> None:
    _without(monkeypatch, *missing)
    made = Deflate(level)
    for data in (b"", b"x", TEXT, RANDOM, RANDOM + TEXT):
        assert zlib.decompress(made.compress(data), -15) == data
    compressor = made.compressor()
    assert zlib.decompress(compressor.compress(TEXT[:99]) + compressor.compress(TEXT[99:]) + compressor.flush(), -15) == TEXT


def test_level_6_is_that_of_libostree_whatever_is_installed() -> None:
    assert Deflate(6).compress(TEXT) == _zlib(6, TEXT)
    assert Deflate(6).compress(b"") == b"\x03\0"
    assert Deflate(6).libraries == f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


@pytest.mark.parametrize("level", LEVELS)
def test_zlib_has_all_levels_where_nothing_else_is_installed(monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    _without(monkeypatch, "deflate", "isal")
    assert Deflate(level).compress(TEXT) == _zlib(level, TEXT)
    assert Deflate(level).libraries == f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


@pytest.mark.parametrize("level", [4, 5])
def test_libdeflate_is_as_small_as_zlib_at_its_level(level: int) -> None:
    made = Deflate(level)
    assert len(made.compress(TEXT)) < len(_zlib(level, TEXT))
    assert made.libraries.startswith("deflate ")


@pytest.mark.parametrize(
    ("data", "is_compressed"), [(RANDOM, True), (TEXT, False), (RANDOM[:60000], False)], ids=["random", "text", "small"]
)
def test_what_is_compressed_already_goes_the_quick_way(data: bytes, is_compressed: bool) -> None:
    made, quick = Deflate(4), Deflate(2)
    assert (made.compress(data) == quick.compress(data)) == is_compressed


def test_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def names(level: int) -> list[Any]:
        return [library.split()[0] for library in Deflate(level).libraries.split(", ")]

    assert (names(2), names(4)) == (["isal"], ["deflate", "isal"])
    _without(monkeypatch, "isal")
    assert (names(2), names(4)) == (["zlib"], ["deflate", "zlib"])
    _without(monkeypatch, "deflate", "isal")
    assert (names(2), names(4)) == (["zlib"], ["zlib"])
