# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a benchmark is, and what measures."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tests.support.command import ROOT, Argument


@dataclass(frozen=True)
class Table:
    """What came out.

    :param subject: on what, with its size.
    :param rows: cells for the benchmark's columns.
    """

    subject: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Benchmark:
    """What makes a section of docs/benchmarks.md.

    :param comment: what is compared, how, and what the figures mean.
    :param measure: with a folder for its files, and whether a small subject will do, to see that it works.
    :param purposes: of Debian packages (machine.PACKAGES).
    """

    comment: str
    columns: tuple[str, ...]
    measure: Callable[[Path, bool], Table]
    purposes: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Of processes that ran one after the other, and of their children.

    :param memory: the peak resident memory, in bytes, of the process that needed most; never less than that of the process
        that measures, which the system counts until the other begins.
    """

    wall: float
    cpu: float
    memory: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.memory, other.memory))


def run(
    *command: Argument, stdin: str = "", env: Optional[Mapping[str, str]] = None, cwd: Path = ROOT, output: Optional[Path] = None
) -> Cost:
    """What a command costs; RuntimeError where it fails.

    :param output: where its standard output goes.
    """
    words = [os.fspath(word) for word in command]
    sink = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if output else os.open(os.devnull, os.O_WRONLY)
    began = time.perf_counter()
    try:
        process = subprocess.Popen(words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.PIPE, stdout=sink, text=True)
    finally:
        os.close(sink)
    assert process.stdin
    process.stdin.write(stdin)
    process.stdin.close()
    _process_id, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed with {process.returncode}.")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


def mebibytes(size: float) -> str:
    return f"{size / (1 << 20):.0f}"


def guestfs_settings() -> dict[str, str]:
    """Variables with which libguestfs starts here; it is told to emulate where KVM does not work. /dev/kvm may be there, and not work."""
    settings = {"LIBGUESTFS_BACKEND": "direct"}
    command = ["guestfish", "--ro", "-a", os.devnull, "run"]
    if subprocess.run(command, env={**os.environ, **settings}, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
        settings["LIBGUESTFS_BACKEND_SETTINGS"] = "force_tcg"
    return settings


def guestfs_words(settings: Mapping[str, str]) -> str:
    return "libguestfs by emulation, since KVM does not work here" if len(settings) > 1 else "libguestfs with KVM"
