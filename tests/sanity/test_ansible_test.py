# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-test sanity, as the community runs it for collections, with every ansible-core that is supported."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.collection import copy_tree
from tests.support.command import CACHE
from tests.support.machine import CORES, core_venv, pythons

# Stands in for the script that ansible-test would download: pip comes with Python.
_GET_PIP = "import ensurepip\nensurepip.bootstrap(default_pip=True)\n"


def _home(commands: Path) -> Path:
    """A home folder for ansible-test, with that script for each version of pip that it may ask for."""
    home = CACHE / "ansible-test"
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    (source,) = commands.parent.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")
    for version in re.findall(r"pip='([0-9.]+)'", source.read_text()):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(_GET_PIP)
    return home


def _path_with_every_python(folder: Path) -> str:
    """ansible-test takes the Python versions that it finds in PATH."""
    folder.mkdir()
    for (major, minor), python in pythons().items():
        if (major, minor) >= (3, 9):
            script = folder / f"python{major}.{minor}"
            script.symlink_to(python)
    return str(folder)


@pytest.mark.parametrize("core", CORES)
def test_ansible_test_sanity(core: str, tmp_path: Path) -> None:
    commands = core_venv(core) / "bin"
    tree = copy_tree(tmp_path)
    environment = {
        "HOME": str(_home(commands)),
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip")),
        "PATH": os.pathsep.join([str(commands), _path_with_every_python(tmp_path / "pythons"), os.environ["PATH"]]),
    }
    log = CACHE / f"results/ansible-test-{core}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command: list[str] = [str(commands / "ansible-test"), "sanity", "--venv", "--color", "no"]
    with log.open("w") as output:
        result = subprocess.run(
            command, cwd=tree, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    findings = [line for line in log.read_text().splitlines() if line.startswith(("ERROR", "FATAL", ">>>"))]
    assert result.returncode == 0, "\n".join([f"the whole log is {log}", *findings])
