# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small OCK root and boot filesystem, made by the ostree tool: a real repo, commit, deployment and boot entry."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.boot import system
from tests.support.command import run

OSNAME = "ock"
KERNEL = "5.15.0-305.176.4.el8uek"
KERNEL_ARGUMENTS = ("ignition.platform.id=qemu", "ignition.firstboot=1", "systemd.firstboot=off", "console=ttyS0", "rw")
#: What the deployments' machine-id says, where they have one.
MACHINE_ID = "8c2d6b5f0f5c4d3c9b62b1f0a4f3e7d1"
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}

_OS_RELEASE = """NAME="Oracle Linux Server"
VERSION="8.10"
ID="ol"
VERSION_ID="8.10"
VARIANT="Container Host for Kubernetes"
VARIANT_ID="ock"
PRETTY_NAME="Oracle Linux Server 8.10"
"""

# As many names as a real /etc has, so that the directory has the shape that it has on a real image.
_ETC_NAMES = tuple(
    f"{name}{number}.conf" for name in ("audit", "cni", "dracut", "kubelet", "logrotate", "modprobe") for number in range(28)
)

_LABELS = (
    ("usr/etc/NetworkManager/dispatcher.d", "NetworkManager_dispatcher_script_t"),
    ("usr/etc/passwd", "passwd_file_t"),
    ("usr/etc/machine-id", "machineid_t"),
    ("usr/etc", "etc_t"),
    ("usr/lib/modules", "modules_object_t"),
    ("usr/bin", "bin_t"),
    ("usr/lib", "lib_t"),
    ("usr", "usr_t"),
    ("", "root_t"),
)


def set_label(path: Path, kind: str) -> None:
    """Give a file, or a symlink itself, an SELinux label of that type. The kernel need not have SELinux."""
    os.setxattr(path, "security.selinux", f"system_u:object_r:{kind}:s0".encode() + b"\0", follow_symlinks=False)


def label_tree(top: Path, kind: str) -> None:
    """One label for everything below and including a directory."""
    set_label(top, kind)
    for folder, directories, files in os.walk(top):
        for name in (*directories, *files):
            set_label(Path(folder, name), kind)


def _write(path: Path, content: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def _make_tree(top: Path, architecture: str) -> None:
    """The content of a commit: what an operating system has under /usr, with its defaults for /etc in /usr/etc."""
    etc = top / "usr/etc"
    modules = top / f"usr/lib/modules/{KERNEL}.{MACHINE[architecture]}"
    _write(top / "usr/bin/ocne-sample", "#!/bin/sh\nexec true\n", 0o755)
    modules.mkdir(parents=True)
    (modules / "vmlinuz").write_bytes(os.urandom(512 << 10))
    (modules / "initramfs.img").write_bytes(os.urandom(1 << 20))
    for name in _ETC_NAMES:
        _write(etc / name, f"# {name}\n" * 3)
    _write(etc / "passwd", "root:x:0:0:root:/root:/bin/bash\nocne:x:1000:1000::/home/ocne:/bin/bash\n")
    _write(etc / "group", "root:x:0:\nocne:x:1000:\n")
    _write(etc / "shadow", "root:!locked::0:99999:7:::\n", 0o000)
    _write(etc / "hosts", "127.0.0.1 localhost\n")
    _write(etc / "NetworkManager/dispatcher.d/20-chrony", "#!/bin/sh\nexit 0\n", 0o755)
    (etc / "os-release").symlink_to("../usr/lib/os-release")
    for name in ("var", "sysroot", "boot", "proc", "sys", "dev", "run", "tmp"):
        (top / name).mkdir()
    for name, target in (("ostree", "sysroot/ostree"), ("bin", "usr/bin"), ("lib", "usr/lib"), ("home", "var/home"), ("opt", "var/opt")):
        (top / name).symlink_to(target)


def _label_commit(top: Path) -> None:
    for folder, directories, files in os.walk(top):
        for path in (Path(folder), *(Path(folder, name) for name in (*directories, *files))):
            relative = path.relative_to(top).as_posix()
            set_label(path, next(kind for prefix, kind in _LABELS if (relative + "/").startswith(prefix + "/") or not prefix))


def install(
    sysroot: Path,
    scratch: Path,
    *,
    architecture: str,
    version: str,
    root_uuid: str,
    boot_uuid: str,
    deployments: int,
    machine_id: bool,
    bootable: bool,
) -> list[Path]:
    """Make sysroot (the mounted root filesystem, with the boot filesystem mounted at its 'boot') an ostree sysroot.

    :param scratch: an empty folder on a filesystem with extended attributes.
    :param deployments: how many, newest last; each has its boot entry.
    :param machine_id: put files of that name into /usr/etc and /etc of each deployment.
    :param bootable: deployments of a system that boots.
    :returns: the deployments' folders.
    """
    repo = f"--repo={sysroot / 'ostree/repo'}"
    run("ostree", "admin", "init-fs", "--modern", sysroot)
    run("ostree", "admin", "os-init", f"--sysroot={sysroot}", OSNAME)
    run("ostree", "config", repo, "set", "sysroot.bootloader", "none")
    words = (*KERNEL_ARGUMENTS, *(system.KERNEL_ARGUMENTS if bootable else ()), f"root=UUID={root_uuid}")
    arguments = [f"--karg={word}" for word in words]
    for serial in range(deployments):
        tree = scratch / f"tree{serial}"
        tree.mkdir()
        if bootable:
            system.unpack(tree)
        else:
            _make_tree(tree, architecture)
        (tree / "usr/lib/os-release").unlink(missing_ok=True)
        _write(tree / "usr/lib/os-release", f'{_OS_RELEASE}OSTREE_VERSION="{version}.{serial}"\n')
        if machine_id:
            _write(tree / "usr/etc/machine-id", "")
        _label_commit(tree)
        run("ostree", "commit", repo, f"--branch={OSNAME}", f"--add-metadata-string=version={version}.{serial}", f"--tree=dir={tree}")
        shutil.rmtree(tree)
        run("ostree", "admin", "deploy", f"--sysroot={sysroot}", f"--os={OSNAME}", "--retain", "--no-merge", *arguments, OSNAME)
    folders = sorted(path for path in (sysroot / f"ostree/deploy/{OSNAME}/deploy").iterdir() if path.is_dir())
    for folder in folders:
        _write(folder / "etc/fstab", f"UUID={root_uuid} / xfs defaults 0 0\nUUID={boot_uuid} /boot xfs defaults 0 0\n")
        set_label(folder / "etc/fstab", "etc_t")
        if machine_id:
            (folder / "etc/machine-id").write_text(f"{MACHINE_ID}\n")
    _name_entries(sysroot / "boot/loader/entries")
    label_tree(sysroot / "boot", "boot_t")
    return folders


def _name_entries(entries: Path) -> None:
    """Give entries the names that the ostree of Oracle Linux 8 gives them: newer versions leave the osname out."""
    for entry in entries.iterdir():
        if not entry.stem.endswith(f"-{OSNAME}"):
            entry.rename(entry.with_name(f"{entry.stem}-{OSNAME}.conf"))
