# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's description of itself is in step with what it holds."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]


def _modules() -> list[str]:
    return sorted(path.stem for path in (ROOT / "plugins/modules").glob("ocne_*.py"))


def test_action_group_holds_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["ocne"]) == _modules()


def test_every_module_says_that_it_is_in_the_action_group() -> None:
    for module in _modules():
        assert "ocne.images.attributes.actiongroup_ocne" in (ROOT / f"plugins/modules/{module}.py").read_text(), module


def test_every_action_plugin_belongs_to_a_module() -> None:
    assert {path.stem for path in (ROOT / "plugins/action").glob("ocne_*.py")} <= set(_modules())


def test_every_python_requirement_is_explained() -> None:
    documented = (ROOT / "docs/dependencies.md").read_text()
    for name in ("requirements.txt", "tests/requirements.txt", "bindep.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                package = line.split()[0].split(">")[0].split("<")[0].split("=")[0]
                assert f"`{package}`" in documented, f"{name}: {package}"
