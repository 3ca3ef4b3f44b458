# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot images for several targets, side by side and one after the other, by the playbook that users run."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Table, gigabytes
from tests.support import registry
from tests.support.demonstration import play
from tests.support.sample_disk import LARGE, SMALL
from tests.support.sample_image import write_layout

_TARGETS = 8


def _measure(folder: Path, small: bool) -> Table:
    disk, seconds, fetched = SMALL if small else LARGE, {}, {}
    with registry.serve() as images:
        write_layout(folder / "layout", disk)
        source = images.push(f"oci:{folder}/layout:{disk.version}", f"olcne/ock:{disk.version}")
        shutil.rmtree(folder / "layout")
        for parallel in (1, 2, _TARGETS):
            work = folder / "work"
            work.mkdir()
            before, began = images.blob_bytes(), time.perf_counter()
            changed = play("ocne.images.create_oci_image", _variables(work, source, parallel))
            seconds[parallel] = time.perf_counter() - began
            fetched[parallel] = images.blob_bytes() - before
            made = list(work.glob("node-*.oci"))
            if len(made) != _TARGETS or not changed:
                raise RuntimeError(f"{len(made)} boot images were made, not {_TARGETS}")
            size = made[0].stat().st_size
            shutil.rmtree(work)
    rows = []
    for parallel, each in seconds.items():
        name = f"{parallel} at once" if parallel > 1 else "one after the other"
        rows.append((name, f"{each:.1f}", f"{each / seconds[1]:.2f}", f"{each / _TARGETS:.1f}", f"{fetched[parallel] / 1e6:.0f}"))
    return Table(f"{_TARGETS} targets with a boot image of {gigabytes(size)} each", rows)


def _variables(work: Path, source: str, parallel: int) -> Path:
    """A file with the playbook's variables: each target has a kernel argument of its own, and so an image of its own."""
    targets = [{"dest": str(work / f"node-{number}.oci"), "kernel_arguments": [f"node={number}"]} for number in range(_TARGETS)]
    variables = {
        "ocne_images_boot_image_source": source,
        "ocne_images_architecture": "amd64",
        "ocne_images_tls_verify": False,
        "ocne_images_cache_dir": str(work / "cache"),
        "ocne_images_targets": targets,
        "ocne_images_parallel": parallel,
    }
    path = work / "variables.json"
    path.write_text(json.dumps(variables))
    return path


BENCHMARK = Benchmark(
    """\
`ocne.images.create_oci_image` makes boot images for eight targets on this host, from one image in a registry on loopback:
`ocne_images_parallel` says how many at once. Each target has a kernel argument of its own, so each gets a file of its own. Each row
begins with empty folders. Side by side gains what the host's cores and disks have to spare; on a cluster, that is its nodes'.""",
    ("targets", "seconds", "ratio", "seconds a target", "MB fetched"),
    _measure,
    ("sample disks", "container images", "a registry", "the disk engine"),
)
