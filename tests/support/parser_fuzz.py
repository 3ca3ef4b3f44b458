# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hostile input for every parser, by seeds: what comes out is a result that keeps its promises, or a BuildError or OcneError.

A family is a function of a dice and an empty folder. Each makes sound input, changes it where its format is most telling, mends the
checksums of half of it as a hostile publisher would, and reads it. Many more by hand: python -m tests.integration.disk parsers.
XFS has its own: python -m tests.integration.disk damage.
"""

from __future__ import annotations

import collections
import random
import shutil
import signal
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

from tests.support.fuzz_containers import container, metadata, nginx, stream
from tests.support.fuzz_disks import Dice, bls, fstab, gpt, qcow2

FAMILIES: Mapping[str, Callable[[Dice, Path], None]] = {
    function.__name__: function for function in (qcow2, gpt, bls, fstab, metadata, container, nginx, stream)
}


def trial(family: str, seed: int, folder: Path) -> str:
    """'taken', 'refused', or 'STRAY' and what it was. folder: an empty one."""
    try:
        FAMILIES[family](random.Random(f"{family} {seed}"), folder)
    except (BuildError, OcneError) as refusal:
        return "refused" if str(refusal) else "STRAY an error without a word"
    except BaseException:
        return f"STRAY {family} {seed} {traceback.format_exc()[-1500:]}"
    return "taken"


def trials(family: str, first: int, count: int, folder: Path, seconds: int = 0) -> collections.Counter[str]:
    """What came of so many seeds. seconds: what the alarm of this process is set to before each; 0: nothing."""
    results: collections.Counter[str] = collections.Counter()
    for seed in range(first, first + count):
        place = folder / str(seed)
        place.mkdir(parents=True)
        if seconds:
            signal.alarm(seconds)
        results[trial(family, seed, place)] += 1
        if seconds:
            signal.alarm(0)
        shutil.rmtree(place)
    return results
