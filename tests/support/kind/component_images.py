# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images of Kubernetes' components: one layer with every program and what it needs, under the names that kubeadm asks for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support.command import run
from tests.support.kind.image_archive import Image, write_archive

_REGISTRY = "registry.k8s.io"
_COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
# The only program that kube-proxy runs.
_IPTABLES = "/usr/sbin/xtables-nft-multi"


def write_component_images(dest: Path, programs: Path, node_root: Path, version: str) -> None:
    """Write an archive with the images of this Kubernetes version.

    :param programs: folder of what programs.build_node_programs made.
    :param node_root: the node's root file system, for iptables, and for the name of the sandbox' image.
    """
    root = dest.with_suffix(".root")
    shutil.rmtree(root, ignore_errors=True)
    _fill(root, programs, node_root)
    layer = dest.with_suffix(".layer")
    with tarfile.open(layer, "w") as archive:
        archive.add(root, "", filter=_owned_by_root)
    write_archive(dest, layer, _images(programs, node_root, version))
    layer.unlink()
    shutil.rmtree(root)


def _images(programs: Path, node_root: Path, version: str) -> list[Image]:
    names = set(_as("kubeadm", programs, "config", "images", "list", "--kubernetes-version", version).split())
    # The container runtime may be set to another pause than kubeadm knows.
    names |= set(re.findall(rf"{_REGISTRY}/pause:[\d.]+", (node_root / "etc/containerd/config.toml").read_text()))
    path = {"Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    images = []
    for name in sorted(names):
        program = name.rpartition(":")[0].rpartition("/")[2]
        starts = {"pause": {"Entrypoint": ["/pause"], "User": "65535:65535"}, "coredns": {"Entrypoint": ["/coredns"], "WorkingDir": "/"}}
        images.append(Image((name,), {**path, **starts.get(program, {})}))
    return images


def _as(name: str, programs: Path, *arguments: str) -> str:
    """Run the program of all programs under one of its names."""
    return subprocess.run([name, *arguments], executable=programs / "everything", check=True, capture_output=True, text=True).stdout


def _fill(root: Path, programs: Path, node_root: Path) -> None:
    for folder in ("etc", "tmp", "usr/local/bin", "usr/sbin", "usr/bin"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    for name, content in _ACCOUNTS.items():
        (root / name).write_text(content)
    shutil.copy(programs / "everything", root / "usr/local/bin")
    for name in _COMPONENTS:
        (root / "usr/local/bin" / name).symlink_to("everything")
    for name in ("coredns", "pause"):
        shutil.copy(programs / name, root)
    _add_iptables(root, node_root)


def _add_iptables(root: Path, node_root: Path) -> None:
    """Copy Debian's iptables with its extensions and libraries."""
    extensions = next(node_root.glob("usr/lib/*/xtables"))
    copy = root / extensions.relative_to(node_root)
    shutil.copytree(extensions, copy, symlinks=True)
    inside = [_IPTABLES, *(f"/{path.relative_to(node_root)}" for path in extensions.glob("*.so"))]
    for name in {_IPTABLES, *re.findall(r"(/\S+) \(0x", run("chroot", node_root, "ldd", *inside))}:
        target = root / "usr" / os.path.relpath(name, "/").removeprefix("usr/")  # Debian's /lib is /usr/lib
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(os.path.realpath(node_root / target.relative_to(root))), target)
    for tables in ("iptables", "ip6tables"):
        for command in ("", "-save", "-restore"):
            (root / f"usr/sbin/{tables}{command}").symlink_to("xtables-nft-multi")


def _owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry
