# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with systemd, podman and skopeo, in a container: where roles that run services are tested for real.

It shares the network, the checkout and this Python environment with the machine.
"""

from __future__ import annotations

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
from tests.support.command import CACHE, ROOT, Argument, run
from tests.support.debian import bootstrap
from tests.support.podman import Podman

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "podman", "crun", "skopeo", "containernetworking-plugins", "iptables"),
    *("catatonit", "ca-certificates", "iproute2", "procps", "python3"),
)
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
def systemd_host() -> Iterator[SystemdHost]:
    podman = Podman()
    folder = Path(tempfile.mkdtemp(prefix="host-"))
    try:
        yield _start(podman, folder)
    finally:
        subprocess.run([str(word) for word in podman.command("rm", "--force", "--time=5", "host")], capture_output=True, check=False)
        podman.close()
        shutil.rmtree(folder, ignore_errors=True)


def _start(podman: Podman, folder: Path) -> SystemdHost:
    mounts = [f"--volume={path}:{path}:ro" for path in {ROOT, Path(sys.prefix), _base()} - {None}]
    storage, root = folder / "containers", folder / "root"
    storage.mkdir()
    run("cp", "-a", _root_filesystem(), root)  # with its device nodes
    options = ["--detach", "--name=host", "--privileged", "--systemd=always", "--network=host", *LIMITS]
    volumes = [f"--volume={folder}:{folder}", f"--volume={storage}:/var/lib/containers", *mounts]
    podman("--runtime=crun", "run", *options, *volumes, "--rootfs", root, "/sbin/init")
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


def _base() -> Optional[Path]:
    """Where the interpreter of a virtual environment is; None for the system's own, which the host has, too."""
    base = Path(sys.base_prefix)
    return None if base == Path("/usr") else base


def _root_filesystem() -> Path:
    folder = CACHE / "systemd-host"
    if not folder.exists():
        partial = folder.with_name("systemd-host.part")
        shutil.rmtree(partial, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        bootstrap(PACKAGES, partial)
        partial.rename(folder)
    return folder
