# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edit of a boot disk, native beside guestfs, on copies of the same disk."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Cost, Table, gigabytes, guestfs_settings, guestfs_words, mebibytes, run
from tests.support.command import ROOT
from tests.support.sample_disk import LARGE, SMALL, boot_disk

_RUNS = {"native": 5, "guestfs": 3}
_EDIT = """
import sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from pathlib import Path
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.boot_image import convert
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.conversion import Options
convert(Path(sys.argv[2]), Options("oci"), "sha256:0", sys.argv[3])
"""


def _edit(disk: Path, folder: Path, engine: str, settings: Mapping[str, str]) -> tuple[Cost, int]:
    """Cost of the edit, and bytes that the file grew by."""
    copy = folder / "disk.qcow2"
    shutil.copyfile(disk, copy)
    os.sync()
    cost = run(sys.executable, "-c", _EDIT, ROOT, copy, engine, env=settings)
    grown = copy.stat().st_size - disk.stat().st_size
    copy.unlink()
    return cost, grown


def _measure(folder: Path, small: bool) -> Table:
    disk, rows, base, settings = boot_disk(SMALL if small else LARGE), [], 0.0, guestfs_settings()
    for engine, runs in _RUNS.items():
        results = [_edit(disk, folder, engine, settings) for _turn in range(1 if small else runs)]
        seconds = statistics.median(cost.wall for cost, _grown in results)
        grown = statistics.median(grown for _cost, grown in results)
        base = base or seconds
        memory = max(cost.memory for cost, _grown in results)
        rows.append((engine, f"{seconds:.2f}", f"{seconds / base:.0f}", f"{grown / 1e6:.2f}", mebibytes(memory)))
    return Table(f"a boot disk of {gigabytes(disk.stat().st_size)}, {guestfs_words(settings)}", rows)


BENCHMARK = Benchmark(
    """\
Both engines make the same edit, each time by a new process on a fresh copy of the disk: boot entries, fstab, the hook for DHCP, UUIDs,
and all checks. Starting Python is included, the copy is not. The disk has real files and a real ostree deployment. libguestfs starts a
virtual machine for it: seconds with KVM, many more by emulation. Medians of five and three edits.""",
    ("engine", "seconds", "ratio", "growth of the file, MB", "peak memory, MiB"),
    _measure,
    ("sample disks", "the engine guestfs", "the disk engine"),
)
