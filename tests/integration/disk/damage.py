# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damaged disks: whatever the damage, the engine edits soundly or refuses; nothing else comes out, and nothing hangs.

Half of the trials have damage under wrong checksums, the other half under right ones, as a hostile image would.
"""

from __future__ import annotations

import collections
import contextlib
import random
import resource
import signal
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.device import HostFile
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Edit, RemoveFile, SetUuid, WriteFile
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import NativeDisk
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.xfs import geometry, volume
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.integration.disk.fuzz import LABEL, Case, Config, Lab
from tests.support import xfs_tools
from tests.support.edit_model import LINKED_BOOT_ENTRY
from tests.support.kernel_trees import FSTAB, MACHINE_ID, Planter
from tests.support.xfs_tools import run

_SECTOR = 512
_SECONDS = 30
_MEMORY = 1 << 30
_OPTIONS = ("-m", "crc=1,finobt=1,reflink=1,rmapbt=1,bigtime=1", "-d", "agcount=4", "-l", "size=20m")

EDITS: list[Edit] = [
    WriteFile(LABEL, LINKED_BOOT_ENTRY, b"title y" * 100),
    WriteFile(LABEL, FSTAB, b"# a new table"),
    WriteFile(LABEL, "/etc/one/two/new", b"n" * 9000, 0o755),
    RemoveFile(LABEL, MACHINE_ID),
    SetUuid(LABEL, "01234567-89ab-4def-8123-456789abcdef"),
]


class DamagedFile(HostFile):
    """A host file, some of whose bytes are read differently; it remembers the sectors that were read."""

    def __init__(self, path: Path, flips: dict[int, int]) -> None:
        super().__init__(path, writable=False)
        self.flips = flips
        self.seen: set[int] = set()
        self.size += flips.get(-1, 0)

    def read(self, offset: int, length: int) -> bytes:
        data = super().read(offset, length)
        self.seen.update(range(offset // _SECTOR, -(-(offset + length) // _SECTOR)))
        for place, change in self.flips.items():
            if offset <= place < offset + length:
                changed = bytearray(data)
                changed[place - offset] ^= change
                data = bytes(changed)
        return data


def make_disk(folder: Path, compressed: bool) -> Path:
    """A disk whose tree has something of everything."""
    lab = Lab(Case(0, folder), Config(_OPTIONS, 300, True, False))
    with lab.device() as device:
        status, output = xfs_tools.make_filesystem(device, _OPTIONS)
        if status:
            raise RuntimeError(output)
    with lab.mounted() as root:
        Planter(random.Random(80), root, reflink=True).plant()
    image = folder / f"damage-{'compressed' if compressed else 'plain'}.qcow2"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *(["-c"] if compressed else []), lab.disk, image)
    lab.remove()
    return image


def edit(file: DamagedFile) -> None:
    """Read what a conversion reads, and plan and check its edits."""
    with NativeDisk(file) as disk:
        filesystem = disk.filesystem(LABEL)
        for path in (FSTAB, LINKED_BOOT_ENTRY):
            filesystem.stat(path)
            filesystem.read(path)
        filesystem.list("/etc")
        filesystem.find("/", "machine-id")
        disk.check(EDITS, 1_700_000_000)


@contextlib.contextmanager
def right_checksums() -> Iterator[None]:
    """As if whoever damaged the disk had also made its checksums fit."""

    def sound(*_arguments: object) -> bool:
        return True

    modules: list[Any] = [volume, geometry]
    kept = [module.is_sound for module in modules]
    for module in modules:
        module.is_sound = sound
    try:
        yield
    finally:
        for module, function in zip(modules, kept):
            module.is_sound = function


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def trial(image: Path, dice: random.Random, sectors: list[int], forged: bool) -> str:
    """'edited', 'refused', 'damage', 'not found', or 'STRAY' and the exception."""
    flips = {}
    for _turn in range(dice.choice([1, 1, 3])):
        place = dice.choice(sectors) * _SECTOR + (dice.randrange(_SECTOR) if dice.random() < 0.5 else dice.randrange(64))
        flips[place] = dice.choice([1, 128, 255, dice.randrange(1, 256)])
    signal.alarm(_SECONDS)
    try:
        with right_checksums() if forged else contextlib.nullcontext():
            edit(DamagedFile(image, flips))
    except Unsupported:
        return "refused"
    except BuildError:
        return "damage"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return "not found"
    except BaseException:
        return f"STRAY {flips} forged={forged} {traceback.format_exc()[-1200:]}"
    finally:
        signal.alarm(0)
    return "edited"


def run_trials(count: int, folder: Path, seed: int) -> collections.Counter[str]:
    """The results of so many trials, half of them on a compressed image."""
    folder.mkdir(parents=True, exist_ok=True)
    dice = random.Random(seed)
    results: collections.Counter[str] = collections.Counter()
    signal.signal(signal.SIGALRM, _alarm)
    images = [make_disk(folder, compressed) for compressed in (False, True)]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for image in images:
        whole = DamagedFile(image, {})
        edit(whole)
        sectors = sorted(whole.seen)
        for number in range(count // 2):
            forged = bool(number % 2)
            results[f"{'forged' if forged else 'plain'}: {trial(image, dice, sectors, forged)}"] += 1
        image.unlink()
    return results


def main(count: int, folder: Path, seed: int) -> int:
    results = run_trials(count, folder, seed)
    for result, number in results.most_common():
        print(number, result)
    return int(any("STRAY" in result for result in results))
