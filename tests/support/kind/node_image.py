# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node image for kind: Debian's systemd, containerd and runc, kind's own files, Kubernetes, and the images of its components.

What is done to the root file system is what kind's own Dockerfile does (sigs.k8s.io/kind, images/base), and what its
command 'build node-image' does after it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.support import debian
from tests.support.command import run
from tests.support.kind.component_images import write_component_images
from tests.support.kind.image_archive import Image, write_archive
from tests.support.kind.programs import Go, build_node_programs, version_of
from tests.support.machine import say

_PACKAGES = (
    *("systemd", "systemd-sysv", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount", "kmod", "bash"),
    *("ca-certificates", "curl", "jq", "procps", "socat", "containerd", "runc", "containernetworking-plugins", "libc-bin"),
)
_RUN = {
    "Env": ["container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    "StopSignal": "SIGRTMIN+3",
}
# Units of Debian's that have no work in a container, or harm there.
_UNWANTED = (
    *("lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service", "lib/systemd/system/multi-user.target.wants/*"),
    *("etc/systemd/system/*.wants/*", "lib/systemd/system/local-fs.target.wants/*", "lib/systemd/system/basic.target.wants/*"),
    *("lib/systemd/system/sockets.target.wants/*udev*", "lib/systemd/system/sockets.target.wants/*initctl*"),
    "lib/systemd/system/containerd.service",
)
_WANTED = ("containerd", "kubelet", "undo-mount-hacks")

# One node needs no network but its own. Not a bridge: services between its pods would need br_netfilter of the host.
_NETWORK = {
    "cniVersion": "0.4.0",
    "name": "one-node",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": True,
            "mtu": 1500,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-ipam-state",
                "ranges": [[{"subnet": "10.244.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
# kind applies both. The network is there already; storage beyond a pod's own is not.
_MANIFESTS = {
    "default-cni.yaml": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one-node-network", "namespace": "kube-system"}},
    "default-storage.yaml": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    },
}


def build(dest: Path, name: str, work: Path) -> None:
    """Build the image called name into the archive dest, compressed with zstd. Minutes, most of them for Kubernetes.

    :param work: folder for what is made on the way.
    """
    shutil.rmtree(work, ignore_errors=True)
    programs, root = work / "programs", work / "root"
    programs.mkdir(parents=True)
    go = Go()
    with ThreadPoolExecutor() as pool:
        compiling = pool.submit(build_node_programs, go, programs)
        say("install the node's Debian")
        debian.bootstrap(_PACKAGES, root)
        compiling.result()
    version = version_of("node", "k8s.io/kubernetes")
    _install_kind_files(root, go.module_folder("kind", "sigs.k8s.io/kind") / "images/base/files")
    _set_up_systemd(root)
    _set_up_containers(root)
    _install_kubernetes(root, programs, version)
    components = work / "components.tar"
    write_component_images(components, programs, root, version)
    _import_images(root, components)
    say("pack the node image")
    layer, archive = work / "node.layer", work / "node.tar"
    run("tar", "-C", root, "--numeric-owner", "--xattrs", "-cf", layer, ".")
    write_archive(archive, layer, [Image((name,), _RUN)])
    run("zstd", "--quiet", "--force", "-T0", "-5", "--long=27", archive, "-o", dest.with_suffix(".part"))
    dest.with_suffix(".part").replace(dest)
    shutil.rmtree(work)


def _install_kind_files(root: Path, files: Path) -> None:
    """kind's configuration and scripts. A module's zip keeps no modes."""
    for source in sorted(path for path in files.rglob("*") if path.is_file()):
        relative = source.relative_to(files)
        if relative.parts[0] not in ("etc", "kind", "usr"):
            continue
        target = root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(0o755 if "bin" in relative.parts else 0o644)


def _set_up_systemd(root: Path) -> None:
    for pattern in _UNWANTED:
        for path in root.glob(pattern):
            path.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as file:
        file.write("ReadKMsg=no\n")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    for unit in _WANTED:
        (wants / f"{unit}.service").symlink_to(f"/etc/systemd/system/{unit}.service")
    (root / "etc/systemd/system/systemd-binfmt.service").symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("")


def _set_up_containers(root: Path) -> None:
    """containerd, runc and the network's plugins: Debian's, where kind looks for them."""
    for program in ("containerd", "containerd-shim-runc-v2", "ctr"):
        (root / "usr/local/bin" / program).symlink_to(f"/usr/bin/{program}")
    (root / "opt/cni/bin").mkdir(parents=True)
    for plugin in ("host-local", "loopback", "portmap", "ptp"):
        shutil.copy(root / "usr/lib/cni" / plugin, root / "opt/cni/bin")
    # Without CAP_SYS_RESOURCE no process can be shielded from the kernel's memory killer, and no limit raised.
    config = root / "etc/containerd/config.toml"
    config.write_text(re.sub(r"(restrict_oom_score_adj) = false", r"\1 = true", config.read_text()))
    spec = json.loads(run("chroot", root, "ctr", "oci", "spec"))
    spec["process"].pop("rlimits", None)
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))
    (root / "etc/cni/net.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/cni/net.d/10-one-node.conflist").write_text(json.dumps(_NETWORK))


def _install_kubernetes(root: Path, programs: Path, version: str) -> None:
    shutil.copy(programs / "everything", root / "usr/bin/everything")
    for name in ("kubeadm", "kubectl", "kubelet"):
        (root / "usr/bin" / name).symlink_to("everything")
    (root / "kind/version").write_text(version)
    (root / "etc/kubernetes/manifests").mkdir(parents=True, exist_ok=True)
    (root / "kind/manifests").mkdir(parents=True, exist_ok=True)
    for name, manifest in _MANIFESTS.items():
        (root / "kind/manifests" / name).write_text(json.dumps(manifest))


def _import_images(root: Path, archive: Path) -> None:
    """Put the images into the node's containerd, packed: it unpacks them when it first runs one."""
    with _containerd(root) as socket, archive.open("rb") as file:
        command = ["chroot", str(root), "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", "--no-unpack", "-"]
        subprocess.run(command, stdin=file, stdout=subprocess.DEVNULL, check=True)


@contextmanager
def _containerd(root: Path) -> Iterator[str]:
    """The node's containerd, running in its root; its socket."""
    folder = root / "run/import"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    socket = "/run/import/socket"
    options = ["--config", "/run/import/config.toml", "--address", socket, "--state", "/run/import/state", "--root", "/var/lib/containerd"]
    run("mount", "-t", "proc", "proc", root / "proc")
    try:
        with (root.parent / "containerd.log").open("w") as log:
            daemon = subprocess.Popen(["chroot", root, "containerd", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            _wait_ready(root, socket, daemon)
            yield socket
        finally:
            daemon.terminate()
            daemon.wait()
    finally:
        run("umount", root / "proc")
        shutil.rmtree(folder)


def _wait_ready(root: Path, socket: str, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(["chroot", root, "ctr", "--address", socket, "version"], capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"containerd did not come up:\n{(root.parent / 'containerd.log').read_text()}")
        time.sleep(0.1)
