# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ocne_boot_image from a registry to a converted file, beside the same by skopeo, tar and guestfish in a script."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Cost, Table, gigabytes, guestfs_settings, guestfs_words, mebibytes, run
from tests.support import registry
from tests.support.sample_disk import LARGE, SMALL
from tests.support.sample_image import write_layout

_RUNS = 3
#: Is given the source, in a folder with the file that is added. The edit is that of ocne_boot_image, as one writes it for this image.
_BY_HAND = r"""
set -eu
skopeo copy --quiet --src-tls-verify=false "$1" dir:copy
layer=$(ls -S copy | head -n 1)
tar -xzf "copy/$layer" disk/boot.qcow2
boot=$(cat /proc/sys/kernel/random/uuid) root=$(cat /proc/sys/kernel/random/uuid)
guestfish --rw --format=qcow2 -a disk/boot.qcow2 <<END
run
mount /dev/sda2 /
copy-out /loader/entries .
! sed -i -e 's/ignition.platform.id=[a-z0-9]*/ignition.platform.id=oci/' -e 's/root=UUID=[0-9A-Fa-f-]*/root=UUID=$root/' entries/*.conf
glob copy-in entries /loader.[01]
umount /
mount /dev/sda3 /
! mkdir etc
glob copy-out /ostree/deploy/ock/deploy/*/etc/fstab etc
! sed -i -e 's|^UUID=[0-9A-Fa-f-]* / |UUID=$root / |' -e 's|^UUID=[0-9A-Fa-f-]* /boot |UUID=$boot /boot |' etc/fstab
glob copy-in etc/fstab oci-dhclient.sh /ostree/deploy/ock/deploy/*/etc
glob rm-f /ostree/deploy/ock/deploy/*/etc/machine-id
umount /
set-uuid /dev/sda2 $boot
set-uuid /dev/sda3 $root
END
sha256sum disk/boot.qcow2 > disk/sha256
"""


def _ours(folder: Path, source: str, _settings: Mapping[str, str]) -> Cost:
    params = {"source": source, "tls_verify": False, "dest": str(folder / "boot.qcow2"), "cache_dir": str(folder / "cache")}
    params["architecture"] = "amd64"
    return run(sys.executable, "-m", "tests.support.module_call", "ocne_boot_image", stdin=json.dumps(params))


def _by_hand(folder: Path, source: str, settings: Mapping[str, str]) -> Cost:
    (folder / "oci-dhclient.sh").write_text("#!/bin/bash\n")
    return run("sh", "-c", _BY_HAND, "sh", source, cwd=folder, env=settings)


def _measure(folder: Path, small: bool) -> Table:
    disk, work = SMALL if small else LARGE, folder / "work"
    settings = guestfs_settings()
    with registry.serve() as images:
        write_layout(folder / "layout", disk, index=False)
        source = images.push(f"oci:{folder}/layout:{disk.version}", f"olcne/ock:{disk.version}")
        size = sum(path.stat().st_size for path in (folder / "layout/blobs").rglob("*") if path.is_file())
        shutil.rmtree(folder / "layout")
        ways = {"`ocne_boot_image`": _ours, "`skopeo copy`, `tar`, `guestfish`": _by_hand}
        costs: dict[str, list[Cost]] = {name: [] for name in ways}
        for _turn in range(1 if small else _RUNS):
            for name, way in ways.items():
                work.mkdir()
                costs[name].append(way(work, source, settings))
                shutil.rmtree(work)
    rows, base = [], 0.0
    for name, each in costs.items():
        seconds = statistics.median(cost.wall for cost in each)
        base = base or seconds
        cpu, memory = statistics.median(cost.cpu for cost in each), max(cost.memory for cost in each)
        rows.append((name, f"{seconds:.1f}", f"{seconds / base:.1f}", f"{cpu:.1f}", mebibytes(memory)))
    return Table(f"an image of {gigabytes(size)} in a registry on loopback; {guestfs_words(settings)}", rows)


BENCHMARK = Benchmark(
    """\
Both take a boot image from a registry and give a qcow2 file for OCI with its SHA-256. By hand that is `skopeo copy` into a folder, `tar`
for the disk in the layer, and a script for `guestfish` that fits this very image: platform in the boot entry, new UUIDs there, in fstab
and in the filesystems, one file more, no machine id. It does not check whether the disk is what the script takes it for. Each run begins
with empty folders. Medians of three.""",
    ("conversion", "seconds", "ratio", "CPU seconds", "peak memory, MiB"),
    _measure,
    ("sample disks", "container images", "a registry", "the engine guestfs", "the disk engine"),
)
