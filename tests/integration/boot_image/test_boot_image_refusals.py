# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bad input: each gets an error that says what is wrong, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.integration.boot_image.conftest import Converter
from tests.support import bad_qcow2
from tests.support.sample_disk import SMALL, boot_disk


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        ("no-boot-partition", "0 partitions are labelled 'boot'"),
        ("no-root-partition", "0 partitions are labelled 'root'"),
        ("two-boot-partitions", "2 partitions are labelled 'boot'"),
        ("ext4-boot", "instead of XFS"),
        ("empty-boot", "instead of XFS"),
        ("no-partition-table", "partition table"),
        ("no-entries", "no boot entry"),
        ("no-loader", "no boot entry"),
        ("no-platform", "no argument ignition.platform.id="),
        ("no-root-argument", "has no argument root="),
        ("no-ostree-argument", "has the argument ostree="),
        ("dangling-ostree-argument", "leads to no deployment"),
        ("dirty-boot-log", "log.*dirty"),
        ("dirty-root-log", "log.*dirty"),
    ],
)
def test_a_disk_that_is_not_an_ock_node_s(convert: Converter, flaw: str, said: str) -> None:
    disk = boot_disk(dataclasses.replace(SMALL, flaw=flaw))
    for check in (True, False):
        message = convert.message(disk, check=check)
        assert _matches(said, message), message
    assert convert.left() == []


def test_a_disk_without_fstab_is_converted(convert: Converter) -> None:
    assert convert(boot_disk(dataclasses.replace(SMALL, flaw="no-fstab")))["changes"]["fstab"] == {}


def test_qcow2_files_that_nobody_should_open(convert: Converter, tmp_path: Path) -> None:
    good, bad = boot_disk(SMALL), tmp_path / "bad.qcow2"
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1 << 20))
    cases = (
        (lambda: bad_qcow2.truncated(good, bad), "end of the file|truncated|too short|beyond"),
        (lambda: bad_qcow2.with_backing_file(bad, secret), "backing file"),
        (lambda: bad_qcow2.with_data_file(bad, secret), "external file"),
        (lambda: bad_qcow2.with_unknown_feature(good, bad), "feature"),
        (lambda: bad_qcow2.of_virtual_size(bad, "401G"), "virtual size|virtual disk"),
        (lambda: bad_qcow2.encrypted(bad), "encrypt"),
        (lambda: bad.write_bytes(b"no disk" * 1000), "qcow2|partition table"),
        (lambda: bad.write_bytes(b""), "qcow2|empty|partition table"),
    )
    for make, said in cases:
        bad.unlink(missing_ok=True)
        make()
        for engine in ("auto", "guestfs"):
            message = convert.message(bad, engine=engine)
            assert str(bad) in message and _matches(said, message), message
    assert convert.left() == []


def test_arguments_that_are_none(convert: Converter) -> None:
    disk = boot_disk(SMALL)
    assert "'two words' is not a kernel argument" in convert.message(disk, kernel_arguments=["two words"])
    assert "is not a kernel argument" in convert.message(disk, kernel_arguments=["evil\nlinux /vmlinuz"])
    assert "is set by the conversion" in convert.message(disk, kernel_arguments=["ignition.platform.id=metal"])
    assert "is set by the conversion" in convert.message(disk, kernel_arguments=["root=/dev/sda"])
    for platform in ("a b init=/bin/sh", "a\nlinux /evil", "-x"):
        assert "is not a platform id" in convert.message(disk, check=True, ignition_provider=platform)
    assert "kubernetes_version is '../etc'" in convert.message(disk, kubernetes_version="../etc")


def test_the_source_is_not_overwritten(convert: Converter, tmp_path: Path) -> None:
    disk, link = tmp_path / "boot.qcow2", tmp_path / "link.qcow2"
    disk.write_bytes(boot_disk(SMALL).read_bytes())
    link.symlink_to(disk)
    for source in (disk, link):
        assert "is the source itself" in convert.message(source, dest=str(disk))
    assert disk.read_bytes() == boot_disk(SMALL).read_bytes()


def test_an_artefact_survives_the_failure_of_the_next(convert: Converter) -> None:
    first = convert(boot_disk(SMALL))
    convert.message(boot_disk(dataclasses.replace(SMALL, flaw="no-entries")))
    again = convert(boot_disk(SMALL))
    assert not again["changed"] and again["sha256"] == first["sha256"]


def _matches(said: str, message: str) -> bool:
    return re.search(said, message, re.IGNORECASE) is not None
