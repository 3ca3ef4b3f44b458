# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that runs skopeo(1)."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from .._errors import OcneError
from .access import Access, authfile
from .failures import End, SkopeoFailed, explain
from .reference import Reference
from .watching import Hangs, run_watched

#: An architecture's own manifest, image indexes and manifest lists; nothing larger is one.
OUTPUT_LIMIT = 8 << 20
#: No program takes so high a number for an open file of its own.
_FIRST_FILE = 64
#: Seconds before another try: 1, 2, 4, … up to this.
LONGEST_PAUSE = 30


class Skopeo:
    """skopeo with one way to reach registries; keeps no state between calls.

    :param source: how the registry of a copy's source is reached, where that is another way.
    :param retries: how many times more to try what may succeed at another time. skopeo's own --retry-times leaves out a
        refused connection, and cannot clean up between tries.
    :raises OcneError: the program is not installed.
    """

    def __init__(
        self, access: Access, source: Optional[Access] = None, retries: int = 3, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        program = shutil.which("skopeo")
        if program is None:
            raise OcneError("skopeo is not installed on this host.", "Install the package skopeo.")
        self._program = program
        self._access = access
        self._source = source or access
        self._retries = retries
        self._sleep = sleep

    @property
    def access(self) -> Access:
        """How registries are reached."""
        return self._access

    def manifest(self, reference: Reference) -> bytes:
        """The manifest, index, or manifest list, byte for byte."""
        return self._run(("inspect", "--raw"), ((reference, self._access),), f"read the manifest of {reference}")

    def config(self, reference: Reference, architecture: str = "") -> bytes:
        """The image configuration, byte for byte."""
        arguments = (*platform_options(architecture), "inspect", "--raw", "--config")
        return self._run(arguments, ((reference, self._access),), f"read the configuration of {reference}")

    def copy(
        self,
        source: Reference,
        destination: Reference,
        options: Sequence[str] = (),
        architecture: str = "",
        before_try: Callable[[], None] = lambda: None,
        watch: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Copy an image; of an index, that of the architecture.

        :param before_try: called before each try, to remove what an earlier one left.
        :param watch: called meanwhile with the number of bytes that this try has read.
        """
        arguments = (*platform_options(architecture), "copy", "--quiet", *options)
        ends = ((source, self._source), (destination, self._access))
        self._run(arguments, ends, f"copy {source} to {destination}", before_try, watch)

    def _run(
        self,
        arguments: Sequence[str],
        ends: Sequence[End],
        what: str,
        before_try: Callable[[], None] = lambda: None,
        watch: Callable[[int], None] = lambda count: None,
    ) -> bytes:
        for number in range(self._retries + 1):
            before_try()
            try:
                return self._run_once(arguments, ends, what, watch)
            except SkopeoFailed as failure:
                if failure.kind != "unreachable" or number == self._retries:
                    raise
            self._sleep(min(2**number, LONGEST_PAUSE))
        raise AssertionError("unreachable")

    def _run_once(self, arguments: Sequence[str], ends: Sequence[End], what: str, watch: Callable[[int], None]) -> bytes:
        with _connection(ends) as connection:
            command = [self._program, *arguments, *connection.options, *(str(reference) for reference, _access in ends)]
            try:
                process = run_watched(command, watch, stdin=subprocess.DEVNULL, env=connection.environment, pass_fds=connection.files)
            except Hangs as hangs:
                raise explain(what, str(hangs), ends) from hangs
        if process.returncode != 0:
            raise explain(what, process.stderr.decode(errors="replace") or _ended(process.returncode), ends)
        if len(process.stdout) > OUTPUT_LIMIT:
            raise OcneError(f"Could not {what}: it is larger than {OUTPUT_LIMIT} bytes, no image metadata is.")
        return process.stdout


def _ended(status: int) -> str:
    """Why a program ended that said nothing."""
    if status >= 0:
        return ""
    return f"skopeo was ended by {signal.Signals(-status).name}, by a user, or by the system because memory ran out"


def platform_options(architecture: str) -> tuple[str, ...]:
    """skopeo's own options by which it takes one architecture of several."""
    return ("--override-arch", architecture, "--override-os", "linux") if architecture else ()


@dataclass(frozen=True)
class _Connection:
    """skopeo's options for its ends, its environment, and the open files that its options name."""

    options: list[str]
    environment: dict[str, str]
    files: list[int]


@contextmanager
def _connection(ends: Sequence[End]) -> Iterator[_Connection]:
    # skopeo names these options by side only where there are two sides.
    sides = ("src-", "dest-") if len(ends) == 2 else ("",)
    connection = _Connection([], dict(os.environ), [])
    with ExitStack() as stack:
        for side, (reference, access) in zip(sides, ends):
            connection.environment.update(access.proxy or {})
            credentials = authfile(access, reference.registry)
            if isinstance(credentials, bytes):
                connection.files.append(stack.enter_context(_file_in_memory(credentials)))
                connection.options.append(f"--{side}authfile=/proc/self/fd/{connection.files[-1]}")
            elif credentials:
                connection.options.append(f"--{side}authfile={credentials}")
            if reference.transport not in ("docker", "docker-daemon"):
                continue
            daemon = os.environ.get("DOCKER_HOST")
            if reference.transport == "docker-daemon" and daemon:  # which skopeo by itself does not look at
                connection.options.append(f"--{side}daemon-host={daemon}")
            if not access.tls_verify:
                connection.options.append(f"--{side}tls-verify=false")
            if access.ca_certificates:
                certificates = stack.enter_context(tempfile.TemporaryDirectory(prefix="ocne-"))
                shutil.copyfile(access.ca_certificates, Path(certificates, "ca.crt"))
                connection.options.append(f"--{side}cert-dir={certificates}")
        yield connection


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[int]:
    """An open file without a name, which Linux removes with the last process that has it open."""
    opened = os.memfd_create("credentials")
    try:
        # Where skopeo runs itself again in a user namespace, it gives the next numbers after standard error to files of its own.
        file = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, _FIRST_FILE)
    finally:
        os.close(opened)
    try:
        os.write(file, content)
        yield file
    finally:
        os.close(file)
