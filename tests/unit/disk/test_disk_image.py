# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
import random
from collections.abc import Callable

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk import qcow2
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.device import Overlay
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.image import open_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.qcow2 import Qcow2Image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_disk import make_qcow2
from tests.support.tiny_xfs import Memory

DISK = bytes(random.Random(1).choices(b"\0\1abc", k=700_001)) + bytes(500_000) + b"end"


def refcounts(file: bytes, cluster: int) -> dict[int, int]:
    """What the refcount blocks say, by host cluster."""
    table = file[cluster : 2 * cluster]
    blocks = [int.from_bytes(table[at : at + 8], "big") for at in range(0, cluster, 8)]
    words = [(number, file[block : block + cluster]) for number, block in enumerate(blocks) if block]
    return {
        number * cluster // 2 + at // 2: int.from_bytes(block[at : at + 2], "big")
        for number, block in words
        for at in range(0, cluster, 2)
        if any(block[at : at + 2])
    }


def references(image: Qcow2Image, file: bytes) -> dict[int, int]:
    """How often each host cluster is referred to: header, tables, data."""
    header, cluster = image.header, image.header.cluster_size
    counted: dict[int, int] = {}

    def count(start: int, length: int) -> None:
        for place in range(start // cluster, -(-(start + length) // cluster)):
            counted[place] = counted.get(place, 0) + 1

    count(0, 1)
    count(cluster, cluster)
    for at in range(cluster, 2 * cluster, 8):
        if any(file[at : at + 8]):
            count(int.from_bytes(file[at : at + 8], "big"), cluster)
    count(header.l1_offset, header.l1_entries * 8)
    for at in range(header.l1_offset, header.l1_offset + header.l1_entries * 8, 8):
        table = int.from_bytes(file[at : at + 8], "big") & 0x00FFFFFFFFFFFE00
        if table:
            count(table, cluster)
    for number in range(-(-image.size // cluster)):
        entry = image.entry(number)
        if entry >> 62 & 1:
            count(*header.compressed_extent(entry))
        elif entry & 0x00FFFFFFFFFFFE00:
            count(entry & 0x00FFFFFFFFFFFE00, 1)
    return counted


@pytest.mark.parametrize("cluster_bits", [9, 12, 16])
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("compressed", [False, True])
def test_what_was_planned_is_read_and_counted(cluster_bits: int, version: int, compressed: bool) -> None:
    disk = DISK[690_000:720_000] if cluster_bits == 9 else DISK
    file = Memory(bytearray(make_qcow2(disk, cluster_bits, version, compressed)))
    image = open_image(file)
    assert image.read(0, image.size) == disk
    dice = random.Random(2)
    writes = {}
    for place in dice.sample(range(len(disk) // 4096), 5):
        writes[place * 4096] = dice.randbytes(4096)
    planned = image.plan(writes)
    assert image.read(0, image.size) == disk, "a plan changes nothing"
    future = open_image(Overlay(file, planned))
    expected = bytearray(disk)
    for offset, data in writes.items():
        expected[offset : offset + 4096] = data
    assert future.read(0, image.size) == expected
    whole = Overlay(file, planned).read(0, Overlay(file, planned).size)
    assert isinstance(future, Qcow2Image)
    assert refcounts(whole, 1 << cluster_bits) == references(future, whole)


def test_a_zero_cluster_reads_as_zeros_and_keeps_its_place() -> None:
    data = bytearray(make_qcow2(DISK))
    cluster = 1 << 16
    data[4 * cluster + 7] |= 1
    file = Memory(data)
    image = open_image(file)
    assert image.read(0, cluster) == bytes(cluster)
    planned = image.plan({10: b"new"})
    assert max(planned) < file.size, "the file does not grow"
    assert open_image(Overlay(file, planned)).read(8, 6) == b"\0\0new\0"


def test_zstd_clusters_are_read_where_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    zstandard = pytest.importorskip("zstandard")

    def decompressor(_name: str) -> Callable[[bytes, int], bytes]:
        return lambda data, size: zstandard.ZstdDecompressor().decompressobj().decompress(data)[:size]

    file = Memory(bytearray(make_qcow2(DISK, compressed=True, compression=1)))
    monkeypatch.setattr(qcow2, "zstd_decompressor", decompressor)
    assert open_image(file).read(0, len(DISK)) == DISK


def test_zstd_is_refused_where_python_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_module(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", no_module)
    with pytest.raises(Unsupported, match=r"zstd, which needs Python 3\.14"):
        open_image(
            Memory(
                bytearray(
                    make_qcow2(DISK, compressed=True)[:72]
                    + b"\0\0\0\0\0\0\0\x08"
                    + make_qcow2(DISK)[80:104]
                    + b"\1"
                    + make_qcow2(DISK)[105:]
                )
            )
        )


def test_a_damaged_compressed_cluster_is_told() -> None:
    data = bytearray(make_qcow2(DISK, compressed=True))
    data[5 << 16 : (5 << 16) + 40] = b"\xff" * 40
    with pytest.raises(BuildError, match="compressed cluster at 327680 is damaged"):
        open_image(Memory(data)).read(0, 10)


@pytest.mark.parametrize(
    ("offset", "value", "told"),
    [(80 + 15, b"\1", "autoclear features"), (99, b"\5", "reference counts of 32 bits"), ((2 << 16) + 11, b"\2", "shares the cluster")],
)
def test_what_cannot_be_kept_right_is_not_planned(offset: int, value: bytes, told: str) -> None:
    data = bytearray(make_qcow2(DISK))
    data[offset : offset + len(value)] = value
    image = open_image(Memory(data))
    with pytest.raises(Unsupported, match=told):
        image.plan({0: b"x"})


def test_reads_and_writes_stay_inside() -> None:
    image = open_image(Memory(bytearray(make_qcow2(DISK))))
    with pytest.raises(BuildError, match="beyond the virtual disk"):
        image.read(len(DISK) - 1, 2)
    with pytest.raises(BuildError, match="beyond the virtual disk"):
        image.plan({len(DISK): b"x"})


@pytest.mark.parametrize("seed", range(20))
def test_an_overlay_reads_like_the_device_after_its_writes(seed: int) -> None:
    dice = random.Random(seed)
    base = Memory(bytearray(dice.randbytes(1000)))
    places = sorted(dice.sample(range(0, 1100, 50), 6))
    writes = {place: dice.randbytes(dice.randint(1, 50)) for place in places}
    expected = bytearray(base.data).ljust(max(place + len(data) for place, data in writes.items()), b"\0")
    for place, data in writes.items():
        expected[place : place + len(data)] = data
    overlay = Overlay(base, writes)
    assert overlay.size == len(expected)
    for _turn in range(50):
        start = dice.randrange(overlay.size)
        length = dice.randint(0, overlay.size - start)
        assert overlay.read(start, length) == expected[start : start + length]
