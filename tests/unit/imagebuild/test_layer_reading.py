# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers that are damaged here, and layers that were published damaged: only the first are worth fetching again."""

from __future__ import annotations

import gzip
import hashlib
import random
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import DamagedBlob, Descriptor, Image

#: Longer than what is read at once, so that reading breaks off before the end.
CONTENT = random.Random(1).randbytes(5 << 20)


def _image(folder: Path, stored: bytes, plain: bytes) -> tuple[Image, Path]:
    digest = hashlib.sha256(stored).hexdigest()
    path = folder / "sha256" / digest
    path.parent.mkdir()
    path.write_bytes(stored)
    layer = Descriptor(f"sha256:{digest}", len(stored), "", {})
    return Image(folder, "sha256:0", {}, {}, (layer,), (f"sha256:{hashlib.sha256(plain).hexdigest()}",)), path


def _read(image: Image) -> bytes:
    with image.read_layer(0) as reader:
        return reader.read(len(CONTENT) * 2)


def test_a_sound_layer_is_read(tmp_path: Path) -> None:
    image, _path = _image(tmp_path, gzip.compress(CONTENT, 1), CONTENT)
    assert _read(image) == CONTENT


def test_a_layer_that_is_not_read_to_its_end_is_verified_all_the_same(tmp_path: Path) -> None:
    image, _path = _image(tmp_path, gzip.compress(CONTENT, 1), CONTENT + b"x")
    with pytest.raises(BuildError, match="its content has the digest"), image.read_layer(0) as reader:
        reader.read(10)


def test_a_layer_published_damaged_is_not_taken_for_one_damaged_here(tmp_path: Path) -> None:
    stored = bytearray(gzip.compress(CONTENT, 1))
    stored[1000:2000] = bytes(1000)
    image, _path = _image(tmp_path, bytes(stored), CONTENT)
    with pytest.raises(BuildError, match="gzip stream is damaged") as caught:
        _read(image)
    assert not isinstance(caught.value, DamagedBlob)


@pytest.mark.parametrize("at", [1000, -6])
def test_a_layer_damaged_here_is_told_by_its_digest(tmp_path: Path, at: int) -> None:
    image, path = _image(tmp_path, gzip.compress(CONTENT, 1), CONTENT)
    stored = bytearray(path.read_bytes())
    stored[at] ^= 255
    path.write_bytes(stored)
    with pytest.raises(DamagedBlob, match=f"its bytes have the digest sha256:{hashlib.sha256(stored).hexdigest()}"):
        _read(image)


def test_what_the_reader_makes_of_a_damaged_layer_does_not_hide_the_damage(tmp_path: Path) -> None:
    image, path = _image(tmp_path, CONTENT, CONTENT)
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    with pytest.raises(DamagedBlob), image.read_layer(0) as reader:
        reader.read(10)
        raise BuildError("What was read makes no sense.")
