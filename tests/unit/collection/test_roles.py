# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles document the variables that they have, and those that build can say all that a build takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.ocne.images.plugins.module_utils._builder.cluster import BUILDER_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._kubernetes_client import OPTIONS

ROLES = Path(__file__).resolve().parents[3] / "roles"
#: Whose names would not say what they are of.
CONNECTION = set(OPTIONS) - {"kubeconfig", "context"}


def _read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()) or {}) if path.exists() else {}


def _documented(role: str) -> dict[str, Any]:
    """The variables of all entry points of a role."""
    specs = _read(ROLES / role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


def _variable(option: str) -> str:
    return f"ocne_images_{'kubernetes_' if option in CONNECTION else ''}{option}"


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_defaults_are_the_documented_ones(role: str) -> None:
    documented = {name: option["default"] for name, option in _documented(role).items() if "default" in option}
    assert {name: value for name, value in _read(ROLES / role / "defaults/main.yml").items() if name in documented} == documented
    assert set(_read(ROLES / role / "defaults/main.yml")) <= set(_documented(role))


@pytest.mark.parametrize("role", ["boot_image", "ostree_archive"])
@pytest.mark.parametrize("option", BUILDER_OPTIONS)
def test_roles_that_build_have_all_options_of_a_build(role: str, option: str) -> None:
    wanted, documented = BUILDER_OPTIONS[option], _documented(role)[_variable(option)]
    assert documented["type"] == wanted["type"].replace("path", "str")
    assert documented.get("choices") == wanted.get("choices") and documented.get("elements") == wanted.get("elements")
    # An empty value leaves the choice to the module.
    assert documented.get("default") in (wanted.get("default"), "")


def test_builds_are_given_all_options() -> None:
    build = yaml.safe_load((ROLES / "builder/tasks/main.yml").read_text())[0]
    for options in build["module_defaults"].values():
        assert set(BUILDER_OPTIONS) <= set(options)


def test_targets_can_set_what_roles_ask_them_for() -> None:
    asked = {key for path in ROLES.glob("*/tasks/*.yml") for key in re.findall(r"\bitem\.(\w+) \| default\(", path.read_text())}
    assert _read(ROLES / "builder/vars/main.yml")["ocne_images_target_keys"] == sorted(asked)
