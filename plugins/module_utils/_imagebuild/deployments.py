# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ostree deployments on a filesystem, and what operating system each is.

Layout: https://ostreedev.github.io/ostree/deployment/ (/ostree/deploy/<osname>/deploy/<commit>.<serial>).
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import Any

from .disk.interface import Filesystem
from .disk.text import read_text
from .errors import BuildError
from .ostree.objects import COMMIT, METADATA_LIMIT, Commit, iso_time, read_commit, verify
from .ostree.repository import object_path

_DEPLOY = "/ostree/deploy"
_REPOSITORY = "/ostree/repo"
_DEPLOYMENT = re.compile(r"([0-9a-f]{64})\.([0-9]{1,9})")
_TREEFILE_LIMIT = 4 << 20
#: Deployments of a sysroot; an image has one, a node two or three.
_MOST = 100

#: What the packages' architecture is called for container images.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def deployments(filesystem: Filesystem) -> list[dict[str, Any]]:
    """All deployments, in the order of their paths; none where this is no ostree sysroot.

    :returns: of each 'path', 'osname', 'commit', 'serial', 'version' and 'date' of the commit, 'kernel', 'architecture',
        'kubernetes_version' and 'os_release'; '' for what it does not tell.
    """
    found: list[dict[str, Any]] = []
    for osname in _names(filesystem, _DEPLOY):
        folder = f"{_DEPLOY}/{osname}/deploy"
        for name in _names(filesystem, folder):
            match = _DEPLOYMENT.fullmatch(name)
            if match and filesystem.stat(f"{folder}/{name}").type == "directory":
                if len(found) >= _MOST:
                    raise BuildError(f"The disk has more than {_MOST} ostree deployments: no image has.")
                found.append({"osname": osname, "serial": int(match[2]), **_describe(filesystem, f"{folder}/{name}", match[1])})
    return found


def _describe(filesystem: Filesystem, path: str, checksum: str) -> dict[str, Any]:
    commit = _commit(filesystem, checksum)
    version = commit.version if commit else ""
    kernels = [name for name in _names(filesystem, f"{path}/usr/lib/modules") if not name.startswith(".")]
    kernel = (commit.kernel if commit else "") or (kernels[0] if len(kernels) == 1 else "")
    return {
        "path": path,
        "commit": checksum,
        "version": version,
        "date": iso_time(commit.timestamp) if commit else "",
        "kernel": kernel,
        "architecture": _ARCHITECTURES.get(kernel.rpartition(".")[2], ""),
        "kubernetes_version": _kubernetes_version(filesystem, path, version),
        "os_release": os_release(read_text(filesystem, f"{path}/usr/lib/os-release", errors="replace")),
    }


def os_release(text: str) -> dict[str, str]:
    """Its fields (os-release(5)), without quotes."""
    fields = {}
    for line in text.splitlines():
        match = re.fullmatch(r"\s*([A-Za-z_][A-Za-z_0-9]*)=(.*)", line)
        if match:
            try:
                fields[match[1]] = " ".join(shlex.split(match[2]))
            except ValueError:  # a quote without its other one
                fields[match[1]] = match[2]
    return fields


def kubernetes_version(treefile: str, kubeadm: str, commit_version: str) -> str:
    """The Kubernetes version of an OCK deployment: that of its kubelet package, of its configuration, or of its commit.

    :param treefile: /usr/share/rpm-ostree/treefile.json, by which rpm-ostree composed it.
    :param kubeadm: /etc/ocne/kubeadm-default.conf.
    :param commit_version: '<major>.<minor>' and a count of commits.
    """
    for package in _packages(treefile):
        match = re.fullmatch(r"kubelet-([0-9]+\.[0-9]+\.[0-9]+)(-.*)?", package)
        if match:
            return match[1]
    match = re.search(r"^kubernetesVersion:[ \t]*[\"']?v?([0-9]+\.[0-9]+(\.[0-9]+)?)", kubeadm, re.MULTILINE)
    if match:
        return match[1]
    match = re.match(r"([0-9]+\.[0-9]+)(\.|$)", commit_version)
    return match[1] if match else ""


def _packages(treefile: str) -> Iterator[str]:
    try:
        packages = json.loads(treefile)["packages"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    for item in packages if isinstance(packages, list) else ():
        # One item can name several.
        yield from item.split() if isinstance(item, str) else ()


def _kubernetes_version(filesystem: Filesystem, path: str, commit_version: str) -> str:
    treefile = read_text(filesystem, f"{path}/usr/share/rpm-ostree/treefile.json", _TREEFILE_LIMIT, "replace")
    kubeadm = read_text(filesystem, f"{path}/etc/ocne/kubeadm-default.conf", errors="replace")
    return kubernetes_version(treefile, kubeadm, commit_version)


def _commit(filesystem: Filesystem, checksum: str) -> Commit | None:
    try:
        data = filesystem.read(posixpath.join(_REPOSITORY, object_path(f"{checksum}.{COMMIT}")), METADATA_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    raw = bytes.fromhex(checksum)
    verify(raw, COMMIT, data)
    return read_commit(raw, data)


def _names(filesystem: Filesystem, path: str) -> list[str]:
    try:
        return [entry.name for entry in filesystem.list(path)]
    except (FileNotFoundError, NotADirectoryError):
        return []
