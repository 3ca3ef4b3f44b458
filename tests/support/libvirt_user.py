# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt as an ordinary user has it: a session of its own, in a home folder of its own, and modules that run there.

The user is one of a user namespace, whom this process is outside of it: so the interpreter and its packages can lie where
no other user may look.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from tests.support.command import ROOT, run
from tests.support.watching import below, wait_until

_NOBODY = "65534"
URI = "qemu:///session"


class User:
    """The user, and the libvirt that serves it.

    :param home: short, since the paths of sockets are limited.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runtime = home / "run"
        self.runtime.mkdir(mode=0o700)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "K8S_AUTH_", "KUBECONFIG"))},
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "LC_ALL": "C.UTF-8",
        }

    def command(self, *words: str) -> list[str]:
        """The command, to be run with the environment, as this user."""
        return [str(shutil.which("unshare")), "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", *words]

    def virsh(self, *words: str) -> str:
        """What a command of virsh says."""
        return run(*self.command("virsh", "--quiet", "--connect", URI, *words), env=self.environment)

    def start(
        self, module: str, params: dict[str, Any], check: bool = False, environment: Optional[dict[str, str]] = None
    ) -> subprocess.Popen[str]:
        """A module as this user; its result is what it prints."""
        words = self.command(sys.executable, "-m", "tests.support.module_call", module, *(["--check"] if check else []))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen(words, cwd=ROOT, env={**self.environment, **(environment or {})}, **pipes)
        assert process.stdin is not None
        process.stdin.write(json.dumps(params))
        process.stdin.close()
        process.stdin = None
        return process

    def call(
        self, module: str, params: dict[str, Any], check: bool = False, environment: Optional[dict[str, str]] = None
    ) -> dict[str, Any]:
        """The result of a module, which may be that it failed."""
        output, _nothing = self.start(module, params, check, environment).communicate()
        result: dict[str, Any] = json.loads(output)
        return result

    def there(self) -> list[str]:
        """All that is there: machines, pools and their volumes, and files but those of libvirt's daemon itself and of caches."""
        pools = self.virsh("pool-list", "--all", "--name").split()
        found = [f"machine {name}" for name in self.virsh("list", "--all", "--name").split()]
        found += [f"pool {name}" for name in pools]
        for pool in pools:
            self.virsh("pool-refresh", pool)
            found += [f"volume {line.split()[0]}" for line in self.virsh("vol-list", pool).splitlines() if line.strip()]
        files = (path.relative_to(self.home) for path in below(self.home) if path.is_file() or path.is_socket())
        others = (
            "run/libvirt/",
            ".cache/libvirt/virtlogd",
            ".config/libvirt/storage/.",
            ".cache/libvirt/qemu/cache/",
            ".cache/dconf",
            ".ocne/cache/",
        )
        return sorted(found + [str(path) for path in files if not str(path).startswith(others)])

    def wait_for(self, *words: str, contains: str) -> None:
        """Wait until a command of virsh says that."""
        wait_until(lambda: contains in self.virsh(*words))


class Clusters:
    """ocne_cluster with the provider libvirt, as an ordinary user."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.name = "c"
        self.machine = "c-control-plane-1"
        self.params: dict[str, Any] = {"provider": "libvirt", "name": self.name, "disk_size": 1, "wait_timeout": 600}

    def __call__(self, check: bool = False, **options: Any) -> dict[str, Any]:
        result = self.user.call("ocne_cluster", {**self.params, **options}, check)
        assert not result.get("failed"), result["msg"]
        return result

    def message(self, environment: Optional[dict[str, str]] = None, **options: Any) -> str:
        """What the module says when it fails, which it has to."""
        result = self.user.call("ocne_cluster", {**self.params, **options}, environment=environment)
        assert result.get("failed"), result
        return str(result["msg"])


@contextmanager
def user() -> Iterator[User]:
    """A new user; at the end, its machines and its libvirt are ended, and its home is removed."""
    home = Path(tempfile.mkdtemp(prefix="lv-", dir="/tmp"))
    someone = User(home)
    try:
        someone.virsh("uri")
        yield someone
    finally:
        for name in _names(someone, "list", "--name"):
            someone.virsh("destroy", name)
        for pid in _daemons(someone.runtime):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        shutil.rmtree(home, ignore_errors=True)


def _names(someone: User, *words: str) -> Sequence[str]:
    try:
        return someone.virsh(*words).split()
    except RuntimeError:
        return []


def _daemons(runtime: Path) -> list[int]:
    found = []
    for path in runtime.glob("libvirt/*.pid"):
        with contextlib.suppress(FileNotFoundError):  # it has just ended
            found.append(int(path.read_text()))
    return found
