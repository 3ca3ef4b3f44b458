# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk needs to boot: the tree of an ostree commit that is a small system with kernel, and GRUB. As root.

As in OCK: ostree-prepare-root and Ignition run in the initial file system, and NetworkManager configures the network. What
differs: it is Debian, and GRUB reads the boot entries by a script of ours, for want of Enterprise Linux' command.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import tempfile
from pathlib import Path

from tests.support import debian
from tests.support.command import CACHE, run
from tests.support.machine import say
from tests.support.ock_node import programs

FILES = Path(__file__).parent / "files"
#: Further arguments of the kernel, for an emulated processor. Linux takes its clock for unsteady, and looks at it often then; and
#: where the machine is busy, a processor may be away for longer.
KERNEL_ARGUMENTS = ("tsc=reliable", "no5lvl", "mitigations=off", "watchdog_thresh=60", "rcupdate.rcu_cpu_stall_timeout=120")

_GRUB = Path("/usr/lib/grub/x86_64-efi")
_GRUB_MODULES = ("part_gpt", "fat", "xfs", "normal", "search", "search_label", "configfile", "regexp", "echo", "test", "true")
_LINUX_NEEDS = ("boot", "efi_gop", "loadenv", "mmap", "relocator", "video")
_PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "mount", "passwd", "iproute2", "network-manager"),
    *("ostree", "ostree-boot", "initramfs-tools", "busybox-static", "zstd", "linux-image-cloud-amd64"),
)
_MODULES = ("virtio_pci", "virtio_scsi", "virtio_net", "virtio_console", "sd_mod", "xfs", "crc32c-intel", "af_packet")
_UNITS = (
    *("NetworkManager.service", "NetworkManager-dispatcher.service", "NetworkManager-wait-online.service"),
    *("ostree-remount.service", "boot-report.service"),
)
#: As patient with units, devices, D-Bus and DHCP.
_PATIENCE = {
    "usr/lib/systemd/system.conf.d/patience.conf": "[Manager]\nDefaultTimeoutStartSec=600\nDefaultDeviceTimeoutSec=600\n",
    "usr/lib/systemd/system/NetworkManager-wait-online.service.d/patience.conf": "[Service]\nEnvironment=NM_ONLINE_TIMEOUT=600\n",
    "usr/lib/NetworkManager/conf.d/patience.conf": "[connection]\nipv4.dhcp-timeout=600\nipv6.method=disabled\n",
    "etc/dbus-1/system-local.conf": "<busconfig><limit name='service_start_timeout'>600000</limit></busconfig>\n",
}
_TMPFILES = "d /var/lib/NetworkManager 0700\nd /var/lib/dbus 0755\nd /var/lib/systemd 0755\n"
#: Top-level names of an ostree commit that lead elsewhere.
_LINKS = {"home": "var/home", "root": "var/roothome", "opt": "var/opt", "srv": "var/srv", "mnt": "var/mnt", "media": "run/media"}
_FOLDERS = ("boot", "dev", "proc", "run", "sys", "sysroot", "tmp", "var")


def sources() -> list[Path]:
    """The files that decide what the system is."""
    return [Path(__file__), *sorted(FILES.iterdir()), Path(debian.__file__), Path(inspect.getfile(programs))]


def unpack(folder: Path) -> None:
    """Put the tree into an empty folder; made where that was not done before."""
    run("tar", "-C", folder, "--numeric-owner", "-xpf", _archive())


def make_boot_loader(output: Path) -> list[Path]:
    """GRUB as a program of the UEFI firmware, and what lies beside it: its configuration, and the module that this loads late."""
    run("grub-mkimage", "--format=x86_64-efi", "--prefix=/EFI/BOOT", f"--output={output}", *_GRUB_MODULES, *_LINUX_NEEDS)
    return [output, FILES / "grub.cfg", _GRUB / "linux.mod"]


def _archive() -> Path:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    archive = CACHE / "boot" / f"tree-{digest.hexdigest()[:16]}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=archive.parent) as work:
            root = Path(work, "root")
            _make_tree(root)
            run("tar", "-C", root, "--numeric-owner", "-cf", Path(work, "tree.tar"), ".")
            for old in archive.parent.glob("tree-*.tar"):
                old.unlink(missing_ok=True)
            Path(work, "tree.tar").rename(archive)
    return archive


def _make_tree(root: Path) -> None:
    ignition = programs.program("ignition")
    say("install the bootable disk's Debian")
    debian.bootstrap(_PACKAGES, root)
    debian.quieten(root, _UNITS)
    _add_files(root)
    kernel, initrd = debian.make_initrd(
        root,
        {"FSTYPE": "xfs"},
        _MODULES,
        {
            "hooks/ignition": programs.INITRD_HOOK,
            "hooks/ostree": FILES / "ostree.hook",
            "scripts/local-bottom/ostree": FILES / "ostree",
            "scripts/local-bottom/ignition": FILES / "ignition",
        },
        {"ignition": ignition},
    )
    modules = next((root / "usr/lib/modules").iterdir())
    kernel.rename(modules / "vmlinuz")
    initrd.rename(modules / "initramfs.img")
    _make_like_a_commit(root)


def _add_files(root: Path) -> None:
    shutil.copy(FILES / "boot-report.service", root / "usr/lib/systemd/system")
    dispatcher = Path("usr/lib/NetworkManager/dispatcher.d")
    for name, folder in (("boot-report", Path("usr/lib")), ("99-boot-report", dispatcher)):
        shutil.copy(FILES / name, root / folder)
        (root / folder / name).chmod(0o755)
    (root / "etc/NetworkManager/dispatcher.d/01-ifupdown").unlink()  # of another way to configure a network, which is not there
    (root / "etc/systemd/system-generators").mkdir(exist_ok=True)
    (root / "etc/systemd/system-generators/systemd-getty-generator").symlink_to("/dev/null")  # nobody logs in
    for name, text in {**_PATIENCE, "usr/lib/tmpfiles.d/standin.conf": _TMPFILES}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    run("systemctl", f"--root={root}", "enable", *_UNITS)
    for name in ("etc/hostname", "etc/resolv.conf", "etc/machine-id", "etc/fstab"):
        (root / name).unlink(missing_ok=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def _make_like_a_commit(root: Path) -> None:
    """What ostree wants of a tree: defaults for /etc in /usr/etc, nothing in /var, and all that lasts reached through it."""
    (root / "etc").rename(root / "usr/etc")
    for name in (*_FOLDERS, *_LINKS, "usr/local"):
        if not (root / name).is_symlink():
            shutil.rmtree(root / name, ignore_errors=True)
    for name in _FOLDERS:
        (root / name).mkdir()
    for name, target in {**_LINKS, "ostree": "sysroot/ostree"}.items():
        (root / name).symlink_to(target)
    (root / "usr/local").symlink_to("../var/usrlocal")
    for name in ("initrd.img", "initrd.img.old", "vmlinuz", "vmlinuz.old"):
        (root / name).unlink(missing_ok=True)
    root.chmod(0o755)
