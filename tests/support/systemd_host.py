# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with systemd, podman and skopeo, in a container: where roles that run services are tested for real.

It shares the network, the checkout and this Python environment with the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional

from tests.support.collection import collections_path
from tests.support.command import CACHE, ROOT, Argument, as_root, run
from tests.support.debian import SUITE, bootstrap
from tests.support.podman import Podman

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "podman", "crun", "skopeo", "containernetworking-plugins", "iptables"),
    *("catatonit", "ca-certificates", "iproute2", "nftables", "procps", "python3"),
)
#: The first release of Debian whose podman has quadlets.
WITH_QUADLETS = "trixie"
#: Told to systemd as a kernel tells it: to run with version 1 of control groups, too, and to leave modules to the machine.
_BOOT = ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", "systemd.mask=systemd-modules-load.service")
#: Unless it is told, podman asks for more than a process without CAP_SYS_RESOURCE may have.
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


class SystemdHost:
    """:param folder: shared with the machine under the same path."""

    def __init__(self, podman: Podman, name: str, folder: Path) -> None:
        self._podman = podman
        self._name = name
        self.folder = folder

    def __call__(self, *command: Argument) -> str:
        """Standard output of a command there; RuntimeError with its output where it fails."""
        return self._podman("exec", self._name, *command)

    def play(self, playbook: str, variables: Path, *options: str) -> str:
        """Run a playbook of the collection there, on itself; what ansible-playbook says."""
        environment = [f"--env=ANSIBLE_COLLECTIONS_PATH={collections_path()}", "--env=HOME=/root", "--env=NO_COLOR=1"]
        ansible = Path(sys.executable).with_name("ansible-playbook")
        command: list[Argument] = [
            sys.executable,
            ansible,
            playbook,
            "-e",
            f"@{variables}",
            "-e",
            "ansible_python_interpreter=/usr/bin/python3",
            *options,
        ]
        return self._podman("exec", *environment, self._name, *command)


@contextmanager
def systemd_host(suite: str = SUITE) -> Iterator[SystemdHost]:
    """:param suite: the host's release of Debian."""
    podman = Podman()
    folder = Path(tempfile.mkdtemp(prefix="host-"))
    try:
        yield _start(podman, folder, suite)
    finally:
        subprocess.run([str(word) for word in podman.command("rm", "--force", "--time=5", "host")], capture_output=True, check=False)
        podman.close()
        shutil.rmtree(folder, ignore_errors=True)
        _tidy_network()


def _start(podman: Podman, folder: Path, suite: str) -> SystemdHost:
    mounts = [f"--volume={path}:{path}:ro" for path in {ROOT, Path(sys.prefix), _base()} - {None}]
    storage, root = folder / "containers", folder / "root"
    storage.mkdir()
    run("cp", "-a", _root_filesystem(suite), root)  # with its device nodes
    _choose_subnet(root)
    options = ["--detach", "--name=host", "--privileged", "--systemd=always", "--network=host", *LIMITS]
    volumes = [f"--volume={folder}:{folder}", f"--volume={storage}:/var/lib/containers", *mounts]
    podman("--runtime=crun", "run", *options, *volumes, "--rootfs", root, "/sbin/init", *_BOOT)
    host = SystemdHost(podman, "host", folder)
    deadline = time.monotonic() + 60
    while True:
        try:
            host("systemctl", "is-system-running", "--wait")
            return host
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _tidy_network() -> None:
    """Remove the rules, empty by now, that its podman leaves in the machine's network, unless another one is at work there."""
    if not Path("/sys/class/net/podman0").exists():
        subprocess.run(as_root(["nft", "delete", "table", "inet", "netavark"]), capture_output=True, check=False)


def _base() -> Optional[Path]:
    """Where the interpreter of a virtual environment is; None for the system's own, which the host has, too."""
    base = Path(sys.base_prefix)
    return None if base == Path("/usr") else base


def _choose_subnet(root: Path) -> None:
    """Give its containers addresses that no other podman in the machine's network has; bookworm's keeps to what it is packaged with."""
    number = os.getpid()
    drop_in = root / "etc/containers/containers.conf.d/subnet.conf"
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(f'[network]\ndefault_subnet = "10.{128 + number // 256 % 64}.{number % 256}.0/24"\n')


def _root_filesystem(suite: str) -> Path:
    folder = CACHE / f"systemd-host-{suite}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        bootstrap(PACKAGES, partial, suite=suite)
        partial.rename(folder)
    return folder
