# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.fat import FatFilesystem, FatVolume, volume_id
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Entry, Partition
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import open_native
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_disk import make_gpt
from tests.support.tiny_fat import FatMaker, Tree
from tests.support.tiny_xfs import Memory

LONG = "a rather long name with ümläuts and more than thirteen letters.conf"
PROGRAM = bytes(range(256)) * 40
TREE: Tree = {
    "EFI": {"BOOT": {"BOOTX64.EFI": PROGRAM, "grub.cfg": b"set default=0\n"}, "empty": {}},
    LONG: b"long",
    "readonly.txt": b"",
    **{f"file number {number}.txt": str(number).encode() for number in range(40)},
}
PARTITION = Partition(1, "EFI-SYSTEM", 0, 0, "vfat", "ABCD-1234")
WIDTHS = pytest.mark.parametrize("width", [12, 16, 32])


def opened(data: bytearray) -> FatFilesystem:
    return FatFilesystem(PARTITION, FatVolume(Memory(data)))


@WIDTHS
def test_files_are_listed_and_read(width: int) -> None:
    files = opened(FatMaker(width).make(TREE))
    assert files.list("/EFI") == [Entry("BOOT", "directory"), Entry("empty", "directory")]
    assert [entry.name for entry in files.list("/")] == sorted(TREE)
    assert files.list("/EFI/empty") == []
    assert files.read("/EFI/BOOT/BOOTX64.EFI") == PROGRAM
    assert files.read(f"/{LONG}") == b"long"
    assert files.read("/file number 39.txt") == b"39"
    assert files.find("/", "bootx64.efi") == ["/EFI/BOOT/BOOTX64.EFI"]


@WIDTHS
def test_paths_are_spelled_as_the_filesystem_does(width: int) -> None:
    files = opened(FatMaker(width).make(TREE))
    assert files.resolve("/efi/boot/../BOOT/./Grub.CFG") == "/EFI/BOOT/grub.cfg"
    assert files.resolve("/../..") == "/"


def test_attributes_are_those_of_linux() -> None:
    files = opened(FatMaker(16).make(TREE))
    program, folder, kept = (files.stat(path) for path in ("/EFI/BOOT/BOOTX64.EFI", "/EFI", "/readonly.txt"))
    assert (program.type, program.mode, program.size) == ("file", 0o755, len(PROGRAM))
    assert (folder.type, folder.mode) == ("directory", 0o755)
    assert (kept.mode, kept.size) == (0o555, 0)


@pytest.mark.parametrize(
    ("call", "path", "error"),
    [
        ("read", "/EFI/nothing", FileNotFoundError),
        ("read", "/readonly.txt/x", NotADirectoryError),
        ("list", "/readonly.txt", NotADirectoryError),
        ("read", "/EFI", IsADirectoryError),
        ("stat", "/nothing", FileNotFoundError),
    ],
)
def test_paths_that_lead_nowhere_are_told(call: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(opened(FatMaker(16).make(TREE)), call)(path)


def test_a_file_longer_than_the_limit_is_not_read() -> None:
    with pytest.raises(BuildError, match=f"{len(PROGRAM)} bytes"):
        opened(FatMaker(16).make(TREE)).read("/EFI/BOOT/BOOTX64.EFI", limit=len(PROGRAM) - 1)


def test_short_names_have_the_case_that_was_noted() -> None:
    maker = FatMaker(16)
    data = maker.make({"GRUB.CFG": b"x"})
    at = data.index(b"GRUB    CFG")
    data[at + 12] = 0x08 | 0x10
    assert opened(data).list("/") == [Entry("grub.cfg", "file")]


@WIDTHS
def test_a_directory_in_a_circle_is_damage(width: int) -> None:
    maker = FatMaker(width)
    # With '.' and '..', so many names fill a cluster: no end is marked in it.
    data = maker.make({"FULL": {f"FILE{number}": b"" for number in range(14)}})
    number = maker.clusters + 1
    maker.table[number] = number
    maker.write_table()
    assert len(opened(data).list("/")) == 1
    with pytest.raises(BuildError, match="more entries than any can have"):
        opened(data).list("/FULL")


@WIDTHS
def test_a_file_that_is_longer_than_its_clusters_is_damage(width: int) -> None:
    maker = FatMaker(width)
    data = maker.make({"FILE": bytes(600)})
    data[data.index(b"FILE    ") + 28 : data.index(b"FILE    ") + 32] = struct.pack("<I", 5000)
    with pytest.raises(BuildError, match="FILE ends after 1024 of 5000 bytes"):
        opened(data).read("/FILE")


@pytest.mark.parametrize(
    ("offset", "value"),
    [(11, b"\x01\x02"), (13, b"\x03"), (14, b"\0\0"), (16, b"\0"), (19, b"\xff\xff"), (22, b"\xff\xff")],
)
def test_insane_geometry_is_refused(offset: int, value: bytes) -> None:
    data = FatMaker(16).make(TREE)
    data[offset : offset + len(value)] = value
    with pytest.raises(BuildError, match="makes no sense"):
        opened(data)


def test_a_cluster_outside_is_damage() -> None:
    maker = FatMaker(16)
    data = maker.make(TREE)
    maker.table = [65000 if number else 0 for number in maker.table]
    maker.write_table()
    with pytest.raises(BuildError, match="outside"):
        opened(data).read("/EFI/BOOT/BOOTX64.EFI")


@pytest.mark.parametrize(
    ("signature", "serial", "kind", "name"), [(38, 39, 54, b"FAT16   "), (38, 39, 54, b"FAT12   "), (66, 67, 82, b"FAT32   ")]
)
def test_fat_is_recognised_by_its_boot_record(signature: int, serial: int, kind: int, name: bytes) -> None:
    sector = bytearray(512)
    sector[510:] = b"\x55\xaa"
    sector[signature] = 0x29
    sector[serial : serial + 4] = b"\x34\x12\xcd\xab"
    sector[kind : kind + 8] = name
    assert volume_id(Memory(sector)) == "ABCD-1234"
    assert volume_id(Memory(bytearray(512))) is None
    assert volume_id(Memory(bytearray(100))) is None


def test_a_disk_reads_its_partitions_by_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    damaged = FatMaker(12).make({})
    damaged[13] = 3
    path.write_bytes(make_gpt({"EFI-SYSTEM": bytes(FatMaker(16, "EFI").make(TREE)), "damaged": bytes(damaged), "data": bytes(8192)}))
    with open_native(path, writable=False) as disk:
        esp, broken, data = disk.partitions
        assert (esp.filesystem, esp.uuid, esp.filesystem_label) == ("vfat", "ABCD-1234", "EFI")
        assert disk.open(esp).read("/efi/boot/GRUB.cfg") == b"set default=0\n"
        assert (broken.filesystem, broken.filesystem_label) == ("vfat", "")
        with pytest.raises(BuildError, match=r"'damaged'.*makes no sense"):
            disk.open(broken)
        with pytest.raises(Unsupported, match="no filesystem that is known"):
            disk.open(data)
        with pytest.raises(BuildError, match="holds vfat instead of XFS"):
            disk.filesystem("EFI-SYSTEM")
