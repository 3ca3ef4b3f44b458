# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The execution environment as an image, and jobs in it."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

from tests.support.collection import copy_tree
from tests.support.command import run
from tests.support.debian import bootstrap
from tests.support.podman import Podman

from .rules import Json

BASE, IMAGE = "localhost/base:latest", "localhost/execution-environment:latest"
#: What execution-environment.yml says of a base that is Debian.
ON_DEBIAN = ("PKGMGR=/usr/bin/apt-get", "PYPKG=python3 python3-pip python3-venv", "PYCMD=/usr/bin/python3")
#: By which this machine reaches its package indexes, where it has them.
_SETTINGS = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


def build(podman: Podman, folder: Path) -> None:
    """Build the image IMAGE from execution-environment.yml, with two differences: the base is a local Debian, and the collection comes
    from a tarball of this checkout.
    """
    hooks = [f"--customize-hook=copy-in {path} {path.parent}" for path in _SETTINGS if path.exists()]
    bootstrap(("ca-certificates",), folder / "base.tar", *hooks)
    podman("import", folder / "base.tar", BASE)
    tree = copy_tree(folder)
    run("ansible-galaxy", "collection", "build", "--output-path", folder, tree)
    (tarball,) = folder.glob("ocne-images-*.tar.gz")
    definition = yaml.safe_load((tree / "execution-environment.yml").read_text())
    definition["dependencies"]["galaxy"]["collections"] = [{"name": f"collection/{tarball.name}", "type": "file"}]
    definition["additional_build_files"] = [{"src": str(tarball), "dest": "collection"}]
    (tree / "with-tarball.yml").write_text(yaml.safe_dump(definition))
    run("ansible-builder", "create", "--file", tree / "with-tarball.yml", "--context", folder / "context")
    arguments = [f"--build-arg={argument}" for argument in (f"EE_BASE_IMAGE={BASE}", *ON_DEBIAN)]
    podman("build", "--network=host", "--isolation=chroot", *LIMITS, *arguments, f"--tag={IMAGE}", folder / "context")


class Runner:
    """Runs jobs of a launcher in containers of the image, as an execution node of AWX does.

    :param shared: folders that the jobs see (AWX_ISOLATION_SHOW_PATHS).
    """

    def __init__(self, podman: Podman, folder: Path, shared: Sequence[Path]) -> None:
        self._shared = shared
        # ansible-runner calls podman by this name, and knows nothing of a storage.
        program = folder / "bin/podman"
        program.parent.mkdir()
        words = [shutil.which("podman") if word == "podman" else word for word in podman.command("--runtime=crun")]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(str(word) for word in words)} "$@"\n')
        program.chmod(0o755)
        self._path = os.pathsep.join([str(program.parent), os.environ["PATH"]])

    def __call__(
        self, folder: Path, playbook: str, environment: dict[str, Any], number: int, arguments: list[str]
    ) -> tuple[str, list[Json]]:
        before = os.environ["PATH"]
        os.environ["PATH"] = self._path
        try:
            run = ansible_runner.run(
                ident=str(number),
                private_data_dir=str(folder),
                playbook=playbook,
                inventory="/runner/inventory/hosts",
                envvars=environment,
                cmdline=" ".join(arguments) or None,
                suppress_env_files=True,
                settings={"idle_timeout": 300},
                quiet=True,
                process_isolation=True,
                process_isolation_executable="podman",
                container_image=IMAGE,
                container_options=["--user=root", "--pull=never", "--network=host", *LIMITS],
                container_volume_mounts=[f"{path}:{path}:z" for path in self._shared],
            )
        finally:
            os.environ["PATH"] = before
        return str(run.status), list(run.events)
