# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a sample boot disk, as the kernel sees it. As root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import run
from tests.support.listing import Listing, list_mounted
from tests.support.xfs_tools import loop_device

#: Start and size of partitions, in bytes; 0: to the end of the disk.
BOOT, ROOT = (503808 * 512, 999424 * 512), (1505280 * 512, 0)


@contextmanager
def mounted(disk: Path, start: int, size: int, scratch: Path) -> Iterator[Path]:
    """A partition of the disk, read-only, after xfs_repair has found nothing wrong with it."""
    raw, place = scratch / "raw", scratch / "mnt"
    run("qemu-img", "convert", "-O", "raw", disk, raw)
    place.mkdir(exist_ok=True)
    with loop_device(raw, start, size or raw.stat().st_size - start - (1 << 20)) as device:
        run("xfs_repair", "-n", device)
        run("mount", "-o", "ro,norecovery,nouuid", device, place)
        try:
            yield place
        finally:
            run("umount", place)
    raw.unlink()


def contents(disk: Path, scratch: Path) -> tuple[Listing, Listing, dict[str, bytes]]:
    """Listings of boot and root, and the content of small files by path."""
    files: dict[str, bytes] = {}
    listings = []
    for start, size in (BOOT, ROOT):
        with mounted(disk, start, size, scratch) as place:
            listings.append(list_mounted(place))
            for path, item in listings[-1].items():
                if item.type == "file" and item.size < 10_000:
                    files[path] = (place / path.lstrip("/")).read_bytes()
    return listings[0], listings[1], files
