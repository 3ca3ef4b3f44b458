# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small, fixed part of the disk engine's proofs. All of them, by hand: python -m tests.integration.disk --help."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT

#: Seeds whose cases, together, have every feature, format and shape of directory, clones, log replay and GRUB.
_FIRST, _END = 11000, 11020


def _prove(folder: Path, *arguments: str) -> list[str]:
    """The lines that a proof prints; it fails with its last lines where it found something."""
    command = [sys.executable, "-m", "tests.integration.disk", "--folder", str(folder), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, "\n".join([line[:2000] for line in lines if '"result": "ok"' not in line][-10:])
    return lines


def test_filesystems_made_by_the_kernel_are_edited_soundly(tmp_path: Path) -> None:
    cases = [json.loads(line) for line in _prove(tmp_path, "fuzz", str(_FIRST), str(_END))[:-1]]
    edited = [case for case in cases if case["result"] == "ok"]
    assert len(edited) >= (_END - _FIRST) * 9 // 10
    for judge in ("accounted", "replayed", "grub"):
        assert any(case[judge] for case in edited), judge
    assert sum(case["edits"] for case in edited) > 200


def test_damaged_disks_are_refused_or_edited_soundly(tmp_path: Path) -> None:
    lines = _prove(tmp_path, "damage", "200", "--seed", "1")
    assert any("damage" in line for line in lines)
    assert any("edited" in line for line in lines)


def test_logs_are_understood_wherever_they_end(tmp_path: Path) -> None:
    assert all(line.startswith("ok: ") for line in _prove(tmp_path, "log", "4"))


@pytest.mark.parametrize("mutant", ["shared blocks are freed", "blocks are lost", "new clusters are not counted"])
def test_a_broken_editor_is_caught(tmp_path: Path, mutant: str) -> None:
    assert _prove(tmp_path, "mutants", "--only", mutant)[0] == f"caught: {mutant}"
