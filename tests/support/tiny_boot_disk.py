# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A boot disk of a few MiB that can be converted, made in memory without any tool, so that a test can spoil any byte of it."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.tiny_disk import make_gpt, make_qcow2
from tests.support.tiny_fat import FatMaker
from tests.support.tiny_xfs import Maker, Memory, make_xfs

BOOT_UUID, ROOT_UUID = "5ca1ab1e-0000-4000-8000-00000000b007", "5ca1ab1e-0000-4000-8000-000000000007"
DEPLOYMENT = f"/ostree/deploy/ock/deploy/{'c' * 64}.0"
LINK = "/ostree/boot.1/ock/0/0"
ENTRY_PATH = "/loader/entries/ostree-1-ock.conf"
ENTRY = f"title OCK\noptions ignition.platform.id=qemu console=ttyS0 root=UUID={ROOT_UUID} ostree={LINK}\n"
FSTAB = f"UUID={ROOT_UUID} / xfs defaults 0 0\nUUID={BOOT_UUID} /boot xfs defaults 0 0\n"


@dataclass
class TinyDisk:
    """What is on the disk: contents of files by path, and targets of symlinks; more is added to what a disk has to have."""

    entry: bytes = ENTRY.encode()
    fstab: bytes = FSTAB.encode()
    boot: dict[str, bytes] = field(default_factory=dict)
    root: dict[str, bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=lambda: {LINK: f"../../../..{DEPLOYMENT}"})

    def partitions(self) -> dict[str, bytearray]:
        """Their contents, by label."""
        boot = {ENTRY_PATH: self.entry, **self.boot}
        root = {f"{DEPLOYMENT}/etc/fstab": self.fstab, f"{DEPLOYMENT}/etc/machine-id": b"1\n", **self.root}
        return {
            "EFI-SYSTEM": bytearray(FatMaker(16, "EFI").make({"EFI": {"grub.cfg": b"set"}})),
            "boot": _xfs(BOOT_UUID, boot, {}).data,
            "root": _xfs(ROOT_UUID, root, self.links).data,
        }

    def raw(self) -> bytearray:
        """The disk, with an MBR that protects its table."""
        disk = make_gpt({label: bytes(content) for label, content in self.partitions().items()})
        struct.pack_into("<B3sB3sII", disk, 446, 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, len(disk) // 512 - 1)
        disk[510:512] = b"\x55\xaa"
        return disk

    def qcow2(self, compressed: bool = False) -> bytearray:
        """The disk as a qcow2 file of clusters of 64 KiB: header, refcount table, refcount block, L1, L2 tables, data."""
        return bytearray(make_qcow2(bytes(self.raw()), compressed=compressed))


def _xfs(identity: str, files: Mapping[str, bytes], links: Mapping[str, str]) -> Memory:
    maker = Maker(make_xfs())
    for path, content in files.items():
        maker.write_file(path.encode(), content, 0o644)
    for path, target in links.items():
        maker.write_file(f"{path.rpartition('/')[0]}/beside".encode(), b"", 0o644)
        maker.symlink(path.encode(), target.encode())
    maker.set_uuid(uuid.UUID(identity))
    return maker.save()
