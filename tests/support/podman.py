# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman of root's with a storage of its own, so that a test sees no other image and leaves none."""

from __future__ import annotations

import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.command import Argument, as_root, run
from tests.support.network import free_port


class Podman:
    """Runs podman; close() removes its storage."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="podman-"))  # podman wants a short path
        podman = ("podman", "--root", self._folder / "root", "--runroot", self._folder / "run")
        self._options = as_root(["env", f"TMPDIR={self._folder}", *podman])

    def command(self, *arguments: Argument) -> list[Argument]:
        """podman's words, for those who run it themselves."""
        return [*self._options, *arguments]

    def __call__(self, *arguments: Argument) -> str:
        return run(*self.command(*arguments))

    @contextmanager
    def serving(self, image: str, port: int, path: str) -> Iterator[str]:
        """The image as a running container; the URL of its port, where path can be fetched."""
        outside = free_port()
        # Unless it is told, podman asks for more than a process without CAP_SYS_RESOURCE may have.
        limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        container = self("run", "--detach", *limits, f"--publish=127.0.0.1:{outside}:{port}", image).strip()
        url = f"http://127.0.0.1:{outside}"
        try:
            self._wait_ready(f"{url}/{path}", container)
            yield url
        finally:
            self("rm", "--force", "--time=1", container)

    def _wait_ready(self, url: str, container: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except urllib.error.HTTPError:
                return  # it answers; what, is the test's
            except OSError as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the container did not come up: {error}\n{self('logs', container)}") from error
                time.sleep(0.05)

    def close(self) -> None:
        # Not "system reset", which takes more than this storage with it.
        self("rm", "--all", "--force", "--time=1")
        self("rmi", "--all", "--force")
        # Some versions mount it over itself.
        subprocess.run(as_root(["umount", self._folder / "root/overlay"]), capture_output=True, check=False)
        run(*as_root(["rm", "-r", self._folder]))
