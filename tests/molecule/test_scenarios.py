# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's scenarios, a test each. The scenario 'default' makes what they share before the first, and removes it after the last."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.command import CACHE, ROOT, run

#: What makes the testbed, and what runs without it (tests/libvirt).
_OTHERS = ("default", "libvirt_cluster")
SCENARIOS = sorted(path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml"))
STATE = CACHE / "molecule-state"


def molecule(*words: str) -> None:
    run("molecule", *words, cwd=ROOT, env={"MOLECULE_EPHEMERAL_DIRECTORY": str(STATE), "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def _testbed() -> Iterator[None]:
    shutil.rmtree(STATE, ignore_errors=True)  # of a run that was killed, which had not come to its end
    molecule("create")
    yield
    molecule("destroy")


@pytest.mark.usefixtures("_testbed")
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in _OTHERS])
def test_scenario(scenario: str) -> None:
    molecule("test", f"--scenario-name={scenario}", "--destroy=never")
