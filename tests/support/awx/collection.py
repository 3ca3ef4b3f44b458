# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection awx.awx, out of PyPI's package of Ansible's collections: the one place that has it beside Ansible Galaxy."""

from __future__ import annotations

import fcntl
import shutil
import sys
import zipfile
from pathlib import Path

from tests.support.command import CACHE, run

#: Version of the package: the one for the ansible-core of the tests. It has awx.awx 24.6.1.
VERSION = "12.3.0"


def awx_collection() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH with awx.awx and nothing else."""
    folder = CACHE / f"awx-collection/{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            partial = folder.parent / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            pip = (sys.executable, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check")
            run(*pip, "download", "--no-deps", "--only-binary=:all:", "-d", partial, f"ansible=={VERSION}")
            (wheel,) = partial.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(partial, [name for name in archive.namelist() if name.startswith("ansible_collections/awx/")])
            wheel.unlink()
            partial.rename(folder)
    return folder
