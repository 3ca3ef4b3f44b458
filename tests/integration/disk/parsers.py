# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile input for every parser, within a time, a memory and a number of open files; see tests/support/parser_fuzz.py."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from types import FrameType

from tests.support.parser_fuzz import FAMILIES, trials

_SECONDS = 30
_MEMORY = 1 << 30
_OPEN_FILES = 64


def _alarm(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def main(count: int, folder: Path, seed: int, only: str) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGALRM, _alarm)
    for limit, value in ((resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_NOFILE, _OPEN_FILES)):
        resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
    strays = 0
    for family in (name for name in FAMILIES if only in name):
        results = trials(family, seed, count, folder, _SECONDS)
        strays += sum(number for result, number in results.items() if result.startswith("STRAY"))
        for result, number in results.most_common():
            print(number, f"{family}: {result}", flush=True)
    return int(bool(strays))
