# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules on hostile sources, and what every refusal has to be: a message, nothing left, nothing touched, no more taken than may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.measured_calls import Call, Limits, Measured, call

MIB = 1 << 20
#: Memory that a module may take for any input; docs/security-model.md says so.
PEAK = 256 * MIB
_FOLDERS = ("dest", "cache", "home", "tmp")

#: By the name of an attack and that of a module.
Results = Mapping[tuple[str, str], Measured]


def snapshot(top: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below the folder: its type and mode, its size, and when it was changed."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(top))] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def run(top: Path, sources: Mapping[str, str], modules: Mapping[str, Mapping[str, Any]], limits: Limits) -> Results:
    """What each module (its name, and what follows a blank, to tell calls apart) says of each source.

    The folders of the artefact, the cache, the home and temporary files are in the folder; nothing may be left in it but the cache.
    """
    for name in _FOLDERS:
        (top / name).mkdir()
    common = {"cache_dir": str(top / "cache"), "architecture": "amd64"}
    calls = {
        (name, module): Call(module.partition(" ")[0], {"source": source, **common, **params})
        for name, source in sources.items()
        for module, params in modules.items()
    }
    before = snapshot(top)
    measured = call(list(calls.values()), limits, {"HOME": str(top / "home"), "TMPDIR": str(top / "tmp")})
    after = snapshot(top)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    # The folders' own times change as temporary files come and go.
    assert not [path for path in changed if path not in _FOLDERS and not path.startswith("cache/")]
    return dict(zip(calls, measured))


def judge(said: Mapping[str, str], results: Results, names: str = "") -> None:
    """:param said: patterns by the name of an attack; names: a pattern of what has to be named, too."""
    wrong = []
    for (name, module), measured in results.items():
        message = measured.message
        proofs = {
            "said": re.search(said[name], message)
            and re.search(names, message)
            and message.rstrip().endswith(".")
            and ".part" not in message,
            "no traceback": "Traceback" not in str(measured.result) and "exception" not in measured.result,
            "memory": measured.peak < PEAK,
            "closed": (measured.descriptors, measured.threads) == (0, 0),
        }
        wrong += [f"{what}: {name}, {module}: {message or 'no failure'} {measured}"[:1500] for what, held in proofs.items() if not held]
    assert not wrong, "\n".join(wrong)
