# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt, by its command virsh: what it says, and what its errors mean to a user."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Optional, cast
from urllib.parse import urlsplit

from ..._errors import OcneError

#: Seconds that libvirt may take for an answer; what moves much data has no limit.
_TIMEOUT = 300
_MISSING = re.compile(r"failed to get (domain|pool|vol|network)\b|not found: no (domain|storage)", re.IGNORECASE)
#: The daemon of a session ends when nobody has used it for two minutes, and breaks off who comes just then: the next one starts it anew.
#: Nothing has been done then.
_DAEMON_LEAVES = re.compile(r"failed to connect to the hypervisor\s.*(Cannot (recv|write) data|End of file|Connection reset)", re.DOTALL)
_ATTEMPTS, _PAUSE = 4, 1.0
HINT_WITHOUT = "Install libvirt with QEMU and its client virsh, or name a cluster that runs by kubeconfig or context."


class VirshError(OcneError):
    """libvirt refused.

    :param reason: what it said.
    """

    def __init__(self, message: str, hint: str, reason: str) -> None:
        super().__init__(message, hint)
        self.reason = reason


class Virsh:
    """A connection to libvirt.

    :param uri: https://libvirt.org/uri.html, as 'qemu:///session'.
    :raises OcneError: there is no virsh, or it cannot connect.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        program = shutil.which("virsh")
        if not program:
            raise OcneError("The program virsh is not in PATH.", HINT_WITHOUT)
        self._command = [program, "--quiet", "--connect", uri]
        try:
            self.call("uri")
        except VirshError as error:
            raise OcneError(f"libvirt cannot be reached at {uri}: {error.reason}.", _advice(uri, error.reason)) from error

    @property
    def host(self) -> str:
        """The host of libvirt; '' where it is this one."""
        return urlsplit(self.uri).hostname or ""

    @property
    def is_session(self) -> bool:
        """Whether it is the user's own libvirt, which needs no privilege."""
        return urlsplit(self.uri).path == "/session"

    def call(self, *arguments: str, stdin: str = "", timeout: Optional[float] = _TIMEOUT) -> str:
        """What a command of virsh says.

        :raises VirshError: it failed.
        """
        result = self._run(arguments, stdin, timeout)
        for _attempt in range(_ATTEMPTS - 1):
            if not (result.returncode and _DAEMON_LEAVES.search(result.stderr)):
                break
            time.sleep(_PAUSE)
            result = self._run(arguments, stdin, timeout)
        if result.returncode:
            raise self._failed(arguments, result.stderr)
        return result.stdout

    def _run(self, arguments: tuple[str, ...], stdin: str, timeout: Optional[float]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._command, *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                env=_environment(),
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(arguments, f"no answer within {timeout} s") from None

    def find(self, *arguments: str) -> Optional[str]:
        """call() of something that may not be there; None where it is not."""
        try:
            return self.call(*arguments)
        except VirshError as error:
            if _MISSING.search(error.reason):
                return None
            raise

    @contextmanager
    def sending(self, *arguments: str) -> Iterator[IO[bytes]]:
        """A command that reads a file of any size: its name is /dev/stdin in the arguments, and this is where to write it.

        :raises VirshError: it failed.
        """
        with subprocess.Popen(
            [*self._command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=_environment()
        ) as process:
            stdin, stderr = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stderr)
            try:
                yield stdin
                stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and tells why
            except BaseException:
                process.kill()
                raise
            said = stderr.read().decode(errors="replace")
        if process.returncode:
            raise self._failed(arguments, said)

    def _failed(self, arguments: tuple[str, ...], said: str) -> VirshError:
        reason = reason_of(said)
        return VirshError(f"libvirt at {self.uri} refused '{' '.join(arguments[:3])}': {reason}.", "", reason)


def reason_of(said: str) -> str:
    """What virsh says of an error's cause: the last of its lines, which are from the outside in."""
    lines = [line.strip().removeprefix("error: ") for line in said.splitlines() if line.strip()]
    return " ".join(lines[-3:])[-600:].rstrip(".") or "no reason given"


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C"}


_ADVICE: tuple[tuple[str, Callable[[str], str]], ...] = (
    (
        r"permission denied|authentication|not authorized|access denied",
        lambda uri: (
            "This user may not use it: join the group libvirt, or set connection_uri to qemu:///session, which needs no privilege."
            if uri.endswith("/system")
            else "Check the account that it asks for."
        ),
    ),
    (r"No such file|Connection refused", lambda _uri: "Start its daemon (systemctl start libvirtd), or set connection_uri."),
    (r"resolve|host key|No route|timed out", lambda _uri: "Check the host in connection_uri, and that ssh reaches it without a question."),
)


def _advice(uri: str, reason: str) -> str:
    for pattern, advice in _ADVICE:
        if re.search(pattern, reason, re.IGNORECASE):
            return advice(uri)
    return "Set connection_uri, or name a cluster that runs by kubeconfig or context."
