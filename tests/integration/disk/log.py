# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The log's ring: filesystems that the kernel unmounted at many places of it, at its seam too, edited and mounted again."""

from __future__ import annotations

import collections
import os
import random
import uuid
from pathlib import Path

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.device import HostFile, Window
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import SetUuid, WriteFile
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import open_native
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.log import read_clean_log
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs.volume import Volume

from tests.integration.disk.fuzz import LABEL, START, Case, Config, Failure, Lab
from tests.support import xfs_tools

_MEBIBYTES = 400
#: options of mkfs.xfs, and the most sectors that a small transaction takes in such a log
_LOGS = (
    (("-l", "size=10m"), 8),
    (("-l", "size=10m,su=32k"), 64),
    (("-l", "size=20m,su=256k"), 512),
    (("-l", "size=10m", "-s", "size=4096"), 16),
)
#: In sectors; a log whose stripe unit is larger needs larger buffers than some of these.
_LARGEST_BUFFER = 64
_MOUNTS = ("noatime", "noatime,logbsize=32k", "noatime,logbsize=256k")


def _place(lab: Lab) -> tuple[int, int]:
    """Where the last record of the clean log is, and how many sectors before the ring's end."""
    file = HostFile(lab.disk, writable=False)
    try:
        volume = Volume(Window(file, START, lab.size, "log"))
        at = read_clean_log(volume).sector
        return at, volume.geometry.log_blocks * 8 - at
    finally:
        file.close()


def _write_small(root: Path, count: int) -> None:
    descriptor = os.open(root / "turned", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for number in range(count):
            os.utime(descriptor, ns=(number, number))
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _go_round(dice: random.Random, lab: Lab, count: int, sectors: int, places: collections.Counter[str]) -> None:
    for number in range(count):
        _at, left = _place(lab)
        with lab.mounted("noatime" if sectors > _LARGEST_BUFFER else dice.choice(_MOUNTS)) as root:
            # Far from the seam in strides that do not go over it, near it in short ones.
            _write_small(root, left // (2 * sectors) if left > 40 * sectors else dice.randint(0, 3))
            names = {path.name for path in root.iterdir()}
        at, left = _place(lab)
        places["seam" if left < 3 else "near the seam" if min(at, left) < 100 else "elsewhere"] += 1
        new = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        with open_native(lab.disk, writable=True) as disk:
            disk.apply([SetUuid(LABEL, new), WriteFile(LABEL, f"/new{number}", b"n" * 5000)], number)
        with lab.device() as device:
            status, output = xfs_tools.repair(device)
            if status:
                raise Failure(f"xfs_repair -n with the last record at {at}: {output}")
        with lab.mounted() as root:
            if {path.name for path in root.iterdir()} != names | {f"new{number}"}:
                raise Failure(f"the kernel lists other names, with the last record at {at}")


def main(count: int, folder: Path, seed: int) -> int:
    """So many rounds on each kind of log; 1 where one fails."""
    folder.mkdir(parents=True, exist_ok=True)
    status = 0
    for options, sectors in _LOGS:
        lab = Lab(Case(seed, folder), Config(options, _MEBIBYTES, True, False))
        places: collections.Counter[str] = collections.Counter()
        try:
            with lab.device() as device:
                made, output = xfs_tools.make_filesystem(device, options)
            if made:
                raise Failure(f"mkfs.xfs: {output[:300]}")
            with lab.mounted() as root:
                _write_small(root, 1)
            _go_round(random.Random(seed), lab, count, sectors, places)
            print(f"ok: {' '.join(options)}: {dict(places)}", flush=True)
        except Exception as reason:
            print(f"FAILED: {' '.join(options)}: {dict(places)}: {reason!r}", flush=True)
            status = 1
        finally:
            lab.remove()
    return status
