# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules called in a process of their own, one after the other, with limits that the kernel holds and what each call took.

python -m tests.support.measured_calls '{"address_space": 536870912, "open_files": 64, "seconds": 60}' < calls, a line of JSON each
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support import module_call
from tests.support.command import ROOT


@dataclass(frozen=True)
class Call:
    """A call of a module."""

    module: str
    params: Mapping[str, Any]
    check: bool = False


@dataclass(frozen=True)
class Limits:
    """What the process and those that it starts may have.

    :param address_space: bytes; 0: no limit.
    :param seconds: for each call.
    """

    address_space: int = 0
    open_files: int = 128
    seconds: int = 120


@dataclass(frozen=True)
class Measured:
    """What came of a call.

    :param result: the module's.
    :param peak: bytes of memory that the process had at most.
    :param descriptors: how many more files were open after the call than before it.
    :param threads: how many more threads there were.
    """

    result: dict[str, Any]
    peak: int
    seconds: float
    descriptors: int
    threads: int

    @property
    def message(self) -> str:
        """What the module said as it failed; '' where it did not."""
        return str(self.result["msg"]) if self.result.get("failed") else ""


def call(calls: Sequence[Call], limits: Limits, environment: Mapping[str, str]) -> list[Measured]:
    """:raises AssertionError: the process ended otherwise than by going through all calls."""
    lines = "".join(json.dumps(asdict(each)) + "\n" for each in calls)
    command = [sys.executable, "-m", "tests.support.measured_calls", json.dumps(asdict(limits))]
    done = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    measured = [Measured(**json.loads(line)) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(measured) == len(calls), f"{calls[len(measured) :][:1]}: {done.stderr[-3000:]}"
    return measured


def _peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _measure(module: str, params: dict[str, Any], check: bool, seconds: int) -> Measured:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on (proc(5))
    descriptors, threads, start = _open_files(), threading.active_count(), time.monotonic()
    signal.alarm(seconds)  # by default it ends the process
    try:
        result = module_call.call(module, params, check)
    except module_call.ModuleFailed as failed:
        result = failed.result
    finally:
        signal.alarm(0)
    took = time.monotonic() - start
    return Measured(result, _peak(), took, _open_files() - descriptors, threading.active_count() - threads)


def _main(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits.open_files, limits.open_files))
    if limits.address_space:
        resource.setrlimit(resource.RLIMIT_AS, (limits.address_space, limits.address_space))
    for line in sys.stdin:
        print(json.dumps(asdict(_measure(seconds=limits.seconds, **json.loads(line)))), flush=True)


if __name__ == "__main__":
    _main(Limits(**json.loads(sys.argv[1])))
