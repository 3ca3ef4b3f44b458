# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile disks and what is written on them, by seeds; see parser_fuzz."""

from __future__ import annotations

import random
import struct
import zlib
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from ansible_collections.ocne.images.plugins.module_utils._imagebuild import boot_entry, inspection
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.deployments import kubernetes_version, os_release
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.device import HostFile, Overlay
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.gpt import read_gpt
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.image import open_image

from tests.support.tiny_disk import make_gpt, make_qcow2

Dice = random.Random
UUIDS = {"aaaaaaaa-0000-4000-8000-000000000001": "cccccccc-0000-4000-8000-000000000001"}
_EDGES = (
    0,
    1,
    2,
    7,
    8,
    9,
    511,
    512,
    513,
    4095,
    4096,
    65535,
    65536,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 62,
    1 << 63,
    (1 << 64) - 1,
)


def _number(dice: Dice, bits: int) -> int:
    number = dice.choice([dice.choice(_EDGES), dice.getrandbits(bits), dice.randrange(1 << 12), dice.randrange(64) << 16])
    return number & ((1 << bits) - 1)


def flip(dice: Dice, data: bytearray, start: int = 0, end: int | None = None) -> None:
    """Change a byte from start to end."""
    data[dice.randrange(start, len(data) if end is None else end)] ^= dice.choice([1, 128, 255, dice.randrange(1, 256)])


@lru_cache(maxsize=32)
def _qcow2(cluster_bits: int, version: int, compressed: bool) -> bytes:
    chance = random.Random(cluster_bits)
    disk = bytes(chance.choices(b"\0\1abc", k=40_000)) + bytes(30_000) + chance.randbytes(9_000)
    return make_qcow2(disk, cluster_bits, version, compressed)


def qcow2(dice: Dice, folder: Path) -> None:
    """Headers, L1, L2 and refcount tables; then reads everywhere, and writes that are planned and read back."""
    cluster_bits = dice.choice([9, 12, 16])
    data = bytearray(_qcow2(cluster_bits, dice.choice([2, 3]), dice.random() < 0.5))
    cluster = 1 << cluster_bits
    for _turn in range(dice.choice([1, 1, 2, 5])):
        kind = dice.random()
        if kind < 0.3:
            struct.pack_into(">Q", data, 8 * dice.randrange(14), _number(dice, 64))
        elif kind < 0.4:
            struct.pack_into(">I", data, 4 * dice.randrange(28), _number(dice, 32))
        elif kind < 0.8:
            # An entry of a table: one like its neighbours', or anything.
            start, end = min(cluster, len(data) // 2) // 8, min(8 * cluster, len(data) - 8) // 8
            place, other = 8 * dice.randrange(start, end), 8 * dice.randrange(start, end)
            entry = struct.unpack_from(">Q", data, other)[0] if dice.random() < 0.5 else _number(dice, 64)
            struct.pack_into(">Q", data, place, entry ^ dice.choice([0, 0, 1, cluster, 1 << 62, 1 << 63]))
        elif kind < 0.9:
            flip(dice, data)
        else:
            del data[dice.randrange(200, len(data)) :]
    (folder / "disk").write_bytes(data)
    with closing(HostFile(folder / "disk", writable=False)) as file:
        image = open_image(file)
        size = image.size
        for _turn in range(4):
            start = dice.randrange(size + 1)
            assert len(image.read(start, min(9000, size - start))) == min(9000, size - start)
        writes = {dice.randrange(max(size // 600, 1)) * 600: dice.randbytes(500) for _turn in range(3)}
        writes = {offset: written for offset, written in writes.items() if offset + 500 <= size}
        future = open_image(Overlay(file, image.plan(writes)), whole=True)
        for offset, written in writes.items():
            assert future.read(offset, 500) == written, "what was written is not what is read"


_GPT_FIELDS = ((8, 4), (12, 4), (16, 4), (24, 8), (32, 8), (40, 8), (48, 8), (72, 8), (80, 4), (84, 4), (88, 4))


def gpt(dice: Dice, folder: Path) -> None:
    """Both headers, the entries and the MBR; partitions that are found are in the disk, and apart."""
    disk = make_gpt({"boot": bytes(700), "root": bytes(5000), "näme": b"x"})
    disk[510:512] = b"\x55\xaa"
    struct.pack_into("<B3sB3sII", disk, 446, 0, b"\0\2\0", 0xEE, b"", 1, 99)
    mend = dice.random() < 0.8
    for _turn in range(dice.choice([1, 2, 4])):
        kind = dice.random()
        header, table = dice.choice([(512, 1024), (len(disk) - 512, len(disk) - 33 * 512)])
        if kind < 0.4:
            offset, width = dice.choice(_GPT_FIELDS)
            disk[header + offset : header + offset + width] = _number(dice, 8 * width).to_bytes(width, "little")
        elif kind < 0.8:
            place = table + 128 * dice.randrange(4) + dice.choice([0, 16, 32, 40, 48, 56])
            value = dice.choice([_number(dice, 64), dice.randrange(2040, 2080), dice.randrange(40)])
            disk[place : place + 8] = value.to_bytes(8, "little")
        elif kind < 0.9:
            flip(dice, disk, 440, 512)
        else:
            flip(dice, disk)
        if mend:
            struct.pack_into("<I", disk, header + 88, zlib.crc32(disk[table : table + 128 * 128]))
            length = struct.unpack_from("<I", disk, header + 12)[0]
            disk[header + 16 : header + 20] = bytes(4)
            struct.pack_into("<I", disk, header + 16, zlib.crc32(disk[header : header + min(length, 512)]))
    if dice.random() < 0.1:
        del disk[dice.randrange(len(disk)) :]
    (folder / "disk").write_bytes(disk)
    with closing(HostFile(folder / "disk", writable=False)) as file:
        end = 0
        for entry in sorted(read_gpt(file).entries, key=lambda entry: entry.start):
            assert end <= entry.start < entry.start + entry.size <= file.size
            end = entry.start + entry.size


_WORDS = (
    "options",
    "options ",
    "\noptions ",
    "title x\n",
    "version ",
    "9",
    "²",
    "٣",
    "\n",
    "\r",
    "\t",
    " ",
    '"',
    "=",
    "\0",
    "\udcff",
    "é",
    "#",
)
_ARGUMENTS = (
    "ignition.platform.id=qemu ",
    "console=ttyS0,115200 ",
    "root=UUID=",
    *UUIDS,
    "ostree=/ostree/boot.1/ock/0/0 ",
    "x" * 300,
    "-",
    "A",
)


def bls(dice: Dice, _folder: Path) -> None:
    """Boot entries: what is changed are options, and they are what they have to be."""
    text = "".join(dice.choice(dice.choice([_WORDS, _ARGUMENTS])) for _turn in range(dice.choice([3, 30, 300])))
    before = boot_entry.arguments(text)
    entry = {"version": boot_entry.fields(text).get("version", ""), "path": text[:20]}
    sorted([entry, {"version": "9", "path": "a"}], key=inspection._boot_order)
    added = ["quiet"] if before else []
    changed = boot_entry.change(text, "oci", {"ttyS0": "tty0"}, UUIDS, added)
    after = boot_entry.arguments(changed)
    assert changed.count("\n") == text.count("\n")
    assert boot_entry.fields(changed) == boot_entry.fields(text)
    assert boot_entry.value(changed, boot_entry.PLATFORM) in (None, "oci")
    assert (boot_entry.value(text, boot_entry.PLATFORM) is None) == (boot_entry.value(changed, boot_entry.PLATFORM) is None)
    assert len(after) <= len(before) + 1 and ("quiet" in after or not added)
    changed.encode("utf-8", "surrogateescape")


_FSTAB = (
    "UUID=",
    *UUIDS,
    *(uuid.upper() for uuid in UUIDS),
    "-",
    "a",
    " / xfs defaults 0 0\n",
    "#",
    "\0",
    "\udcff",
    "\t",
    "PARTUUID=",
    "\\040",
)


def fstab(dice: Dice, _folder: Path) -> None:
    """Tables of filesystems, os-release, and what tells the version: text of any kind."""
    text = "".join(dice.choice(_FSTAB) for _turn in range(dice.choice([3, 30, 300])))
    new = boot_entry.replace_uuids(text, UUIDS)
    assert len(new) == len(text)
    assert boot_entry.replace_uuids(new, UUIDS) == new
    os_release(text + dice.choice(["", "\nID='", '\nNAME="a', "\nID=\\", "\nID=a b"]))
    treefile = dice.choice(["[" * 5000, '{"packages": ' * 1000, '{"packages": ["kubelet-1.2.3-4 x", 5]}', "[]", "5", text])
    kubernetes_version(treefile, "kubernetesVersion: " + text, text)
