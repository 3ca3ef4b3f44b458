# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's disk image: Debian's root file system with all that the node needs, on a disk that boots by UEFI."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support import builder_images, debian
from tests.support.command import CACHE, run
from tests.support.kind import cluster
from tests.support.kind.component_images import _add_iptables
from tests.support.kind.image_archive import Image, write_archive
from tests.support.kind.node_image import _containerd
from tests.support.machine import say
from tests.support.ock_node import programs

FOLDER = CACHE / "ock-node"
FILES = Path(__file__).parent / "files"
REGISTRY = "container-registry.oracle.com/olcne"
#: What a build on the cluster runs in.
BUILDER_IMAGE = "localhost/ocne-images-tests/builder:current"
#: Version of Kubernetes that the node has, as OCK's tags name it.
KUBERNETES_VERSION = "1.34"

_MACHINE = {"x86_64": ("amd64", "x64", "ttyS0"), "aarch64": ("arm64", "aa64", "ttyAMA0")}[os.uname().machine]
_PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "kmod", "iproute2", "iptables", "conntrack", "ethtool", "mount", "procps", "passwd"),
    *("ca-certificates", "containerd", "runc", "containernetworking-plugins", "libblkid1"),
    *("initramfs-tools", "zstd", "busybox-static", "systemd-boot-efi", f"linux-image-cloud-{_MACHINE[0]}"),
)
_UNITS = ("crio.service", "kubelet.service", "ocne.service", "ocne-update.service")
#: As on Oracle Linux, presets say which units run; Ignition's own come first.
_STARTED = ("systemd-networkd.service", "systemd-networkd-wait-online.service")
_NETWORK = "[Match]\nName=en*\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n"
_MODULES = ("overlay", "br_netfilter", "veth", "vxlan")
#: Linux takes an emulated processor's counter for unsteady; without it, each look at the clock leaves the guest, and Go looks often.
_COMMAND_LINE = (
    f"root=LABEL=root rootfstype=ext4 rw console={_MACHINE[2]} quiet apparmor=0 mitigations=off tsc=reliable no5lvl "
    "ignition.platform.id=qemu systemd.show_status=1"
)
_ESP_MIB, _ROOT_MIB = 63, 8192


def image() -> Path:
    """The node image, a qcow2 file of about 300 MiB, in .cache/ock-node; made where it is missing."""
    path = FOLDER / f"node-{_key()}.qcow2"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        for old in FOLDER.glob("node-*.qcow2"):
            old.unlink()
        with tempfile.TemporaryDirectory(prefix="work-", dir=FOLDER) as work:
            _build(path, Path(work))
    return path


def _key() -> str:
    """What the image is made of."""
    archive = cluster.archive()
    sources = [path for path in Path(__file__).parent.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    digest = hashlib.sha256(archive.name.encode())
    for path in (*sorted(sources), Path(debian.__file__)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _build(dest: Path, work: Path) -> None:
    root = work / "root"
    ignition, flanneld, plugin = (programs.program(name) for name in ("ignition", "flanneld", "flannel"))
    say("install the node's Debian")
    debian.bootstrap(_PACKAGES, root)
    say("put Kubernetes on the node")
    _add_kubernetes(root)
    _set_up(root)
    shutil.copy(plugin, root / "usr/lib/cni/flannel")
    _add_images(root, flanneld, work)
    kernel, initrd = _make_initrd(root, ignition)
    say("make the node's disk")
    _make_disk(root, kernel, initrd, work / "disk.raw")
    partial = dest.with_suffix(".part")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", "-o", "compression_type=zstd", work / "disk.raw", partial)
    partial.replace(dest)


def _add_kubernetes(root: Path) -> None:
    """Kubernetes' programs, and the images of its components in containerd, from kind's node image."""
    names = ("./usr/bin/everything", "./var/lib/containerd")
    with (
        subprocess.Popen(["zstd", "--quiet", "-dc", "--long=27", cluster.archive()], stdout=subprocess.PIPE) as unpacking,
        subprocess.Popen(["tar", "-xO", "layer.tar"], stdin=unpacking.stdout, stdout=subprocess.PIPE) as layer,
    ):
        subprocess.run(["tar", "-xp", "-C", root, *names], stdin=layer.stdout, check=True)
    for name in ("kubeadm", "kubectl", "kubelet"):
        (root / "usr/bin" / name).symlink_to("everything")


def _set_up(root: Path) -> None:
    for name in ("containerd.service",):
        (root / "lib/systemd/system" / name).unlink()
    debian.quieten(root, _STARTED)
    for name in _UNITS:
        shutil.copy(FILES / name, root / "lib/systemd/system")
    texts = {
        "etc/systemd/network/80-dhcp.network": _NETWORK,
        "etc/modules-load.d/kubernetes.conf": "".join(f"{module}\n" for module in _MODULES),
        "etc/sysctl.d/kubernetes.conf": "net.ipv4.ip_forward=1\n",
        "etc/resolv.conf": "nameserver 192.18.255.3\n",
        "etc/fstab": "LABEL=root / ext4 rw,noatime 0 0\n",
        "etc/hostname": "localhost\n",
        "etc/machine-id": "uninitialized\n",
        "etc/containerd/config.toml": (FILES / "containerd.toml").read_text(),
    }
    for folder in ("etc/kubernetes/manifests", "etc/containers", "etc/cni/net.d", "opt/cni"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copytree(FILES / "patches", root / "etc/ocne/ock/patches")
    shutil.copy(FILES / "update-ca-trust", root / "usr/bin")
    (root / "usr/bin/update-ca-trust").chmod(0o755)
    (root / "opt/cni/bin").symlink_to("/usr/lib/cni")
    (root / "usr/bin/rescue.sh").symlink_to("/bin/bash")
    run("chroot", root, "groupadd", "--force", "wheel")


def _add_images(root: Path, flanneld: Path, work: Path) -> None:
    """Flannel, the builder's image, and OCK's names for all; unpacked now, so that no node has to do that when it starts."""
    archives = [_flannel_image(root, flanneld, work), _builder_image(work)]
    with _containerd(root) as socket:

        def ctr(*words: str, stdin: Path | None = None) -> str:
            command = ["chroot", str(root), "ctr", "--address", socket, "--namespace", "k8s.io", *words]
            with (stdin or Path(os.devnull)).open("rb") as file:
                return subprocess.run(command, stdin=file, stdout=subprocess.PIPE, check=True, text=True).stdout

        for archive in archives:
            ctr("images", "import", "--no-unpack", "-", stdin=archive)
        for name in ctr("images", "ls", "--quiet").split():
            ours = re.sub(r"^registry\.k8s\.io/(?:coredns/)?", f"{REGISTRY}/", name)
            repository, _colon, tag = ours.rpartition(":")
            if ours != name:
                ctr("images", "tag", name, ours)
                ctr("images", "rm", name)
            if repository.startswith(REGISTRY) and repository.rpartition("/")[2] in ("coredns", "flannel", "kube-proxy"):
                ctr("images", "tag", ours, f"{repository}:current")
            if repository.endswith("/pause"):
                config = root / "etc/containerd/config.toml"
                config.write_text(config.read_text().replace("PAUSE_TAG", tag))
        for digest in sorted(set(re.findall(r"sha256:[0-9a-f]{64}", ctr("images", "ls")))):
            ctr("snapshots", "unpack", digest)
    # The same program on the node and in its containers: one file, and one place in memory.
    unpacked = next(root.glob("var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/usr/local/bin/everything"))
    (root / "usr/bin/everything").unlink()
    (root / "usr/bin/everything").hardlink_to(unpacked)


def _flannel_image(root: Path, flanneld: Path, work: Path) -> Path:
    """An archive with the image: the daemon, iptables, and the program 'cp'."""
    content = work / "flannel"
    for folder in ("opt/bin", "usr/bin", "usr/sbin", "tmp"):
        (content / folder).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (content / name).symlink_to(f"usr/{name}")
    shutil.copy(flanneld, content / "opt/bin/flanneld")
    shutil.copy(root / "bin/busybox", content / "usr/bin/cp")
    _add_iptables(content, root)
    return _archive(content, f"{REGISTRY}/flannel:{programs.FLANNEL}", work / "flannel.tar")


def _builder_image(work: Path) -> Path:
    archive = work / "builder.tar"
    write_archive(archive, builder_images.root_archive(), [Image((BUILDER_IMAGE,), {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})])
    return archive


def _archive(content: Path, name: str, archive: Path) -> Path:
    layer = archive.with_suffix(".layer")
    run("tar", "-C", content, "--numeric-owner", "--owner=0", "--group=0", "-cf", layer, ".")
    write_archive(archive, layer, [Image((name,), {"Env": ["PATH=/opt/bin:/usr/sbin:/usr/bin:/sbin:/bin"]})])
    layer.unlink()
    return archive


def _make_initrd(root: Path, ignition: Path) -> tuple[Path, Path]:
    """The kernel, and an initial file system for it in which Ignition runs before the real one."""
    scripts = {"hooks/ignition": programs.INITRD_HOOK, "scripts/local-bottom/ignition": FILES / "ignition.local-bottom"}
    modules = ("virtio_pci", "virtio_scsi", "sd_mod", "ext4")
    return debian.make_initrd(root, {"FSTYPE": "ext4"}, modules, scripts, {"ignition": ignition})


def _make_disk(root: Path, kernel: Path, initrd: Path, disk: Path) -> None:
    """A GUID partition table with an EFI system partition (systemd-boot, kernel) and the root file system."""
    loader = disk.with_name("loader.conf")
    entry = disk.with_name("entry.conf")
    loader.write_text("timeout 0\ndefault node.conf\n")
    entry.write_text(f"title stand-in\nlinux /vmlinuz\ninitrd /initrd\noptions {_COMMAND_LINE}\n")
    esp = disk.with_name("esp.raw")
    with esp.open("wb") as file:
        file.truncate(_ESP_MIB << 20)
    run("mformat", "-i", esp, "-F", "-v", "ESP", "::")
    run("mmd", "-i", esp, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries")
    boot_loader = root / f"usr/lib/systemd/boot/efi/systemd-boot{_MACHINE[1]}.efi"
    for source, target in (
        (boot_loader, f"EFI/BOOT/BOOT{_MACHINE[1].upper()}.EFI"),
        (kernel, "vmlinuz"),
        (initrd, "initrd"),
        (loader, "loader/loader.conf"),
        (entry, "loader/entries/node.conf"),
    ):
        run("mcopy", "-i", esp, source, f"::/{target}")
    for unwanted in (*root.glob("boot/*"), *root.glob("var/lib/apt/lists/*"), *root.glob("var/cache/apt/*")):
        if unwanted.is_file():
            unwanted.unlink()
    first = 1 + _ESP_MIB
    with disk.open("wb") as file:
        file.truncate((first + _ROOT_MIB + 1) << 20)
    table = (
        "label: gpt\n"
        f"start=1MiB, size={_ESP_MIB}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n"
        f"start={first}MiB, size={_ROOT_MIB}MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
    )
    run("sfdisk", "--quiet", disk, stdin=table)
    run("dd", f"if={esp}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
    options = f"offset={first << 20},lazy_itable_init=1,root_owner=0:0"
    run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        "root",
        "-O",
        "^has_journal,^metadata_csum",
        "-E",
        options,
        "-d",
        root,
        disk,
        f"{_ROOT_MIB << 10}k",
    )
