# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs import directory, geometry, volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.directory import read_directory
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.editor import Editor
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.inode import EXTENTS, Inode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.ondisk import Agi, Da3Block, Dinode, Superblock
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.structure import Structure, seal
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.tree import Tree
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.xattr import read_label
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_xfs import LABEL, Features, Maker, Memory, make_xfs


def changed(kind: type[Structure], start: int, length: int, **fields: Any) -> Memory:
    """A filesystem with other values in one structure, under a right checksum."""
    memory = make_xfs()
    data = bytearray(memory.read(start, length))
    view = kind(data)
    for name, value in fields.items():
        setattr(view, name, value)
    seal(data, kind.CRC)
    memory.commit({start: bytes(data)})
    return memory


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"versionnum": 0xB4A4}, Unsupported, "XFS version 4"),
        ({"features_incompat": 1 << 7}, Unsupported, "unknown incompatible features 0x80"),
        ({"features_ro_compat": 1 << 9}, Unsupported, "unknown read-only compatible features 0x200"),
        ({"features_compat": 1}, Unsupported, "unknown compatible features 0x1"),
        ({"features_log_incompat": 1}, Unsupported, "unknown log features 0x1"),
        ({"features_incompat": 1 | 16}, BuildError, "in need of repair"),
        ({"features_incompat": 2}, Unsupported, "no file types"),
        ({"inprogress": 1}, BuildError, "unfinished"),
        ({"blocksize": 1024, "blocklog": 10}, Unsupported, "blocks of 1024 bytes"),
        ({"dirblklog": 1}, Unsupported, "directories of"),
        ({"agcount": 3}, BuildError, "geometry"),
        ({"agblklog": 60}, BuildError, "geometry"),
        ({"inodesize": 256}, BuildError, "geometry"),
        ({"dblocks": 1 << 40, "agcount": 1 << 30}, BuildError, "larger than its partition"),
        ({"agblocks": 1}, BuildError, "geometry"),
    ],
)
def test_other_filesystems_are_not_opened(fields: dict[str, int], error: type[BuildError], told: str) -> None:
    with pytest.raises(error, match=told) as caught:
        Volume(changed(Superblock, 0, 512, **fields))
    assert isinstance(caught.value, Unsupported) == (error is Unsupported)


def test_a_damaged_superblock_is_told() -> None:
    memory = make_xfs()
    memory.data[60] ^= 1
    with pytest.raises(BuildError, match="superblock is damaged"):
        Volume(memory)


@pytest.mark.parametrize(
    ("kind", "start", "fields", "error", "told"),
    [
        (Superblock, 0, {"qflags": 1}, Unsupported, "quotas"),
        (Superblock, 0, {"rblocks": 5}, Unsupported, "realtime"),
        (Superblock, 0, {"logstart": 0}, Unsupported, "log on another device"),
        (Superblock, 0, {"logblocks": 5000}, BuildError, "log is too large, or outside"),
        (Superblock, 0, {"ifree": 9}, BuildError, "counters"),
        (Agi, 1024, {"unlinked": b"\xff" * 252 + b"\0\0\0\1"}, Unsupported, "unlinked inodes"),
        (Agi, 1024, {"seqno": 1}, BuildError, "headers of another group"),
    ],
)
def test_what_an_edit_would_have_to_heed_is_refused(
    kind: type[Structure], start: int, fields: dict[str, Any], error: type[BuildError], told: str
) -> None:
    with pytest.raises(error, match=told) as caught:
        Editor(Volume(changed(kind, start, 512, **fields)), 1)
    assert isinstance(caught.value, Unsupported) == (error is Unsupported)


@pytest.mark.parametrize(("flags", "told"), [(0x8, "immutable"), (0x10, "immutable"), (0x200, "hands flags 0x200 down")])
def test_flags_of_a_directory_are_heeded(flags: int, told: str) -> None:
    maker = Maker(changed(Dinode, 16 * 4096, 512, flags=flags))
    with pytest.raises(Unsupported, match=told):
        maker.write_file(b"/new", b"", 0o644)


def test_a_directory_of_a_hostile_size_is_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker(make_xfs())
    for number in range(100):
        maker.write_file(b"/file%03d-" % number + b"n" * 90, b"", 0o644)
    monkeypatch.setattr(directory, "_MOST_BLOCKS", 3)
    with pytest.raises(Unsupported, match="more than 3 blocks"):
        read_directory(Maker(maker.save()).inode(b"/"))


def test_a_directory_that_holds_itself_is_told() -> None:
    maker = Maker(make_xfs())
    maker.write_file(b"/a/b/file", b"", 0o644)
    names = maker._tree.planned[maker.inode(b"/a/b").ino].names
    names[b"loop"] = names[b"file"]._replace(name=b"loop", ino=maker.inode(b"/a").ino, type=2)
    with pytest.raises(BuildError, match="also elsewhere"):
        Tree(Volume(maker.save())).find(b"/", b"file")


def with_attribute_leaf(value: bytes, local: bool = True) -> tuple[Inode, bytearray]:
    """A file whose label lies in an attribute block, as it does beside large attributes."""
    maker = Maker(make_xfs())
    maker.write_file(b"/file", b"content", 0o644)
    maker.label(b"/file", LABEL)
    inode = maker.inode(b"/file")
    block = bytearray(4096)
    leaf = Da3Block(block)
    leaf.magic, leaf.owner, leaf.uuid, leaf.count = Da3Block.ATTR_LEAF_MAGIC, inode.ino, maker.volume.geometry.metadata_uuid, 1
    struct.pack_into(">IHBx", block, 80, 0, 4000, 4 | local)
    struct.pack_into(f">HB7s{len(value)}s", block, 4000, len(value), 7, b"selinux", value[: 4096 - 4010])
    maker.volume.write_sealed(900, block, Da3Block.CRC)
    inode.disk.aformat, inode.disk.anextents = EXTENTS, 1
    start = Dinode.SIZE + inode.disk.forkoff * 8
    inode.raw[start : start + 16] = struct.pack(">QQ", 0, 900 << 21 | 1)
    return inode, block


def test_a_label_in_a_block_is_read() -> None:
    inode, _block = with_attribute_leaf(LABEL)
    assert read_label(inode) == LABEL


def test_a_label_outside_of_its_block_is_told() -> None:
    inode, block = with_attribute_leaf(LABEL)
    struct.pack_into(">IHB", block, 80, 0, 4095, 5)
    inode.volume.write_sealed(900, block, Da3Block.CRC)
    with pytest.raises(BuildError, match="outside of its block"):
        read_label(inode)


@pytest.mark.parametrize("seed", range(4))
def test_hostile_filesystems_end_in_a_refusal_or_a_plan(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are wrong under checksums that are right: nothing but a refusal comes out."""
    maker = Maker(make_xfs(Features(rmapbt=True, bigtime=True)))
    for number in range(60):
        maker.write_file(b"/etc/file%d" % number, b"x" * (number * 100), 0o644)
    maker.symlink(b"/link", b"etc")
    maker.label(b"/etc", LABEL)
    memory = maker.save()
    for module in (volume, geometry):
        monkeypatch.setattr(module, "is_sound", lambda *_object: True)
    used = [place for place in range(0, memory.size, 64) if any(memory.data[place : place + 64])]
    dice = random.Random(seed)
    planned = 0
    for _number in range(60):
        hostile = Memory(bytearray(memory.data))
        for _flip in range(dice.choice([1, 3, 10])):
            hostile.data[dice.choice(used) + dice.randrange(64)] ^= dice.choice([1, 128, 255, dice.randrange(1, 256)])
        try:
            Tree(Volume(hostile)).find(b"/", b"file1")
            editor = Editor(Volume(hostile), 1)
            editor.write_file(b"/link/file3", b"new" * 3000, 0o644)
            editor.write_file(b"/etc/one/two", b"new", 0o644)
            editor.remove_file(b"/etc/file59")
            editor.finish()
            planned += 1
        except (BuildError, FileNotFoundError, NotADirectoryError):
            pass
    assert 0 < planned < 60
