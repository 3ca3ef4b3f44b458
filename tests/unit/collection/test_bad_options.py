# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that no module can make sense of are refused before anything is looked at."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import module_call

MODULES = Path(__file__).resolve().parents[3] / "plugins/modules"
#: Besides the options at hand.
REQUIRED = {"ocne_image_push": {"dest": "dir:/nowhere"}}


def _taking(option: str) -> list[str]:
    names = sorted(path.stem for path in MODULES.glob("ocne_*.py"))
    modules = ((name, importlib.import_module(f"ansible_collections.ocne.images.plugins.modules.{name}")) for name in names)
    fragment = "ocne.images.registry"
    described = ((name, yaml.safe_load(module.DOCUMENTATION)) for name, module in modules)
    return [name for name, text in described if option in text["options"] or fragment in text.get("extends_documentation_fragment", [])]


@pytest.mark.parametrize("module", _taking("username"))
@pytest.mark.parametrize("alone", ["username", "password"])
def test_an_account_is_a_name_and_a_password(module: str, alone: str) -> None:
    params: dict[str, Any] = {**REQUIRED.get(module, {}), alone: "x"}
    assert "parameters are required together: username, password" in module_call.message(module, params)


def test_a_number_of_tries_is_not_negative() -> None:
    assert "retries is -1" in module_call.message("ocne_image_push", {"dest": "dir:/nowhere", "src": "dir:/nowhere", "retries": -1})
