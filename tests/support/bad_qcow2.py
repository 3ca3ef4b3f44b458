# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""qcow2 files that nobody should open: each function writes one at a path. Format: QEMU's docs/interop/qcow2.txt."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from tests.support.command import run


def truncated(source: Path, dest: Path) -> None:
    """The first two thirds of a sound one."""
    shutil.copyfile(source, dest)
    dest.chmod(0o600)
    with dest.open("r+b") as stream:
        stream.truncate(source.stat().st_size * 2 // 3)


def with_backing_file(dest: Path, backing: Path) -> None:
    """One that reads what it does not have from another file of the host."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", backing, dest, "1G")


def with_data_file(dest: Path, data: Path) -> None:
    """One whose content lies in another file of the host."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={data},data_file_raw=on", dest, "64M")


def with_unknown_feature(source: Path, dest: Path) -> None:
    """A sound one that has an incompatible feature from the future (bit 40 of the 64 at byte 72)."""
    shutil.copyfile(source, dest)
    dest.chmod(0o600)
    with dest.open("r+b") as stream:
        stream.seek(72)
        features = int(struct.unpack(">Q", stream.read(8))[0])
        stream.seek(72)
        stream.write(struct.pack(">Q", features | 1 << 40))


def of_virtual_size(dest: Path, size: str) -> None:
    """An empty one of that virtual size, in qemu-img's notation ('401G')."""
    run("qemu-img", "create", "-q", "-f", "qcow2", dest, size)


def encrypted(dest: Path) -> None:
    """One whose header asks for AES encryption (method 1 at byte 32)."""
    of_virtual_size(dest, "64M")
    with dest.open("r+b") as stream:
        stream.seek(32)
        stream.write(struct.pack(">I", 1))
