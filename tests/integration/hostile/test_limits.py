# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory and open files do not grow with an image; the kernel refuses more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.hostile.judging import MIB
from tests.support.command import run
from tests.support.measured_calls import Call, Limits, Measured, call
from tests.support.sample_disk import SMALL, boot_disk
from tests.support.tiny_boot_disk import TinyDisk

LIMITS = Limits(address_space=512 * MIB, open_files=32, seconds=300)
#: What a look at a disk, or its conversion, takes at most.
PEAK = 128 * MIB


def preallocated(folder: Path, gibibytes: int) -> Path:
    """A disk of which every cluster has its place in the file, which is as long as the disk, and sparse."""
    raw, disk = folder / "disk.raw", folder / f"{gibibytes}.qcow2"
    raw.write_bytes(TinyDisk().raw())
    with raw.open("r+b") as file:
        file.truncate(gibibytes << 30)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "preallocation=metadata", raw, disk)
    raw.unlink()
    assert disk.stat().st_size >= gibibytes << 30 > disk.stat().st_blocks * 512
    return disk


def held(measured: Measured) -> None:
    assert not measured.message, measured
    assert 16 * MIB < measured.peak < PEAK, measured
    assert (measured.descriptors, measured.threads) == (0, 0), measured


def test_a_look_takes_the_same_whatever_the_size(tmp_path: Path) -> None:
    calls = [
        Call("ocne_image_info", {"source": str(preallocated(tmp_path, size)), "cache_dir": str(tmp_path / "cache"), "engine": "native"})
        for size in (1, 4, 15)
    ]
    small, medium, large = call([*calls[:1], *calls], LIMITS, {})[1:]  # the first call loads the modules
    for measured in (small, medium, large):
        held(measured)
        assert measured.result["image"]["virtual_size"] in (1 << 30, 4 << 30, 15 << 30)
    assert large.peak < small.peak + 16 * MIB, (small.peak, medium.peak, large.peak)


@pytest.mark.parametrize("module", ["ocne_boot_image", "ocne_image_info"])
def test_a_node_s_disk_of_15_gib_is_taken_within_the_limits(tmp_path: Path, module: str) -> None:
    params = {"source": str(boot_disk(SMALL)), "cache_dir": str(tmp_path / "cache"), "engine": "native"}
    if module == "ocne_boot_image":
        params["dest"] = str(tmp_path / "boot.oci")
    (measured,) = call([Call(module, params)], LIMITS, {})
    held(measured)


def test_a_limit_that_is_too_low_is_noticed(tmp_path: Path) -> None:
    """That the kernel does hold them: without this, the tests above could not fail."""
    params = {"source": str(preallocated(tmp_path, 1)), "cache_dir": str(tmp_path / "cache"), "engine": "native"}
    with pytest.raises(AssertionError, match=r"MemoryError|[Cc]annot allocate"):
        call([Call("ocne_image_info", params)], Limits(address_space=24 * MIB), {})
