# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a module that runs: what it tells, and an end of it."""

from __future__ import annotations

import contextlib
import copy
import secrets
import time
from typing import Any, Optional

from ...module_utils._progress import State

#: Seconds that a module may take to clean up.
_PATIENCE = 120.0
#: Seconds without an answer after which it is let go: it has not begun, or cannot be reached.
_NO_ANSWER = 10.0
_PAUSE = 0.3


def new_path(folder: str) -> str:
    """For a module that is about to run.

    :param folder: for temporary files on its host.
    """
    return f"{folder}/ocne-images-{secrets.token_hex(16)}"


class Channel:
    """To the module that an action plugin runs: commands beside it, over a connection of the same kind, as the same user.

    :param action: the action plugin, which has not run anything yet.
    :param path: of the file by which the module tells how far it is, as a shell on its host takes it.
    """

    def __init__(self, action: Any, path: str) -> None:
        self._action = _twin(action)
        self.path = path
        self._seen = False

    def read(self) -> Optional[State]:
        """How far the module is; None where it tells nothing: it has not begun, or has ended.

        :raises AnsibleError: the host cannot be reached.
        """
        state = State.decode(self._run(f"cat {self._file}"))
        self._seen = self._seen or state is not None
        return state

    def end(self) -> None:
        """Have the module clean up and end, and wait until it has."""
        begun = answered = time.monotonic()
        signalled = False
        while time.monotonic() - begun < _PATIENCE and time.monotonic() - answered < _NO_ANSWER:
            with contextlib.suppress(Exception):  # a connection that is broken may come back
                state = self.read()
                if state:
                    answered = time.monotonic()
                    if not signalled:
                        self._run(f"kill -s TERM {state.pid}")
                        signalled = True
                elif self._seen:
                    return
            time.sleep(_PAUSE)

    def forget(self) -> None:
        """Remove what a module left that was killed."""
        with contextlib.suppress(Exception):
            self._run(f"rm -f {self._file}")

    @property
    def _file(self) -> str:
        return f'"`echo {self.path}`"'  # '~' and variables are for the shell, blanks are not

    def _run(self, command: str) -> str:
        # Threads share no connection's object, which knows of one command at a time.
        return str(_twin(self._action)._low_level_execute_command(command)["stdout"])


def _twin(action: Any) -> Any:
    twin = copy.copy(action)
    twin._connection = copy.copy(action._connection)
    if twin._connection.become:
        twin._connection.become = copy.copy(twin._connection.become)
    return twin
