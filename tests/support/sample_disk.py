# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot disk images like OCK's, made with the real tools: GPT, EFI system partition, XFS boot and root, an ostree sysroot.

    python -m tests.support.sample_disk DEST.qcow2 [--architecture arm64] [--flaw no-boot-partition] ...

A disk is made once per specification and kept in .cache/disks. It takes root (or sudo), to mount the filesystems; they
are mounted in a mount namespace of its own, so a killed build leaves neither a mount nor a loop device.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import ostree_sysroot
from tests.support.boot import system
from tests.support.command import CACHE, ROOT, as_root, run

SECTOR = 512
MIB = 1 << 20
FLAWS = {
    "no-boot-partition": "no partition has the label 'boot'",
    "no-root-partition": "no partition has the label 'root'",
    "two-boot-partitions": "the EFI system partition has the label 'boot' too",
    "ext4-boot": "the boot partition holds ext4",
    "empty-boot": "the boot partition holds no filesystem",
    "no-entries": "the folder of boot entries is empty",
    "no-loader": "the boot filesystem has no /loader",
    "no-platform": "the boot entry lacks ignition.platform.id=",
    "no-root-argument": "the boot entry lacks root=",
    "no-ostree-argument": "the boot entry lacks ostree=",
    "dangling-ostree-argument": "the boot entry's ostree= leads nowhere",
    "no-fstab": "the deployment has no /etc/fstab",
    "dirty-boot-log": "the boot filesystem was not unmounted: its log has to be replayed",
    "dirty-root-log": "the root filesystem was not unmounted: its log has to be replayed",
    "no-partition-table": "the disk has no partition table",
}

# What mkfs.xfs of Oracle Linux 8 makes; newer ones have other defaults.
_XFS = ("-m", "crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=0,inobtcount=0", "-i", "sparse=1,nrext64=0")


@dataclass(frozen=True)
class DiskSpec:
    """What a disk is like.

    :param architecture: amd64 or arm64; names of the kernel and of the EFI program.
    :param version: the Kubernetes version.
    :param size: virtual size in GiB.
    :param padding: MiB of incompressible content.
    :param system_files: MiB of content taken from this machine's /usr.
    :param compressed: compress the qcow2's clusters.
    :param deployments: how many ostree deployments, each with its boot entry.
    :param rescue_entry: a further boot entry that is not ostree's.
    :param machine_id: whether the deployments hold files of that name.
    :param bootable: it boots for real, on this machine's architecture: a small system as the deployment, and GRUB.
    :param flaw: a key of FLAWS, or ''.
    """

    architecture: str = "amd64"
    version: str = "1.33"
    size: int = 15
    padding: int = 8
    system_files: int = 0
    compressed: bool = False
    deployments: int = 1
    rescue_entry: bool = False
    machine_id: bool = True
    bootable: bool = False
    flaw: str = ""

    def __post_init__(self) -> None:
        if self.flaw and self.flaw not in FLAWS:
            raise ValueError(f"no flaw is called {self.flaw}; there are: {', '.join(FLAWS)}")


SMALL = DiskSpec()
# About 1.4 GB of qcow2, as large as the real one.
LARGE = DiskSpec(padding=750, system_files=550)
BOOTABLE = DiskSpec(padding=0, bootable=True)


@dataclass(frozen=True)
class _Partition:
    label: str
    type: str
    start: int  # sector
    sectors: int  # 0: to the end of the disk


# The real image's table.
_TABLE = (
    _Partition("EFI-SYSTEM", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 2048, 499712),
    _Partition("boot", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", 503808, 999424),
    _Partition("root", "0FC63DAF-8483-4772-8E79-3D69D8477DE4", 1505280, 0),
)


def boot_disk(spec: DiskSpec = SMALL) -> Path:
    """The qcow2 file of that specification, made now or earlier. It is shared: copy it before you write to it."""
    sources = (Path(__file__), Path(ostree_sysroot.__file__), *(system.sources() if spec.bootable else ()))
    key = hashlib.sha256(json.dumps(dataclasses.asdict(spec), sort_keys=True).encode())
    for source in sources:
        key.update(source.read_bytes())
    folder = CACHE / "disks"
    folder.mkdir(parents=True, exist_ok=True)
    disk = folder / f"{key.hexdigest()[:16]}.qcow2"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time: they share UUIDs, and the kernel mounts one of those only
        if not disk.exists():
            arguments = [json.dumps(dataclasses.asdict(spec)), str(disk), str(os.getuid()), str(os.getgid())]
            command = [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                sys.executable,
                "-m",
                "tests.support.sample_disk",
                "--build",
                *arguments,
            ]
            run(
                *as_root(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PYTHONPATH={ROOT}", "PYTHONDONTWRITEBYTECODE=1", *command]),
                cwd=ROOT,
            )
    return disk


def _build(spec: DiskSpec, disk: Path, owner: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=disk.parent) as name:
        scratch = Path(name)
        raw = scratch / "disk.raw"
        _make_raw(spec, scratch, raw)
        made = scratch / disk.name
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *(("-c",) if spec.compressed else ()), raw, made)
        made.chmod(0o444)
        os.chown(made, *owner)
        made.rename(disk)


def _make_raw(spec: DiskSpec, scratch: Path, raw: Path) -> None:
    with raw.open("wb") as stream:
        stream.truncate(spec.size << 30)
    parts = {part.label: scratch / f"{part.label}.part" for part in _TABLE}
    for part in _TABLE:
        sectors = part.sectors or (spec.size << 30) // SECTOR - part.start - 2048
        with parts[part.label].open("wb") as stream:
            stream.truncate(sectors * SECTOR)
    _make_efi(parts["EFI-SYSTEM"], spec)
    _make_filesystems(spec, parts["boot"], parts["root"], scratch)
    if spec.flaw != "no-partition-table":
        run("sfdisk", "--quiet", raw, stdin=_table(spec))
    for part in _TABLE:
        _copy_data(parts[part.label], raw, part.start * SECTOR)
        parts[part.label].unlink()


def _copy_data(source: Path, target: Path, start: int) -> None:
    """Put a sparse file into another one at byte 'start', without its holes."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        size, position = source.stat().st_size, 0
        while position < size:
            try:
                position = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                return
            end = os.lseek(reader.fileno(), position, os.SEEK_HOLE)
            writer.seek(start + position)
            while position < end:
                position += os.sendfile(writer.fileno(), reader.fileno(), position, end - position)


def _table(spec: DiskSpec) -> str:
    """The partition table as sfdisk's script."""
    labels = {
        "no-boot-partition": {"boot": "data"},
        "no-root-partition": {"root": "data"},
        "two-boot-partitions": {"EFI-SYSTEM": "boot"},
    }.get(spec.flaw, {})
    lines = ["label: gpt"]
    for part in _TABLE:
        size = f"size={part.sectors}, " if part.sectors else ""
        lines.append(f'start={part.start}, {size}type={part.type}, name="{labels.get(part.label, part.label)}"')
    return "\n".join(lines) + "\n"


def _make_efi(part: Path, spec: DiskSpec) -> None:
    program = {"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}[spec.architecture]
    content = part.with_name(program)
    if spec.bootable:
        files = system.make_boot_loader(content)
    else:
        files = [content]
        content.write_bytes(b"MZ" + os.urandom(64 << 10))
    run("mkfs.vfat", "-F", "32", "-n", "EFI-SYSTEM", part)
    run("mmd", "-i", part, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", part, *files, "::EFI/BOOT/")


def _make_filesystems(spec: DiskSpec, boot: Path, root: Path, scratch: Path) -> None:
    seed = json.dumps(dataclasses.asdict(spec), sort_keys=True)
    boot_uuid, root_uuid = (str(uuid.uuid5(uuid.NAMESPACE_URL, f"{label} {seed}")) for label in ("boot", "root"))
    if spec.flaw == "ext4-boot":
        run("mkfs.ext4", "-q", "-U", boot_uuid, boot)
    else:
        run("mkfs.xfs", "-q", *_XFS, "-m", f"uuid={boot_uuid}", "-L", "boot", boot)
    run("mkfs.xfs", "-q", *_XFS, "-m", f"uuid={root_uuid}", "-L", "root", root)
    sysroot = scratch / "sysroot"
    sysroot.mkdir()
    with _mounted(root, sysroot, spec.flaw == "dirty-root-log"):
        (sysroot / "boot").mkdir()
        with _mounted(boot, sysroot / "boot", spec.flaw == "dirty-boot-log"):
            deployments = ostree_sysroot.install(
                sysroot,
                scratch,
                architecture=spec.architecture,
                version=spec.version,
                root_uuid=root_uuid,
                boot_uuid=boot_uuid,
                deployments=spec.deployments,
                machine_id=spec.machine_id,
                bootable=spec.bootable,
            )
            _vary_entries(spec, sysroot / "boot")
            if spec.flaw == "no-fstab":
                for deployment in deployments:
                    (deployment / "etc/fstab").unlink()
        _add_content(spec, sysroot / "ostree/deploy/ock/var/lib/containers")
    if spec.flaw == "empty-boot":
        os.truncate(boot, 0)
        os.truncate(boot, _TABLE[1].sectors * SECTOR)


@contextmanager
def _mounted(filesystem: Path, folder: Path, stay_dirty: bool) -> Iterator[None]:
    run("mount", "-o", "loop", filesystem, folder)
    try:
        yield
        if stay_dirty:
            # As after a power cut: what happened is in the log and not yet in its place.
            run("xfs_io", "-x", "-c", "shutdown -f", folder)
    finally:
        run("umount", folder)


def _vary_entries(spec: DiskSpec, boot: Path) -> None:
    entries = boot / "loader/entries"
    replacements = {
        "no-platform": ("ignition.platform.id=qemu ", ""),
        "no-root-argument": ("root=UUID=", "resume=UUID="),
        "no-ostree-argument": ("ostree=", "notostree="),
        "dangling-ostree-argument": ("ostree=/ostree/boot", "ostree=/ostree/gone"),
    }
    if spec.rescue_entry:
        rescue = entries / "00-rescue.conf"
        rescue.write_text("title Rescue\nversion 0\nlinux /vmlinuz-rescue\ninitrd /initramfs-rescue.img\noptions console=ttyS0 rescue\n")
        ostree_sysroot.set_label(rescue, "boot_t")
    if spec.flaw in replacements:
        for entry in entries.glob("ostree-*.conf"):
            entry.write_text(entry.read_text().replace(*replacements[spec.flaw]))
    if spec.flaw == "no-entries":
        for entry in entries.iterdir():
            entry.unlink()
    if spec.flaw == "no-loader":
        (boot / "loader").unlink()


def _add_content(spec: DiskSpec, folder: Path) -> None:
    """Container images preloaded for a node are most of a real image; here, random bytes and this machine's programs."""
    folder.mkdir(parents=True)
    numbers = random.Random(spec.version + spec.architecture)
    for index in range(0, spec.padding, 8):
        (folder / f"blob{index:04}").write_bytes(b"".join(numbers.randbytes(MIB) for _turn in range(min(8, spec.padding - index))))
    wanted = spec.system_files * MIB
    for top, _directories, files in os.walk("/usr"):
        for name in sorted(files):
            path = Path(top, name)
            if wanted <= 0:
                break
            if path.is_file() and not path.is_symlink() and path.stat().st_size >= 16 << 10:
                target = folder / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
                wanted -= path.stat().st_size
    ostree_sysroot.label_tree(folder, "container_var_lib_t")


def add_disk_options(parser: argparse.ArgumentParser) -> None:
    """One option per field of DiskSpec."""
    for field in dataclasses.fields(DiskSpec):
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(
                option, type=type(field.default), default=field.default, choices=["", *FLAWS] if field.name == "flaw" else None
            )


def disk_spec(options: argparse.Namespace) -> DiskSpec:
    """The specification that add_disk_options() read."""
    return DiskSpec(**{field.name: getattr(options, field.name) for field in dataclasses.fields(DiskSpec)})


def main() -> None:
    if sys.argv[1:2] == ["--build"]:
        spec, disk, uid, gid = sys.argv[2:]
        _build(DiskSpec(**json.loads(spec)), Path(disk), (int(uid), int(gid)))
        return
    parser = argparse.ArgumentParser(description="Make a boot disk image like OCK's.")
    parser.add_argument("dest", type=Path)
    add_disk_options(parser)
    options = parser.parse_args()
    shutil.copyfile(boot_disk(disk_spec(options)), options.dest)


if __name__ == "__main__":
    main()
