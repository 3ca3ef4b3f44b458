# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An action plugin that runs its module as ansible-core does, and shows meanwhile how far it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as Normal
from ansible.utils.display import Display

from ...module_utils._progress import VARIABLE
from .channel import Channel, new_path
from .listener import Interrupted, Listener, Watched
from .teller import Teller
from .words import label

#: The variable by which users silence all this.
SWITCH = "ocne_images_progress"


class ProgressAction(Normal):  # type: ignore[misc]
    """The base of the collection's action plugins."""

    #: What the module makes, and the arguments that tell one of these from another.
    what: str
    told_apart_by: tuple[str, ...]

    def run(self, tmp: None = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        path = new_path(self.get_shell_option("remote_tmp", default="~/.ansible/tmp"))
        if self._task.async_val:
            return self._begin(path, task_vars or {})
        channel = Channel(self, path)
        listener = Listener([Watched(channel, self._teller(task_vars or {}))], say)
        try:
            with self._environment({VARIABLE: channel.path}), listener:
                result = self._run_module(task_vars)
        except Interrupted as interrupted:
            with contextlib.suppress(Exception):
                self.cleanup()
            listener.take_effect(interrupted)
            raise
        if "module_stdout" in result:  # it did not end by itself
            channel.forget()
        return result

    def _begin(self, path: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Leave the module to itself; the result tells ocne_build_wait how to listen to it."""
        if self._task.poll:
            return self._run_module(task_vars)
        with self._environment({VARIABLE: path}):
            result = self._run_module(task_vars)
        return {**result, "progress": {"path": path, "label": self._label(task_vars) if self._is_to_tell(task_vars) else ""}}

    def _run_module(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        return result

    def _teller(self, task_vars: Mapping[str, Any]) -> Optional[Teller]:
        if not self._is_to_tell(task_vars):
            return None
        return Teller(self._label(task_vars), time.monotonic(), discreet=bool(self._task.no_log))

    def _is_to_tell(self, task_vars: Mapping[str, Any]) -> bool:
        return bool(boolean(self._templar.template(task_vars.get(SWITCH, True)), strict=False))

    def _label(self, task_vars: Mapping[str, Any]) -> str:
        names = () if self._task.no_log else self.told_apart_by
        return label(self.what, names, self._task.args, self._host(task_vars))

    def _host(self, task_vars: Mapping[str, Any]) -> str:
        if len(task_vars.get("ansible_play_hosts_all", ())) < 2:
            return ""
        host = str(task_vars["inventory_hostname"])
        return f"{host} -> {self._task.delegate_to}" if self._task.delegate_to else host

    @contextlib.contextmanager
    def _environment(self, variables: dict[str, str]) -> Iterator[None]:
        """Further environment variables for the module."""
        self._task.environment.append(variables)
        try:
            yield
        finally:
            self._task.environment.remove(variables)


def say(line: str) -> None:
    # Standard output is the callback plugin's, and may be read by a program; it is also held back where it is a pipe.
    Display().display(line, stderr=True)
