# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A docker daemon: the one that answers here, else one of our own that keeps everything in .cache/kind."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.support import machine
from tests.support.command import CACHE, run
from tests.support.machine import say

# Where it is, not where links lead: runc takes no root file system behind one.
_FOLDER = (CACHE / "kind").resolve()
#: Tells this checkout from others on the machine: each ends its own daemon and cluster when its tests have run.
CHECKOUT = hashlib.sha256(os.fsencode(_FOLDER)).hexdigest()[:8]
#: Not in .cache: the name of a socket is short.
_RUN = Path("/run/ocne-images-tests", CHECKOUT)
_SOCKET = f"unix://{_RUN}/docker.sock"
_OURS = {"DOCKER_HOST": _SOCKET}
_DATA = _FOLDER / "docker"
_PID = _FOLDER / "dockerd.pid"
_LOG = _FOLDER / "dockerd.log"

_SYS_RESOURCE = 1 << 24  # linux/capability.h


def environment() -> dict[str, str]:
    """Variables with which docker and kind find the daemon, which is started where none answers."""
    known = found()
    if known is None and not (shutil.which("docker") and shutil.which("dockerd")):  # a machine may have the client alone
        machine.install_packages(("a container engine",))
        known = found()  # systemd has started it
    if known is None:
        _start()
        _wait_ready(_OURS)
        known = _OURS
    return known


def found() -> dict[str, str] | None:
    """The same of a daemon that answers; None where none does."""
    return next((variables for variables in ({}, _OURS) if _answers(variables)), None)


def stop() -> None:
    """End the daemon, if it is one of ours, and the containers with it."""
    if _our_pid() is not None:
        # Bridges of networks would outlive it.
        with suppress(subprocess.TimeoutExpired):
            command = ["docker", "network", "prune", "--force"]
            subprocess.run(command, env={**os.environ, **_OURS}, capture_output=True, check=False, timeout=60)
    for number, patience in ((signal.SIGTERM, 60), (signal.SIGKILL, 10)):
        pid = _our_pid()
        if pid is None:
            break
        os.kill(pid, number)
        deadline = time.monotonic() + patience
        while _our_pid() is not None and time.monotonic() < deadline:
            time.sleep(0.1)
    _PID.unlink(missing_ok=True)


def _answers(env: dict[str, str]) -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, env={**os.environ, **env}, check=False).returncode == 0


def _our_pid() -> int | None:
    """The process id of the daemon that was started here; None where that one has ended, whoever may have its number now."""
    try:
        pid = int(_PID.read_text())
        return pid if os.fsencode(_DATA) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") else None
    except (FileNotFoundError, ProcessLookupError):
        return None


def _start() -> None:
    say("start a docker daemon")
    stop()  # one that is there and does not answer
    (_RUN / "docker.pid").unlink(missing_ok=True)  # of one that was killed; another process may have its number now
    _prepare_kernel()
    for folder in (_RUN, _FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
    command = ["dockerd", "--data-root", str(_DATA), "--exec-root", str(_RUN / "docker"), "--host", _SOCKET]
    command += ["--pidfile", str(_RUN / "docker.pid")]
    if _has_old_control_groups():
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs", "--default-cgroupns-mode", "private"]
    if not _may_raise_limits():
        runtime = _RUN / "runc-without-resources"
        shutil.copy(Path(__file__).with_name("runc_without_resources.py"), runtime)
        command += ["--add-runtime", f"lean={runtime}", "--default-runtime", "lean"]
    with _LOG.open("w") as log:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    _PID.write_text(str(daemon.pid))


def _has_old_control_groups() -> bool:
    return Path("/sys/fs/cgroup/memory").is_dir()


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) & _SYS_RESOURCE)


def _prepare_kernel() -> None:
    hugepages = Path("/sys/fs/cgroup/hugetlb")
    if _has_old_control_groups() and not hugepages.is_mount():
        # Where the newer hierarchy has this controller, containers of the older one cannot start.
        hugepages.mkdir(exist_ok=True)
        if subprocess.run(["mount", "-t", "cgroup", "-o", "hugetlb", "cgroup", hugepages], capture_output=True, check=False).returncode:
            hugepages.rmdir()
    Path("/lib/modules").mkdir(exist_ok=True)  # kind mounts it into nodes
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", "fs.inotify.max_user_instances=1024", "fs.inotify.max_user_watches=524288")


def _wait_ready(env: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while not _answers(env):
        if _our_pid() is None or time.monotonic() > deadline:
            raise machine.SetupError(f"the docker daemon did not come up:\n{_LOG.read_text()[-3000:]}")
        time.sleep(0.2)
