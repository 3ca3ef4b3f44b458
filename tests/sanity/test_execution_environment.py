# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The execution environment: ansible-builder makes a context of its definition, and finds all that the collection needs.

tests/image builds it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.collection import copy_tree
from tests.support.command import ROOT, run


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("execution-environment"))


def _lines(name: str) -> set[str]:
    return {line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")}


def test_context_can_be_made_and_names_every_package(tree: Path, tmp_path: Path) -> None:
    run(_builder(), "create", "--file", tree / "execution-environment.yml", "--context", tmp_path / "context")
    context = tmp_path / "context"
    assert set((context / "_build/bindep.txt").read_text().splitlines()) >= _lines("bindep.txt")
    assert set((context / "_build/requirements.txt").read_text().splitlines()) >= _lines("requirements.txt")
    assert "ocne.images" in (context / "_build/requirements.yml").read_text()
    assert "ARG EE_BASE_IMAGE=" in (context / "Containerfile").read_text()


def test_other_environments_get_what_the_collection_needs(tree: Path) -> None:
    printed: dict[str, Any] = yaml.safe_load(run(_builder(), "introspect", tree.parents[2]))
    assert {line.partition("  #")[0] for line in printed["system"]} == _lines("bindep.txt")
    # PyYAML is in every execution environment, by ansible-core.
    assert {line.partition("  #")[0] for line in printed["python"]} == {line for line in _lines("requirements.txt") if "PyYAML" not in line}


def _builder() -> Path:
    return Path(sys.executable).with_name("ansible-builder")
