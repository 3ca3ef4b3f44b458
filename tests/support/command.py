# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands that test support runs: quietly, and with all they said when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional, Union

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"

Argument = Union[str, "os.PathLike[str]"]


def run(*command: Argument, stdin: Optional[str] = None, env: Optional[Mapping[str, str]] = None, cwd: Optional[Path] = None) -> str:
    """Standard output of a command; RuntimeError with its output where it fails."""
    __tracebackhide__ = True  # pytest need not show this function
    words = [os.fspath(word) for word in command]
    result = subprocess.run(
        words,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
        cwd=cwd,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{' '.join(words)} failed with {result.returncode}:\n{result.stdout}{result.stderr}")
    return result.stdout


def as_root(command: Sequence[Argument]) -> list[Argument]:
    """The command, through sudo where this process is not root."""
    return list(command) if os.geteuid() == 0 else ["sudo", "-n", "--", *command]
