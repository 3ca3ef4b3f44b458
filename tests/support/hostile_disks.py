# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot disks that are made to do harm: one row for each attack, with what has to be said of it.

qcow2: QEMU's docs/interop/qcow2.txt; GPT: UEFI specification 2.10, chapter 5. What cannot be seen by the headers needs an engine.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Callable, Union

from tests.support.tiny_boot_disk import DEPLOYMENT, ENTRY, LINK, TinyDisk
from tests.support.tiny_disk import make_qcow2

CLUSTER = 1 << 16
_L1, _L2 = 3 * CLUSTER, 4 * CLUSTER
_XFS_BLOCK = 4096
_XFS_LOG = 64 * _XFS_BLOCK

#: A disk's bytes, or what writes it to a path.
Content = Union[bytearray, Callable[[Path], object]]


@dataclass(frozen=True)
class Attack:
    """:param said: a pattern in the message of every module that the disk is given to."""

    make: Callable[[], Content]
    said: str


@lru_cache(maxsize=1)
def _sound_raw() -> bytes:
    return bytes(TinyDisk().raw())


@lru_cache(maxsize=2)
def _sound_qcow2(compressed: bool) -> bytes:
    return make_qcow2(_sound_raw(), compressed=compressed)


def _qcow2(compressed: bool = False) -> bytearray:
    """A sound disk, to be spoilt."""
    return bytearray(_sound_qcow2(compressed))


def _changed(offset: int, form: str, value: int, compressed: bool = False) -> Callable[[], Content]:
    def make() -> Content:
        data = _qcow2(compressed)
        struct.pack_into(">" + form, data, offset, value)
        return data

    return make


def _first_entries(compressed: bool = False) -> tuple[bytearray, list[int]]:
    """The disk, and where the first two L2 entries are that lead to data."""
    data = _qcow2(compressed)
    used = [at for at in range(_L2, _L2 + CLUSTER, 8) if any(data[at : at + 8])]
    return data, used[:2]


def _cluster_twice() -> Content:
    data, (first, second) = _first_entries()
    data[second : second + 8] = data[first : first + 8]
    return data


def _damaged_cluster() -> Content:
    data, (first, _second) = _first_entries(compressed=True)
    start = struct.unpack_from(">Q", data, first)[0] & ((1 << 54) - 1)
    data[start : start + 40] = b"\xff" * 40
    return data


def _bomb() -> Content:
    """All of the disk is one compressed cluster, which inflates to far more than a cluster."""
    data = _qcow2(compressed=True)
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    packed = packer.compress(bytes(200 << 20)) + packer.flush()
    entry = 1 << 62 | 255 << 54 | len(data)
    data += packed.ljust(-(-len(packed) // CLUSTER) * CLUSTER, b"\0")
    for at in range(_L2, _L2 + CLUSTER, 8):
        if any(data[at : at + 8]):
            struct.pack_into(">Q", data, at, entry)
    return data


def _sparse(size: int) -> Callable[[], Content]:
    def make() -> Content:
        def write(path: Path) -> None:
            with path.open("wb") as file:
                file.write(_qcow2())
                file.truncate(size)

        return write

    return make


def _raw(change: Callable[[bytearray], object]) -> Callable[[], Content]:
    """The disk changed below the qcow2 format."""

    def make() -> Content:
        disk = bytearray(_sound_raw())
        change(disk)
        return bytearray(make_qcow2(bytes(disk)))

    return make


def _sealed_table(change: Callable[[bytearray], object]) -> Callable[[], Content]:
    """The partition table's entries changed, under right checksums, in the primary header; the backup is lost."""

    def seal(disk: bytearray) -> None:
        change(disk)
        disk[-512:] = bytes(512)
        struct.pack_into("<I", disk, 512 + 88, zlib.crc32(disk[1024 : 1024 + 128 * 128]))
        disk[528:532] = bytes(4)
        struct.pack_into("<I", disk, 528, zlib.crc32(disk[512:604]))

    return _raw(seal)


def _in_partition(number: int, offset: int, value: bytes) -> Callable[[], Content]:
    """Bytes within a partition (counted from 0)."""

    def change(disk: bytearray) -> None:
        start = struct.unpack_from("<Q", disk, 1024 + 128 * number + 32)[0] * 512 + offset
        disk[start : start + len(value)] = value

    return _raw(change)


def _disk(**what: object) -> Callable[[], Content]:
    return lambda: TinyDisk(**what).qcow2()  # type: ignore[arg-type]


#: What is seen by the headers of the file and of the disk: both engines refuse it before they open anything.
HEADERS: Mapping[str, Attack] = {
    "nothing": Attack(bytearray, "a qcow2"),
    "text": Attack(lambda: bytearray(b"no disk" * 1000), "a qcow2"),
    "header cut": Attack(lambda: _qcow2()[:60], "header is cut short"),
    "file cut": Attack(lambda: _qcow2()[: 9 * CLUSTER], "is truncated"),
    "version of the future": Attack(_changed(4, "I", 4), "version 4 is not known"),
    "backing file": Attack(_changed(8, "Q", 1024), "has a backing file"),
    "data file": Attack(_changed(72, "Q", 4), "keeps its data in an external file"),
    "unknown feature": Attack(_changed(72, "Q", 1 << 40), "unknown incompatible features 0x10000000000"),
    "encrypted": Attack(_changed(32, "I", 2), "is encrypted"),
    "snapshots": Attack(_changed(60, "I", 1 << 31), "2147483648 internal snapshots"),
    "corrupt": Attack(_changed(72, "Q", 2), "marked as corrupt"),
    "clusters of 2^31 bytes": Attack(_changed(20, "I", 31), r"clusters of 2\^31 bytes"),
    "size that lies": Attack(_changed(24, "Q", 1 << 62), "more than the limit of 400000000000"),
    "file that is too large": Attack(_sparse(8 << 40), r"the file has 8796093022208 bytes for a virtual disk of \d+ bytes"),
    "L1 table of gigabytes": Attack(_changed(36, "I", (1 << 32) - 1), "L1 table has 4294967295 entries"),
    "L1 table beyond": Attack(_changed(40, "Q", 1 << 62), "truncated: the L1 table"),
    "L2 table beyond": Attack(_changed(_L1, "Q", 1 << 50 | 1 << 63), "truncated: the L2 table 0"),
    "L2 table is the L1 table": Attack(_changed(_L1, "Q", _L1 | 1 << 63), "the L2 table 0 lies over another table"),
    "L2 table is the header": Attack(_changed(_L1, "Q", 512 | 1 << 63), "L2 table 0 is not aligned"),
    "cluster beyond": Attack(_changed(_L2, "Q", 1 << 50 | 1 << 63), "truncated: a cluster ends at"),
    "cluster is a table": Attack(_changed(_L2, "Q", _L1 | 1 << 63), "is a part of the disk and of a table"),
    "cluster twice": Attack(_cluster_twice, "is a part of the disk and of another part of the disk"),
    "refcount table of gigabytes": Attack(_changed(56, "I", 1 << 24), "refcount table has 16777216 clusters"),
    "refcount block beyond": Attack(_changed(CLUSTER, "Q", 1 << 63), "truncated: the refcount block 0"),
    "refcount block is the L2 table": Attack(_changed(CLUSTER, "Q", _L2), "the L2 table 0 lies over another table"),
    "refcounts of refcounts": Attack(_changed(CLUSTER + 8, "Q", 2 * CLUSTER), "the refcount block 1 lies over another table"),
    "two formats": Attack(_changed(64, "Q", 0x7F10DABE00000000), "an image of the format VDI in one"),
    "no partition table": Attack(_raw(lambda disk: disk.__setitem__(slice(0, len(disk)), bytes(len(disk)))), "no GUID partition table"),
    "partitions overlap": Attack(
        _sealed_table(lambda disk: disk.__setitem__(slice(1024 + 128 + 32, 1024 + 128 + 40), disk[1024 + 32 : 1024 + 40])),
        "the partitions 1 and 2 overlap",
    ),
    "partition beyond": Attack(_sealed_table(lambda disk: struct.pack_into("<Q", disk, 1024 + 40, 1 << 60)), "lies outside of the disk"),
    "MBR of another disk": Attack(_raw(lambda disk: struct.pack_into("<B", disk, 446 + 16 + 4, 0x83)), "MBR is another one"),
}

#: What only shows when a filesystem is read, or a cluster inflated: the native engine's own judgement.
CONTENTS: Mapping[str, Attack] = {
    "damaged cluster": Attack(_damaged_cluster, "compressed cluster at [0-9]+ is damaged"),
    "cluster that is a bomb": Attack(_bomb, "no GUID partition table"),
    "superblock damaged": Attack(_in_partition(2, 60, b"\xff"), "superblock is damaged"),
    "log damaged": Attack(_in_partition(2, _XFS_LOG, bytes(64 * 4096)), "log"),
    "inodes damaged": Attack(_in_partition(2, 16 * _XFS_BLOCK, b"\xff" * 600), "damaged"),
    "entries without end": Attack(
        _disk(boot={f"/loader/entries/{number}.conf": b"" for number in range(101)}), "has 102 boot entries: no image has"
    ),
    "entry of megabytes": Attack(_disk(entry=ENTRY.encode() * 500), "more than the limit of 65536"),
}

#: What a conversion alone reads; to look into these disks is no harm.
CONVERSION: Mapping[str, Attack] = {
    "entry is a folder": Attack(_disk(entry=b"", boot={"/loader/entries/a.conf/b": b""}), "has the argument ostree="),
    "entry of nothing": Attack(_disk(entry=b"\0" * 1000), "has the argument ostree="),
    "deployment nowhere": Attack(_disk(entry=ENTRY.replace(LINK, "/../../../etc").encode()), "leads to no deployment"),
    "deployment of no name": Attack(_disk(entry=ENTRY.replace(LINK, "/" + "x/" * 20000).encode()), "leads to no deployment"),
    "links in a circle": Attack(_disk(links={LINK: LINK}), "too many symbolic links"),
    "fstab of megabytes": Attack(_disk(fstab=b"#" * 70_000), "more than the limit of 65536"),
    "machine ids without end": Attack(
        _disk(root={f"{DEPLOYMENT}/{number}/machine-id": b"" for number in range(1001)}), "files machine-id: no image has"
    ),
}
