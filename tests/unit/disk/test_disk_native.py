# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import (
    Edit,
    Entry,
    Partition,
    RemoveFile,
    SetUuid,
    Table,
    WriteFile,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import open_native
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support.tiny_disk import make_gpt, make_qcow2
from tests.support.tiny_xfs import LABEL, UUID, Features, Maker, Memory, make_xfs

FEATURES = [
    Features(),
    Features(rmapbt=True),
    Features(finobt=False, reflink=False, sparse=False),
    Features(True, True, True, True, True, True, True),
]
NEW = "01234567-89ab-4def-8123-456789abcdef"
TIME = 1_700_000_000
TYPE = "03020100-0504-0706-0809-0a0b0c0d0e0f"


def filesystem(features: Features = FEATURES[0]) -> Memory:
    maker = Maker(make_xfs(features))
    maker.write_file(b"/etc/fstab", b"a table", 0o644)
    maker.write_file(b"/etc/machine-id", b"0" * 33, 0o444)
    maker.write_file(b"/loader.1/entries/one.conf", b"title one", 0o600)
    maker.write_file(b"/usr/lib/large", random.Random(1).randbytes(50_000), 0o755)
    maker.write_file(b"/usr/empty", b"", 0o644)
    maker.symlink(b"/loader", b"loader.1")
    maker.symlink(b"/usr/machine-id", b"/etc/machine-id")
    maker.symlink(b"/usr/up", b"../etc/./../loader/entries")
    maker.symlink(b"/loop", b"loop")
    maker.symlink(b"/nowhere", b"etc/missing")
    maker.hard_link(b"/usr/lib/large", b"/usr/lib/other-name")
    for path in (b"/etc", b"/usr/empty"):
        maker.label(path, LABEL)
    return maker.save()


def disk(tmp_path: Path, memory: Memory, form: str = "raw") -> Path:
    path = tmp_path / "disk.img"
    content = bytes(make_gpt({"boot": bytes(memory.data), "root": bytes(memory.data), "data": bytes(8192)}))
    path.write_bytes(content if form == "raw" else make_qcow2(content, compressed=form == "compressed"))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_partitions_are_told_with_their_filesystems(tmp_path: Path) -> None:
    path = disk(tmp_path, filesystem())
    with open_native(path, writable=False) as opened:
        start = 1 << 20
        size = 8 << 20
        assert list(opened.partitions) == [
            Partition(1, "boot", start, size, "xfs", str(UUID), "", TYPE, "00000000-0000-0000-0000-000000000000"),
            Partition(2, "root", start + size, size, "xfs", str(UUID), "", TYPE, "01010101-0101-0101-0101-010101010101"),
            Partition(3, "data", start + 2 * size, 8192, "", "", "", TYPE, "02020202-0202-0202-0202-020202020202"),
        ]
        assert opened.engine == "native"
        assert opened.table == Table("44444444-4444-4444-4444-444444444444", 512, path.stat().st_size)


@pytest.mark.parametrize("features", FEATURES)
def test_files_are_read(tmp_path: Path, features: Features) -> None:
    with open_native(disk(tmp_path, filesystem(features)), writable=False) as opened:
        root = opened.filesystem("root")
        assert root.list("/") == [
            Entry("etc", "directory"),
            Entry("loader", "symlink"),
            Entry("loader.1", "directory"),
            Entry("loop", "symlink"),
            Entry("nowhere", "symlink"),
            Entry("usr", "directory"),
        ]
        assert root.list("/loader/entries") == [Entry("one.conf", "file")]
        assert root.read("/loader/entries/one.conf") == b"title one"
        assert root.read("/usr/up/one.conf") == b"title one"
        assert root.read("/usr/lib/large") == random.Random(1).randbytes(50_000)
        assert root.resolve("/usr/up/one.conf") == "/loader.1/entries/one.conf"
        assert root.resolve("/usr/up/../..") == "/"
        assert root.find("/", "machine-id") == ["/etc/machine-id", "/usr/machine-id"]
        assert root.find("/usr/lib", "machine-id") == []
        link = root.stat("/usr/machine-id")
        assert (link.type, link.target, link.mode, link.size) == ("symlink", "/etc/machine-id", 0o777, 15)
        assert (root.stat("/etc/machine-id").mode, root.stat("/usr/lib/large").links) == (0o444, 2)
        assert root.stat("/etc").selinux == "system_u:object_r:etc_t:s0"
        assert root.stat("/usr").selinux == ""
        assert root.stat("/etc").links == 2
        assert root.stat("/usr").links == 3


@pytest.mark.parametrize(
    ("call", "path", "error"),
    [
        ("read", "/etc/nothing", FileNotFoundError),
        ("read", "/nowhere", FileNotFoundError),
        ("read", "/etc/fstab/x", NotADirectoryError),
        ("list", "/etc/fstab", NotADirectoryError),
        ("read", "/etc", IsADirectoryError),
        ("read", "/loop", BuildError),
        ("resolve", "/loop/x", BuildError),
        ("stat", "/etc/nothing", FileNotFoundError),
    ],
)
def test_paths_that_lead_nowhere_are_told(tmp_path: Path, call: str, path: str, error: type[Exception]) -> None:
    with open_native(disk(tmp_path, filesystem()), writable=False) as opened, pytest.raises(error):
        getattr(opened.filesystem("root"), call)(path)


def test_a_file_longer_than_the_limit_is_not_read(tmp_path: Path) -> None:
    with open_native(disk(tmp_path, filesystem()), writable=False) as opened, pytest.raises(BuildError, match="50000 bytes"):
        opened.filesystem("root").read("/usr/lib/large", limit=49_999)


@pytest.mark.parametrize(("label", "told"), [("swap", "0 partitions are labelled 'swap'"), ("data", "holds no known filesystem")])
def test_a_wrong_partition_is_told(tmp_path: Path, label: str, told: str) -> None:
    with open_native(disk(tmp_path, filesystem()), writable=False) as opened, pytest.raises(BuildError, match=told):
        opened.filesystem(label)


EDITS: Sequence[Edit] = [
    WriteFile("root", "/etc/fstab", b"another table\n" * 400),
    WriteFile("root", "/etc/dhcp/dhclient.d/oci.sh", b"#!/bin/sh\n", 0o755),
    WriteFile("root", "/usr/lib/large", b"small"),
    WriteFile("root", "/usr/beside", b""),
    RemoveFile("root", "/etc/machine-id"),
    RemoveFile("root", "/usr/machine-id"),
    SetUuid("root", NEW.upper()),
    WriteFile("boot", "/loader/entries/one.conf", b"title two"),
]


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("form", ["raw", "qcow2", "compressed"])
def test_edits_are_applied(tmp_path: Path, features: Features, form: str) -> None:
    path = disk(tmp_path, filesystem(features), form)
    with open_native(path, writable=True) as opened:
        opened.apply(EDITS, TIME)
        labels = [partition.uuid for partition in opened.partitions]
        assert labels == [str(UUID), NEW, ""]
    with open_native(path, writable=False) as opened:
        root, boot = opened.filesystem("root"), opened.filesystem("boot")
        assert root.read("/etc/fstab") == b"another table\n" * 400
        assert root.read("/etc/dhcp/dhclient.d/oci.sh") == b"#!/bin/sh\n"
        assert root.stat("/etc/dhcp/dhclient.d/oci.sh").mode == 0o755
        assert root.stat("/etc/dhcp/dhclient.d/oci.sh").selinux == root.stat("/etc").selinux
        assert root.stat("/etc/dhcp").selinux == root.stat("/etc").selinux
        assert (root.stat("/etc/dhcp").mode, root.stat("/etc").links) == (0o755, 3)
        assert (root.read("/usr/lib/large"), root.stat("/usr/lib/large").links) == (b"small", 1)
        assert root.stat("/usr/lib/large").mode == 0o755
        assert root.read("/usr/lib/other-name") == random.Random(1).randbytes(50_000)
        assert root.stat("/usr/lib/other-name").links == 1
        assert root.stat("/usr/beside").selinux == "system_u:object_r:etc_t:s0", "that of the file beside it"
        assert root.find("/", "machine-id") == []
        assert boot.read("/loader.1/entries/one.conf") == b"title two"
        assert boot.stat("/loader.1/entries/one.conf").mode == 0o600
        assert boot.read("/etc/machine-id") == b"0" * 33


def test_the_same_edits_give_the_same_bytes(tmp_path: Path) -> None:
    digests = set()
    for _turn in range(2):
        path = disk(tmp_path, filesystem(), "compressed")
        with open_native(path, writable=True) as opened:
            opened.apply(EDITS, TIME)
        digests.add(digest(path))
    assert len(digests) == 1


def test_the_old_uuid_can_come_back(tmp_path: Path) -> None:
    path = disk(tmp_path, filesystem())
    for value in (NEW, str(UUID)):
        with open_native(path, writable=True) as opened:
            opened.apply([SetUuid("root", value)], TIME)
            assert opened.partitions[1].uuid == value
            assert opened.filesystem("root").read("/etc/fstab") == b"a table"


def test_check_raises_what_apply_would_and_writes_nothing(tmp_path: Path) -> None:
    path = disk(tmp_path, filesystem(), "qcow2")
    before = digest(path)
    with open_native(path, writable=False) as opened:
        opened.check(EDITS, TIME)
        with pytest.raises(FileNotFoundError):
            opened.check([RemoveFile("root", "/etc/nothing")], TIME)
    assert digest(path) == before


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (WriteFile("root", "/etc", b""), BuildError),
        (WriteFile("root", "/etc/fstab/x", b""), NotADirectoryError),
        (WriteFile("root", "/new/../x", b""), BuildError),
        (WriteFile("root", "/etc/" + "n" * 256, b""), BuildError),
        (WriteFile("root", "/loop", b""), BuildError),
        (WriteFile("root", "/nowhere", b""), BuildError),
        (WriteFile("root", "/nowhere/x", b""), BuildError),
        (WriteFile("root", "/etc/huge", bytes(8 << 20)), Unsupported),
        (WriteFile("swap", "/etc/x", b""), BuildError),
        (RemoveFile("root", "/etc"), BuildError),
        (RemoveFile("root", "/etc/nothing"), FileNotFoundError),
        (SetUuid("root", "not a UUID"), BuildError),
    ],
)
def test_one_refused_edit_refuses_all(tmp_path: Path, edit: Edit, error: type[Exception]) -> None:
    path = disk(tmp_path, filesystem(), "qcow2")
    before = digest(path)
    with open_native(path, writable=True) as opened, pytest.raises(error):
        opened.apply([*EDITS, edit], TIME)
    assert digest(path) == before


def test_a_file_can_be_written_removed_and_written_again(tmp_path: Path) -> None:
    path = disk(tmp_path, filesystem(FEATURES[1]))
    edits: list[Edit] = [
        WriteFile("root", "/etc/fstab", b"x" * 9000),
        WriteFile("root", "/etc/fstab", b"y" * 5000),
        RemoveFile("root", "/etc/fstab"),
        WriteFile("root", "/etc/fstab", b"z", 0o600),
        WriteFile("root", "/etc/short-lived", b"s" * 5000),
        RemoveFile("root", "/etc/short-lived"),
    ]
    with open_native(path, writable=True) as opened:
        opened.apply(edits, TIME)
        root = opened.filesystem("root")
        assert (root.read("/etc/fstab"), root.stat("/etc/fstab").mode) == (b"z", 0o600)
        assert "short-lived" not in [entry.name for entry in root.list("/etc")]


def test_more_inodes_are_made_where_all_are_in_use(tmp_path: Path) -> None:
    maker = Maker(make_xfs(FEATURES[3]))
    for number in range(70):
        maker.write_file(b"/file%d" % number, b"", 0o644)
    path = disk(tmp_path, maker.save())
    with open_native(path, writable=True) as opened:
        opened.apply([WriteFile("root", f"/more{number}", b"m") for number in range(70)], TIME)
        assert len(opened.filesystem("root").list("/")) == 140


def test_a_nearly_full_filesystem_is_left_to_another_engine(tmp_path: Path) -> None:
    maker = Maker(make_xfs())
    maker.write_file(b"/large", bytes(900 * 4096), 0o644)
    maker.write_file(b"/larger", bytes(870 * 4096), 0o644)
    path = disk(tmp_path, maker.save())
    with open_native(path, writable=True) as opened, pytest.raises(Unsupported, match="no 100 free blocks in one piece to spare"):
        opened.apply([WriteFile("root", "/more", bytes(100 * 4096))], TIME)


def test_a_directory_can_take_the_place_of_a_link(tmp_path: Path) -> None:
    path = disk(tmp_path, filesystem())
    with open_native(path, writable=True) as opened:
        opened.apply([RemoveFile("root", "/loader"), WriteFile("root", "/loader/entries/one.conf", b"new")], TIME)
        root = opened.filesystem("root")
        assert (root.stat("/loader").type, root.read("/loader/entries/one.conf")) == ("directory", b"new")
        assert root.read("/loader.1/entries/one.conf") == b"title one"
