# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt as root has it (qemu:///system), and as others reach it by SSH, without a trace of it on this machine.

Its folders, and the accounts that it looks for, are those of a mount namespace.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import sshd
from tests.support.command import ROOT
from tests.support.libvirt_user import User

URI = "qemu:///system"
#: One needs no other daemon, and leaves owners and cgroups of this machine alone.
_QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
_DAEMON = """\
unix_sock_group = "root"
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
_START = f"""\
set -e
for folder in /etc /run /var/lib /var/log /var/cache; do
    mkdir -p $folder/libvirt
    mount -t tmpfs -o mode=755 tmpfs $folder/libvirt
done
echo '{_QEMU}' > /etc/libvirt/qemu.conf
echo '{_DAEMON}' > /etc/libvirt/libvirtd.conf
# Without these, no machine starts, whoever is to run it.
for accounts in passwd group; do
    cp /etc/$accounts /run/libvirt/$accounts
    mount --bind /run/libvirt/$accounts /etc/$accounts
done
getent group libvirt-qemu > /dev/null || echo 'libvirt-qemu:x:64055:' >> /etc/group
getent passwd libvirt-qemu > /dev/null || echo 'libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin' >> /etc/passwd
exec libvirtd --pid-file /run/libvirt/libvirtd.pid
"""


class System(User):
    """Root, where libvirt is that of the system."""

    def __init__(self, home: Path, daemon: int) -> None:
        super().__init__(home)
        self._daemon = daemon

    def command(self, *words: str) -> list[str]:
        return [str(shutil.which("nsenter")), f"--target={self._daemon}", "--mount", "--", "env", f"--chdir={ROOT}", *words]

    @contextmanager
    def by_ssh(self, folder: Path) -> Iterator[str]:
        """The URI by which it is reached from elsewhere, while the block lasts.

        :param folder: for keys.
        """
        with sshd.serve(folder, self.command()) as variables:
            # Anybody's ssh would look into the home folder that the account has, and write there.
            program = folder / "ssh"
            options = f"-i {variables['ansible_ssh_private_key_file']} {variables['ansible_ssh_common_args']}"
            program.write_text(f'#!/bin/sh\nexec ssh {options} "$@"\n')
            program.chmod(0o755)
            where = f"{variables['ansible_user']}@{variables['ansible_host']}:{variables['ansible_port']}"
            yield f"qemu+ssh://{where}/system?command={program}&no_tty=1"


@contextmanager
def serve(folder: Path) -> Iterator[System]:
    """A daemon that lives as long as the context.

    :param folder: root's home, and for the log.
    """
    log = folder / "libvirtd.log"
    command = [str(shutil.which("unshare")), "--mount", "--propagation=private", "sh", "-c", _START]
    with log.open("w") as output, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as daemon:
        system = System(folder, daemon.pid)
        try:
            _wait_ready(system, log)
            yield system
        finally:
            with contextlib.suppress(RuntimeError):  # it never came up
                for machine in system.virsh("list", "--name").split():
                    system.virsh("destroy", machine)
            daemon.terminate()


def _wait_ready(system: System, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            system.virsh("uri")
            return
        except RuntimeError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(f"libvirtd did not come up: {error}\n{log.read_text()}") from error
            time.sleep(0.2)
