# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's description of itself is in step with what it holds."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path

import pytest
import yaml

from tests.support.machine import CORES
from tests.support.run_tests import TIERS

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


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "plugins/action").glob("ocne_*.py")))
def test_action_plugins_tell_targets_apart_by_options_that_there_are(name: str) -> None:
    plugin = importlib.import_module(f"ansible_collections.ocne.images.plugins.action.{name}").ActionModule
    module = importlib.import_module(f"ansible_collections.ocne.images.plugins.modules.{name}")
    assert set(getattr(plugin, "told_apart_by", ())) <= set(yaml.safe_load(module.DOCUMENTATION)["options"])


def test_every_python_requirement_is_explained() -> None:
    documented = (ROOT / "docs/dependencies.md").read_text()
    for name in ("requirements.txt", "tests/requirements.txt", "bindep.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith("#"):
                package = line.split()[0].split(">")[0].split("<")[0].split("=")[0]
                assert f"`{package}`" in documented, f"{name}: {package}"


def test_commit_hooks_call_tests_that_are_there() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    for hook in (hook for repository in configuration["repos"] for hook in repository["hooks"]):
        command, tier, *words = shlex.split(hook["entry"])
        assert (ROOT / command).exists() and tier in TIERS
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/")), hook


def test_supported_versions_of_ansible_are_those_that_are_tested() -> None:
    page = (ROOT / "docs/versions.md").read_text()
    assert f"| ansible-core | {', '.join(CORES)} |" in page
    assert yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["requires_ansible"] == f">={CORES[0]}.0"
    assert {path.stem.partition("-")[2] for path in (ROOT / "tests/sanity").glob("ignore-*.txt")} <= set(CORES)


def test_supported_versions_of_the_clients_are_those_that_are_required() -> None:
    page = (ROOT / "docs/versions.md").read_text()
    required = dict(line.split(">=", 1) for line in (ROOT / "requirements.txt").read_text().splitlines() if ">=" in line)
    lowest, _comma, below = required["kubernetes"].partition(",<")
    assert f"| Python package `kubernetes` | {lowest} to {int(below) - 1} |" in page
    assert f"| Python package `oci` | {required['oci']} and newer |" in page
