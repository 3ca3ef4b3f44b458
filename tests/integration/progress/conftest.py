# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._files import locked

from tests.support import sshd
from tests.support.sample_disk import SMALL, boot_disk
from tests.support.watching import below, processes

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
#: Variables of a host where tasks are another user's, who is not root.
BY_SU = {"ansible_become": True, "ansible_become_method": "su", "ansible_become_user": "daemon", "ansible_become_flags": "-s /bin/sh"}


class Stage:
    """A folder that every user of this host can work in, and boot images that wait to be made.

    A module that makes an image whose lock is held waits, and says so: as slow as a test wants, and nothing else to be done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.images, self.tmp, self.cache = folder, folder / "images", folder / "tmp", folder / "cache"
        folder.chmod(0o755)
        for shared in (self.images, self.tmp, self.cache):
            shared.mkdir()
            shared.chmod(0o1777)
        self.source = folder / "source.qcow2"
        shutil.copyfile(boot_disk(SMALL), self.source)
        self._locks = ExitStack()

    def hold(self, name: str) -> str:
        """An image that nobody can make before release(); its path."""
        path = self.images / name
        self._locks.enter_context(locked(path, 5))
        path.with_name(f".{name}.lock").chmod(0o666)
        return str(path)

    def release(self) -> None:
        self._locks.close()

    def task(self, dest: str, **more: Any) -> dict[str, Any]:
        """A task that makes an image."""
        options = {"source": str(self.source), "dest": dest, "architecture": "{{ architecture }}", "cache_dir": str(self.cache)}
        return {"ocne.images.ocne_boot_image": options, **more}

    def variables(self, **more: Any) -> dict[str, Any]:
        """A host's."""
        return {**LOCAL, "architecture": "amd64", "ansible_remote_tmp": str(self.tmp), **more}

    def modules(self) -> list[int]:
        """Processes whose temporary files are here: modules that run, and what runs them."""
        return [each.pid for each in processes() if os.fsencode(self.tmp) in each.environment + each.arguments]

    def left(self) -> list[str]:
        """What is in the way of the next run, or of nobody: temporary and partial files."""
        return sorted(str(path.relative_to(self.folder)) for folder in (self.tmp, self.images) for path in below(folder))


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="ocne-", ignore_cleanup_errors=True) as name:  # other users do not get into pytest's own
        stage = Stage(Path(name))
        try:
            yield stage
        finally:
            stage.release()


@pytest.fixture
def ssh(stage: Stage) -> Iterator[dict[str, Any]]:
    """Variables of a host that is reached by SSH."""
    folder = stage.folder / "ssh"
    folder.mkdir(mode=0o700)
    with sshd.serve(folder) as variables:
        yield variables
