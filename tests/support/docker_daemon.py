# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A docker daemon with nothing but a store of images: it has no network and runs no container, so that it can start anywhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import machine
from tests.support.command import as_root, run


@contextmanager
def serve() -> Iterator[str]:
    """Where it listens, as in DOCKER_HOST."""
    if not shutil.which("dockerd"):
        machine.install_packages(("a container engine",))
    folder = Path(tempfile.mkdtemp(prefix="docker-"))  # the name of a socket is short
    host = f"unix://{folder}/socket"
    places = (f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host={host}")
    oldest = f"DOCKER_MIN_API_VERSION={_oldest_client()}"
    command = as_root(["env", oldest, "dockerd", *places, "--bridge=none", "--iptables=false", "--ip6tables=false"])
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as daemon:
        try:
            _wait_ready(daemon, host, folder / "log")
            yield host
        finally:
            daemon.terminate()
            daemon.wait(60)
            run(*as_root(["rm", "-r", folder]))


def _oldest_client() -> str:
    """The API's oldest version that the daemon can be told to speak: Debian's and Ubuntu's skopeo are older than what daemons speak by
    themselves."""
    version = re.search(r"version (\d+)", run("dockerd", "--version"))
    assert version
    return "1.24" if int(version[1]) >= 29 else "1.22"


def _wait_ready(daemon: subprocess.Popen[bytes], host: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run(["docker", "--host", host, "version"], capture_output=True, check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the docker daemon did not come up:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)
