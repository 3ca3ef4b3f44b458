# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole playbook, from a registry to a custom image, and the same again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Table, gigabytes
from tests.support import registry
from tests.support.demonstration import COMPARTMENT, main_job, play
from tests.support.oci_endpoint import Endpoint
from tests.support.registry import Registry
from tests.support.sample_disk import LARGE, SMALL
from tests.support.sample_image import write_layout


def _moved(images: Registry, cloud: Endpoint) -> int:
    """Bytes of blobs and of requests' bodies so far."""
    return images.blob_bytes() + sum(request.received for request in cloud.requests())


def _measure(folder: Path, small: bool) -> Table:
    disk, rows, first = SMALL if small else LARGE, [], 0.0
    with registry.serve() as images, Endpoint(folder / "cloud") as cloud:
        write_layout(folder / "layout", disk)
        source = images.push(f"oci:{folder}/layout:{disk.version}", f"olcne/ock:{disk.version}")
        shutil.rmtree(folder / "layout")
        cloud.add_compartment(COMPARTMENT)
        variables = main_job(folder, source, folder / "boot.oci", cloud)
        for name in ("first run", "second run"):
            before, began = _moved(images, cloud), time.perf_counter()
            changed = play("ocne.images.create_and_upload_oci_image", variables)
            seconds = time.perf_counter() - began
            first = first or seconds
            rows.append((name, f"{seconds:.1f}", f"{seconds / first:.2f}", f"{(_moved(images, cloud) - before) / 1e6:.2f}", str(changed)))
        size = (folder / "boot.oci").stat().st_size
    return Table(f"a boot image of {gigabytes(size)}", rows)


BENCHMARK = Benchmark(
    """\
`ocne.images.create_and_upload_oci_image` takes a boot image from a registry on loopback, converts it, sends it to the endpoint of
`tests/support/oci_endpoint`, and imports it; then it runs again, unchanged. The bytes are those that registry and endpoint have handed
out or taken.""",
    ("playbook", "seconds", "ratio", "MB moved", "tasks changed"),
    _measure,
    ("sample disks", "container images", "a registry", "the disk engine"),
)
