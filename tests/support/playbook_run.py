# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook as a process that a test watches and interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

from tests.support.collection import collections_path
from tests.support.machine import CORES, core_venv

#: Seconds until a play counts as hanging; machines may be busy.
PATIENCE = 240.0


class PlaybookRun:
    """A playbook that runs, in a process group of its own as a terminal would have it.

    :param folder: for all that belongs to it; HOME.
    :param hosts: variables by name of the host.
    """

    def __init__(
        self,
        folder: Path,
        plays: Sequence[Mapping[str, Any]],
        hosts: Mapping[str, Mapping[str, Any]],
        *options: str,
        core: str = CORES[-1],
        **environment: str,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts}}))
        (folder / "playbook.json").write_text(json.dumps(plays))
        self._out, self._err = folder / "stdout", folder / "stderr"
        programs = Path(sys.executable).parent if core == CORES[-1] else core_venv(core) / "bin"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen(
                [programs / "ansible-playbook", "-i", folder / "inventory.json", folder / "playbook.json", *options],
                env={
                    **os.environ,
                    "HOME": str(folder),
                    "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
                    "ANSIBLE_NOCOLOR": "1",
                    "ANSIBLE_DEPRECATION_WARNINGS": "0",
                    "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder),
                    "ANSIBLE_TIMEOUT": "120",  # a busy machine becomes another user slowly
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._err.read_text()

    def wait_for(self, condition: Callable[[], Any]) -> None:
        """Wait while it runs; fail where it ends before."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"it ended:\n{self.out}{self.err}"
            assert time.monotonic() < deadline, f"it hangs:\n{self.out}{self.err}"
            time.sleep(0.1)

    def press_ctrl_c(self) -> None:
        """What a terminal does: the signal goes to all in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)

    def finish(self) -> int:
        """Its exit status."""
        return self.process.wait(PATIENCE)

    def __enter__(self) -> PlaybookRun:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
