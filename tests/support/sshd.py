# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An SSH server on this host's loopback, and what Ansible needs to reach it as this user."""

from __future__ import annotations

import getpass
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.command import run
from tests.support.network import free_port


@contextmanager
def serve(folder: Path, within: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """A server that lives as long as the context; the variables of an Ansible host that is reached through it.

    :param folder: for its keys.
    :param within: a command that runs a command, as in another namespace.
    """
    port = free_port()
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    config = folder / "sshd_config"
    config.write_text(_config(folder, port))
    log = folder / "sshd.log"
    server = subprocess.Popen([*within, "/usr/sbin/sshd", "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stderr=log.open("w"))
    try:
        _wait_ready(port, log)
        yield {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": getpass.getuser(),
            "ansible_ssh_private_key_file": str(folder / "user"),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
            "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=5s",
        }
    finally:
        server.terminate()
        server.wait()


def _config(folder: Path, port: int) -> str:
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'user.pub'}",
        "PidFile none",
        "StrictModes no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        f"UsePAM {'yes' if _is_locked() else 'no'}",
        "Subsystem sftp internal-sftp",
        "MaxStartups 100",
        "MaxSessions 100",  # many connections share one
    ]
    return "\n".join(lines) + "\n"


def _is_locked() -> bool:
    """Whether this user has no password for good, as root on Ubuntu: then only PAM lets it in."""
    entries = (line.split(":") for line in Path("/etc/shadow").read_text().splitlines())
    return any(name == getpass.getuser() and password.startswith("!") for name, password, *_rest in entries)


def _wait_ready(port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not come up: {error}\n{log.read_text()}") from error
            time.sleep(0.05)
