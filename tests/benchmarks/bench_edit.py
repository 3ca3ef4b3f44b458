# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edit of a boot disk of 1.4 GB, native beside guestfs, on copies of the same disk. Prints rows of a table.

    python tests/benchmarks/bench_edit.py [--runs 5] [--folder DIR]

Each edit is a new process that is given a fresh copy of the disk; the time is that of the process alone, starting Python
included, without the copy. The disk is made with real files and a real ostree deployment (see sample_disk).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.sample_disk import LARGE, boot_disk  # noqa: E402

EDIT = """
import sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from pathlib import Path
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.boot_image import convert
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.conversion import Options
convert(Path(sys.argv[2]), Options("oci"), "sha256:0", sys.argv[3])
"""


def edit(disk: Path, folder: Path, engine: str) -> tuple[float, int, float]:
    """Seconds, bytes that the file grew by, and peak resident memory in MiB of the Python process."""
    copy = folder / "disk.qcow2"
    shutil.copyfile(disk, copy)
    os.sync()
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", EDIT, str(ROOT), str(copy), engine])
    _process_id, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise RuntimeError(f"the edit by {engine} failed")
    grown = copy.stat().st_size - disk.stat().st_size
    copy.unlink()
    return seconds, grown, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="edits by each engine; the median counts")
    parser.add_argument("--folder", type=Path, help="where to put the copies")
    options = parser.parse_args()
    disk = boot_disk(LARGE)
    with tempfile.TemporaryDirectory(prefix="bench-edit-", dir=options.folder) as name:
        results = {engine: [edit(disk, Path(name), engine) for _turn in range(options.runs)] for engine in ("native", "guestfs")}
    base = statistics.median(seconds for seconds, _memory, _changes in results["native"])
    print(f"| edit of a boot disk of {disk.stat().st_size / 1e9:.2f} GB | seconds | ratio | growth, MB | peak memory, MiB |")
    print("| --- | --- | --- | --- | --- |")
    for engine, runs in results.items():
        seconds, grown, memory = (statistics.median(column) for column in zip(*runs))
        print(f"| {engine} | {seconds:.2f} | {seconds / base:.0f} | {grown / 1e6:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
