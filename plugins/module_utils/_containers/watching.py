# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program run to its end, with an eye on how much it has read: that is how far a copy is, whatever its ends are."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

#: Seconds between two looks.
_INTERVAL = 0.5


def run_watched(command: Sequence[str], watch: Callable[[int], None], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """subprocess.run(command, capture_output=True, **options), which calls watch with the number of bytes read so far."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            while True:
                try:
                    stdout, stderr = process.communicate(timeout=_INTERVAL)
                    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
                except subprocess.TimeoutExpired:
                    watch(bytes_read(process.pid))
        except BaseException:
            process.kill()
            raise


def bytes_read(pid: int) -> int:
    """From files, pipes and sockets, by all threads of a process of ours: rchar of proc_pid_io(5). 0 where the system does not count."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return next(int(line.partition(":")[2]) for line in lines if line.startswith("rchar:"))
    except (OSError, ValueError, StopIteration):
        return 0
