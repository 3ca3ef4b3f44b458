# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program run to its end, with an eye on how much it has read: that is how far a copy is, whatever its ends are."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

#: Seconds between two looks.
_INTERVAL = 0.5
#: Seconds without a byte read or written after which a program hangs. A registry may take minutes to take over a large layer.
PATIENCE = 300.0


class Hangs(Exception):
    """The program did nothing for so long that it was ended."""


def run_watched(command: Sequence[str], watch: Callable[[int], None], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """subprocess.run(command, capture_output=True, **options), which calls watch with the number of bytes read so far.

    :raises Hangs: it has done nothing for PATIENCE.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        moved, since = _moved(process.pid), time.monotonic()
        try:
            while True:
                try:
                    stdout, stderr = process.communicate(timeout=_INTERVAL)
                    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)
                except subprocess.TimeoutExpired:
                    watch(bytes_read(process.pid))
                    before, moved = moved, _moved(process.pid)
                    if moved is None or moved != before:
                        since = time.monotonic()
                    elif time.monotonic() - since > PATIENCE:
                        raise Hangs(f"timeout: nothing was read or written for {PATIENCE:.0f} s") from None
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


def _moved(pid: int) -> Optional[list[str]]:
    """What tells that a process, or one below it, has read or written since; None where the system does not tell."""
    try:
        return [Path(f"/proc/{each}/io").read_text() for each in _family(pid)]
    except OSError:
        return None


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in sorted(Path(f"/proc/{pid}/task").glob("*/children")):
        for child in children.read_text().split():
            yield from _family(int(child))
