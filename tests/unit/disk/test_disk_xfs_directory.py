# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.dircheck import check_directory
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.directory import (
    FREE_BLOCK,
    LEAF_BLOCK,
    name_hash,
    read_directory,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.inode import LOCAL, Inode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.tiny_xfs import Features, Maker, make_xfs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((b".", 0x2E), (b"..", 0x172E), (b"abc", 0x61 << 14 ^ 0x62 << 7 ^ 0x63)),
        # These are what the command 'hash' of xfs_db says.
        *((b"a", 0x61), (b"ab", 0x30E2), (b"abcd", 0x0C38B1E4), (b"abcdefg", 0x3C98F471), (b"lost+found", 0x021AA60C)),
        (b"a-rather-long-file-name.conf", 0x8B9D53F3),
    ],
)
def test_hash_of_names(name: bytes, value: int) -> None:
    assert name_hash(name) == value


def names(dice: random.Random, count: int) -> list[bytes]:
    return [b"%d-" % number + b"n" * dice.choice([1, 8, 30, 200]) for number in range(count)]


def directory(count: int, features: Features) -> tuple[Maker, Inode]:
    maker = Maker(make_xfs(features))
    for name in names(random.Random(count), count):
        maker.write_file(b"/" + name, b"", 0o644)
    return Maker(maker.save()), Maker(maker.memory).inode(b"/")


@pytest.mark.parametrize(
    ("count", "blocks"),
    [(0, []), (5, []), (25, [0]), (100, [0, 1, LEAF_BLOCK]), (620, [LEAF_BLOCK, LEAF_BLOCK + 1, LEAF_BLOCK + 2, FREE_BLOCK])],
)
@pytest.mark.parametrize("large", [False, True])
def test_every_form_holds_what_was_put_in(count: int, blocks: list[int], large: bool) -> None:
    _maker, inode = directory(count, Features(nrext64=large, rmapbt=large))
    found = read_directory(inode)
    assert list(found.names) == names(random.Random(count), count)
    assert found.parent == inode.ino
    places = [extent.offset + n for extent in inode.mapping().extents for n in range(extent.blocks)]
    assert (inode.disk.format == LOCAL) == (not blocks)
    assert set(blocks) <= set(places)
    check_directory(inode)


def test_a_directory_shrinks_to_its_inode_and_gives_its_blocks_back() -> None:
    maker, _inode = directory(60, Features())
    before = Volume(make_xfs())
    for name in names(random.Random(60), 60):
        maker.remove_file(b"/" + name)
    again = Maker(maker.save())
    assert again.inode(b"/").disk.nblocks == 0
    assert again.volume.block(0)[144:152] == before.block(0)[144:152]


def damage(inode: Inode, fsbno: int, at: int, value: bytes) -> None:
    data = bytearray(inode.volume.block(fsbno))
    data[at : at + len(value)] = value
    inode.volume.write_sealed(fsbno, data, 4 if data.startswith(b"XD") else 12)


@pytest.mark.parametrize(
    ("offset", "at", "value", "told"),
    [
        (0, 50, b"\0\0", "table of free space"),
        (0, 73, b"/", "wrong directory entry"),
        (0, 40, b"\1", "does not own"),
        (LEAF_BLOCK, 64, b"\0\0\0\1", "hash index"),
        (LEAF_BLOCK, 4092, b"\0\0\0\3", "table of free space"),
        (LEAF_BLOCK, 58, b"\0\1", "wrong directory leaf"),
    ],
)
def test_wrong_blocks_are_told(offset: int, at: int, value: bytes, told: str) -> None:
    _maker, inode = directory(100, Features())
    place = next(extent.fsbno + offset - extent.offset for extent in inode.mapping().extents if 0 <= offset - extent.offset < extent.blocks)
    damage(inode, place, at, value)
    with pytest.raises(BuildError, match=told):
        check_directory(inode)
