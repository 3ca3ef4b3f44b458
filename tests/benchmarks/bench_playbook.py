# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole playbook, from a registry to a custom image, and the same again. Prints rows of a table.

    python tests/benchmarks/bench_playbook.py [--folder DIR] [--small]

The boot image is as large as the real one (1.4 GB). The bytes are those that registry and endpoint have handed out or taken.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/sbin"])

from tests.support import registry  # noqa: E402
from tests.support.demonstration import COMPARTMENT, main_job, play  # noqa: E402
from tests.support.oci_endpoint import Endpoint  # noqa: E402
from tests.support.registry import Registry  # noqa: E402
from tests.support.sample_disk import LARGE, SMALL  # noqa: E402
from tests.support.sample_image import write_layout  # noqa: E402


def moved(images: Registry, cloud: Endpoint) -> int:
    """Bytes of blobs and of requests' bodies so far."""
    blobs = re.findall(r"GET /v2/\S+/blobs/.*? 200 (\d+)", images.requests.read_text())
    return sum(map(int, blobs)) + sum(request.received for request in cloud.requests())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    parser.add_argument("--small", action="store_true", help="a small boot image")
    options = parser.parse_args()
    disk = SMALL if options.small else LARGE
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-playbook-", dir=options.folder) as name, registry.serve() as images:
        folder = Path(name)
        write_layout(folder / "layout", disk)
        source = images.push(f"oci:{folder}/layout:{disk.version}", f"olcne/ock:{disk.version}")
        shutil.rmtree(folder / "layout")
        with Endpoint(folder / "cloud") as cloud:
            cloud.add_compartment(COMPARTMENT)
            variables = main_job(folder, source, folder / "boot.oci", cloud)
            for run in ("first", "second"):
                before, began = moved(images, cloud), time.perf_counter()
                changed = play(variables)
                rows.append((run, time.perf_counter() - began, moved(images, cloud) - before, changed))
            size = (folder / "boot.oci").stat().st_size
    print(f"| playbook on a boot image of {size / 1e9:.2f} GB | seconds | ratio | MB moved | changed |")
    print("| --- | --- | --- | --- | --- |")
    for run, seconds, count, changed in rows:
        print(f"| {run} run | {seconds:.1f} | {rows[0][1] / seconds:.1f} | {count / 1e6:.2f} | {changed} |")


if __name__ == "__main__":
    main()
