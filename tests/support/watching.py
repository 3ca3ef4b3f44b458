# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at what changes meanwhile: folders in which others work, and processes that come and go.

pathlib's globs end with an error where a folder goes while they are in it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

#: Seconds after which what is waited for does not come, on a slow and busy machine too.
PATIENCE = 300


def wait_until(fits: Callable[[], Any], process: Optional[subprocess.Popen[str]] = None, seconds: float = PATIENCE) -> None:
    """:param process: that has to run meanwhile."""
    deadline = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < deadline, "it does not come"
        if process and process.poll() is not None:
            raise AssertionError(f"it has ended: {process.communicate()[0]}")
        time.sleep(0.005)


def below(folder: Path) -> list[Path]:
    """Files and folders in the folder and its folders, but what goes just now."""
    return [Path(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files)]


@dataclass(frozen=True)
class Process:
    """One that runs, or did a moment ago.

    :param arguments: each of them ends with NUL.
    :param environment: NAME=value, each of them ends with NUL.
    """

    pid: int
    arguments: bytes
    environment: bytes


def processes() -> Iterator[Process]:
    """All that can be looked into, but the one that asks."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - a name is enough
        if name.isdigit() and int(name) != os.getpid():
            try:
                yield Process(int(name), Path(f"/proc/{name}/cmdline").read_bytes(), Path(f"/proc/{name}/environ").read_bytes())
            except OSError:
                continue  # it has ended


def open_files(pid: int) -> list[str]:
    """What the process has open, as /proc names it; nothing where it has ended."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))  # noqa: PTH115
    return found
