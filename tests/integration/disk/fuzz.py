# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random XFS filesystems made by the kernel, edited by the native engine, judged by everybody who can read XFS.

Each seed is one case, and prints one line of JSON; the last line sums up. See __main__.py for the command line.
"""

from __future__ import annotations

import collections
import contextlib
import json
import random
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Edit, SetUuid, WriteFile
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import NativeDisk, open_native
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError, Unsupported

from tests.support import newer_xfsprogs, xfs_tools
from tests.support.edit_model import LINKED_BOOT_ENTRY, Model, parent, random_edits
from tests.support.kernel_trees import FSTAB, MACHINE_ID, Planter, random_content, random_name, turn_the_log
from tests.support.listing import Listing, differences, digest, list_engine, list_mounted
from tests.support.xfs_tools import loop_device, mounted, run

LABEL = "root"
START = 1 << 20
_TIME = 1_700_000_000
_ALWAYS = (LINKED_BOOT_ENTRY, FSTAB, MACHINE_ID)


class Failure(Exception):
    """A judge found something wrong."""


class Skipped(Exception):
    """The case could not be made."""


@dataclass
class Case:
    """What is known of a case, and what goes into its line."""

    seed: int
    folder: Path
    result: str = "ok"
    options: str = ""
    format: str = ""
    edits: int = 0
    changed_blocks: int = 0
    plan_seconds: float = 0.0
    total_seconds: float = 0.0
    replayed: bool = False
    accounted: bool = False
    newer_judged: bool = False
    grub: bool = False
    refused: list[str] = field(default_factory=list)

    def line(self) -> str:
        facts = {name: value for name, value in vars(self).items() if name != "folder"}
        return json.dumps({**facts, "plan_seconds": round(self.plan_seconds, 3), "total_seconds": round(self.total_seconds, 1)})


@dataclass(frozen=True)
class Config:
    options: Sequence[str]
    mebibytes: int
    reflink: bool
    newer: bool


ORACLE_LINUX_8 = (
    *("-m", "crc=1,finobt=1,reflink=1,rmapbt=0,bigtime=0,inobtcount=0"),
    *("-i", "sparse=1,nrext64=0"),
    *("-d", "agcount=4"),
    *("-l", "size=10m"),
)


def random_config(dice: random.Random) -> Config:
    if dice.random() < 0.2:
        return Config(ORACLE_LINUX_8, dice.choice([490, 1024, 15 * 1024]), True, False)
    chance = dice.random
    reflink, finobt = chance() < 0.7, chance() < 0.85
    groups = dice.choice([1, 4, 4, 4, 4, 16])
    size = dice.choice([300, 400, 400, 512, 1024, 3072, 15 * 1024])
    metadata = {
        "crc": True,
        "finobt": finobt,
        "reflink": reflink,
        "rmapbt": chance() < 0.35,
        "bigtime": chance() < 0.5,
        "inobtcount": finobt and chance() < 0.5,
    }
    inodes = [f"sparse={chance() < 0.7:d}", f"nrext64={chance() < 0.4:d}"]
    if chance() < 0.15:
        inodes.append(f"size={dice.choice([1024, 2048])}")
    options = ["-m", ",".join(f"{name}={value:d}" for name, value in metadata.items()), "-i", ",".join(inodes), "-d", f"agcount={groups}"]
    if chance() < 0.15:
        options += ["-s", "size=4096"]
    if chance() < 0.5:
        options += ["-l", f"size={dice.choice([10, 10, 24, 32])}m"]
    elif chance() < 0.3:
        options += ["-l", f"size=20m,su={dice.choice([32, 256])}k"]
    if chance() < 0.08:
        options += ["-d", "su=64k,sw=4"]
    return Config(options, min(size, 3072) if groups == 1 else size, reflink, chance() < 0.3 and newer_xfsprogs.exists())


class Lab:
    """One raw disk with one partition, and what is done with it."""

    def __init__(self, case: Case, config: Config) -> None:
        self.disk = case.folder / f"{case.seed}.raw"
        self.size = config.mebibytes << 20
        self._mount_point = case.folder / f"{case.seed}.mnt"
        with self.disk.open("wb") as file:
            file.truncate(self.size + 2 * START)
        first, last = START // 512, (START + self.size) // 512 - 1
        table = f"label: gpt\nstart={first}, size={last + 1 - first}, name={LABEL}\n"
        run("sfdisk", "--quiet", self.disk, given=table)

    def device(self) -> contextlib.AbstractContextManager[str]:
        return loop_device(self.disk, START, self.size)

    @contextlib.contextmanager
    def mounted(self, options: str = "noatime") -> Iterator[Path]:
        with self.device() as device, mounted(device, self._mount_point, options) as root:
            yield root

    def remove(self) -> None:
        self.disk.unlink(missing_ok=True)
        if self._mount_point.exists():
            self._mount_point.rmdir()


def run_case(case: Case, keep: bool = False, config: Config | None = None) -> None:
    """Make, edit and judge; Failure, Skipped, or the engine's own exceptions."""
    dice = random.Random(case.seed)
    config = config or random_config(dice)
    case.options = " ".join(config.options) + f" {config.mebibytes}M" + (" newer" if config.newer else "")
    lab = Lab(case, config)
    image = lab.disk
    try:
        before, inodes = _make(dice, lab, config)
        base = _baseline(case, lab)
        image = _convert(dice, case, lab)
        edits = _edit(dice, case, image, before)
        if image != lab.disk:
            status, output = run("qemu-img", "check", image, check=False)
            if status:
                raise Failure(f"qemu-img check: {output[-600:]}")
            run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, lab.disk)
            image.unlink()
        model = Model(before, inodes)
        model.apply(edits)
        _judge(case, lab, edits, model.listing, base)
        _use_by_kernel(dice, case, lab, edits, model.listing)
    finally:
        if not keep:
            image.unlink(missing_ok=True)
            lab.remove()


def _make(dice: random.Random, lab: Lab, config: Config) -> tuple[Listing, dict[str, int]]:
    with lab.device() as device:
        options = list(config.options)
        status, output = xfs_tools.make_filesystem(device, options, config.newer)
        if status and "-l" in options:
            at = options.index("-l")
            status, output = xfs_tools.make_filesystem(device, options[:at] + options[at + 2 :], config.newer)
        if status:
            raise Skipped(f"mkfs.xfs: {output[:200]}")
    rounds = dice.choice([1, 1, 2])
    for number in range(rounds):
        with lab.mounted() as root:
            if not number:
                Planter(dice, root, config.reflink).plant()
            if dice.random() < 0.4:
                turn_the_log(dice, root)
            listing = list_mounted(root)
            inodes = {path: (root / path.lstrip("/")).lstat().st_ino for path, item in listing.items() if item.links > 1}
    return listing, inodes


def _baseline(case: Case, lab: Lab) -> dict[str, bool]:
    """Which judges find the filesystem in order as the kernel left it, and so can be asked again after the edit."""
    with lab.device() as device:
        status, output = xfs_tools.repair(device)
        newer = newer_xfsprogs.exists() and not xfs_tools.repair(device, newer=True)[0]
        if status:
            raise Skipped(f"xfs_repair before the edit: {output[:200]}")
        accounted = xfs_tools.block_usage(device) == (0, "")
    grub = bool(xfs_tools.read_by_grub(lab.disk, LINKED_BOOT_ENTRY))
    case.accounted, case.newer_judged, case.grub = accounted, newer, grub
    return {"newer": newer, "accounted": accounted, "grub": grub}


def _convert(dice: random.Random, case: Case, lab: Lab) -> Path:
    """The disk in the format that is edited: raw, or qcow2, also compressed."""
    case.format = dice.choice(["raw", "qcow2", "qcow2 compressed"])
    if case.format == "raw":
        return lab.disk
    image = lab.disk.with_suffix(".qcow2")
    compressed = case.format.endswith("compressed") and lab.size <= 1100 << 20
    cluster = dice.choice([65536] * 4 + [4096, 16384, 2 << 20])
    options = f"cluster_size={cluster},compat={dice.choice(['0.10', '1.1', '1.1'])}"
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, *(["-c"] if compressed else []), lab.disk, image)
    case.format += f" {options}"
    return image


def _edit(dice: random.Random, case: Case, image: Path, before: Listing) -> list[Edit]:
    """Read all, plan, leave out what is refused, check that a plan is always the same, apply."""
    with open_native(image, writable=True) as disk:
        expected = {path: item.without_xattrs() for path, item in before.items()}
        if len(before) < 1500 or case.seed % 4 == 0:
            _equal("the engine's listing", expected, list_engine(disk.filesystem(LABEL)))
        edits = random_edits(dice, before, LABEL)
        started = time.perf_counter()
        edits = _without_refused(case, disk, edits)
        case.edits = len(edits)
        disk.apply(edits, _TIME)
        case.plan_seconds = time.perf_counter() - started
        for edit in edits[-3:]:
            if isinstance(edit, WriteFile) and disk.filesystem(LABEL).read(edit.path) != edit.content:
                raise Failure(f"{edit.path} reads differently through the disk that applied the edits")
    return edits


class _Progress(Sequence[Edit]):
    """Edits that tell which of them was reached."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        self._edits = list(edits)
        self.reached = 0
        self.complete = False

    def __len__(self) -> int:
        return len(self._edits)

    def __getitem__(self, index: Any) -> Any:
        return self._edits[index]

    def __iter__(self) -> Iterator[Edit]:
        for number, edit in enumerate(self._edits):
            self.reached = number
            yield edit
        self.complete = True


def _without_refused(case: Case, disk: NativeDisk, edits: list[Edit]) -> list[Edit]:
    """The edits without those that the engine leaves to another one."""
    while True:
        progress = _Progress(edits)
        try:
            first = disk.plan_partition(LABEL, progress, _TIME)
        except Unsupported as refusal:
            case.refused.append(refusal.message)
            if progress.complete:  # refused as a whole: try with fewer of the edits that could be left out
                others = [edit for edit in edits if not isinstance(edit, SetUuid) and edit.path not in _ALWAYS]
                left_out = {id(edit) for edit in others[len(others) // 2 :]}
                if not left_out:
                    raise Skipped(f"refused: {refusal.message}") from None
            else:
                left_out = {id(edit) for edit in edits if _goes_with(edit, edits[progress.reached])}
            edits = [edit for edit in edits if id(edit) not in left_out]
            continue
        if disk.plan_partition(LABEL, edits, _TIME) != first:
            raise Failure("two plans of the same edits differ")
        case.changed_blocks = len(first)
        return edits


def _goes_with(edit: Edit, refused: Edit) -> bool:
    """Is it the refused one, or in the same directory, and so to be refused, too? Each refusal costs a plan."""
    if edit is refused or isinstance(edit, SetUuid) or isinstance(refused, SetUuid) or edit.path in _ALWAYS:
        return edit is refused
    return parent(edit.path) == parent(refused.path)


def _judge(case: Case, lab: Lab, edits: list[Edit], expected: Listing, base: dict[str, bool]) -> None:
    with lab.device() as device:
        for newer in [False, True] if base["newer"] else [False]:
            status, output = xfs_tools.repair(device, newer)
            if status:
                raise Failure(f"xfs_repair -n{' (newer)' if newer else ''}: {output[:1500]}")
        if base["accounted"]:
            status, output = xfs_tools.block_usage(device)
            if status or output:
                raise Failure(f"xfs_db blockget: {output[:800]}")
        uuids = [edit.uuid for edit in edits if isinstance(edit, SetUuid)]
        if uuids and xfs_tools.superblock_uuids(device, 2 if "agcount=1 " not in case.options else 1) != {uuids[-1]}:
            raise Failure("xfs_db reads another UUID")
    if base["grub"]:
        boot_entry = xfs_tools.read_by_grub(lab.disk, LINKED_BOOT_ENTRY)
        content = expected[LINKED_BOOT_ENTRY.replace("/loader/", "/loader.1/")].content
        if boot_entry is None or digest(boot_entry) != content:
            raise Failure("GRUB does not read the boot entry")


def _use_by_kernel(dice: random.Random, case: Case, lab: Lab, edits: list[Edit], expected: Listing) -> None:
    """The kernel lists the tree, writes to it and removes from it; in most cases the plug is pulled, and the log replayed."""
    pull = dice.random() < 0.6
    with lab.mounted() as root:
        _equal("the kernel's listing", expected, list_mounted(root))
        _write_and_remove(dice, root, edits, expected)
        after = list_mounted(root)
        if pull:
            run("sync", "--file-system", root)
            xfs_tools.pull_the_plug(root)
            case.replayed = True
    if pull:
        with open_native(lab.disk, writable=False) as disk:
            try:
                disk.check([edit for edit in edits if isinstance(edit, SetUuid)] or edits[:1], _TIME)
            except Unsupported as refusal:
                raise Failure(f"a dirty log is {refusal}") from refusal
            except BuildError as error:
                if "log is dirty" not in error.message:
                    raise Failure(f"a dirty log is called {error}") from error
            else:
                raise Failure("a dirty log is not seen")
    with lab.mounted() as root:
        _equal("the kernel's listing after its own writes", after, list_mounted(root))
    with lab.device() as device:
        status, output = xfs_tools.repair(device, newer=case.newer_judged and dice.random() < 0.5)
        if status:
            raise Failure(f"xfs_repair -n after the kernel's writes: {output[:1500]}")


def _write_and_remove(dice: random.Random, root: Path, edits: list[Edit], listing: Listing) -> None:
    directories = [path for path, item in listing.items() if item.type == "directory"]
    changed = [parent(edit.path) for edit in edits if not isinstance(edit, SetUuid)]
    with contextlib.suppress(OSError):  # a full filesystem
        for number in range(200):
            directory = dice.choice(changed if changed and dice.random() < 0.6 else directories)
            place = root / directory.lstrip("/")
            if place.is_dir():
                (place / f"new{number}-{random_name(dice)[:100]}").write_bytes(random_content(dice))
    run("sync", "--file-system", root)
    files = [path for path, item in listing.items() if item.type == "file"]
    written = [edit.path for edit in edits if isinstance(edit, WriteFile)]
    for path in dice.sample(files, min(len(files), 300)) + written:
        (root / path.lstrip("/")).unlink(missing_ok=True)
    for directory in {path for path in changed[:3] if path != "/"}:
        place = root / directory.lstrip("/")
        for entry in list(place.iterdir()) if place.is_dir() else []:
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()


def _equal(what: str, expected: Listing, found: Listing) -> None:
    told = differences(expected, found)
    if told:
        raise Failure(f"{what} differs: " + "; ".join(told))


def judged(seed: int, folder: Path, keep: bool = False, config: Config | None = None) -> Case:
    """Run a case; whatever it comes to is in its result: 'ok', or a word and the reason."""
    case = Case(seed, folder)
    started = time.perf_counter()
    try:
        run_case(case, keep, config)
    except Skipped as reason:
        case.result = f"SKIPPED {reason}"
    except Failure as reason:
        case.result = f"FAILED {reason}"
    except BuildError as error:
        case.result = f"REFUSED {type(error).__name__} {error} {traceback.format_exc()[-700:]}"
    except Exception:
        case.result = f"ERROR {traceback.format_exc()[-2500:]}"
    case.total_seconds = time.perf_counter() - started
    return case


def main(first: int, end: int, folder: Path, keep: bool, until_failure: bool) -> int:
    """Run the cases of these seeds; the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    results: collections.Counter[str] = collections.Counter()
    newer_xfsprogs.prepare()
    for seed in range(first, end):
        case = judged(seed, folder, keep)
        results[case.result.split()[0]] += 1
        print(case.line(), flush=True)
        if until_failure and results.keys() - {"ok", "SKIPPED"}:
            break
    print(json.dumps({"sum": results}), flush=True)
    return int(bool(results.keys() - {"ok", "SKIPPED"}))
