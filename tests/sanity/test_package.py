# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection can be built, installed and read, with every ansible-core that it supports."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.awx.collection import awx_collection
from tests.support.collection import copy_tree
from tests.support.command import ROOT, run
from tests.support.machine import CORES, core_venv

MODULES = sorted(f"ocne.images.{path.stem}" for path in (ROOT / "plugins/modules").glob("ocne_*.py"))
ROLES = sorted(f"ocne.images.{path.name}" for path in (ROOT / "roles").glob("*") if (path / "meta/argument_specs.yml").exists())


@pytest.fixture(scope="module", params=CORES)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of an ansible-core's commands, and the environment in which they find the built and installed collection, and awx.awx."""
    commands = core_venv(request.param) / "bin"
    folder = tmp_path_factory.mktemp(f"core-{request.param}")
    tree = copy_tree(folder / "source")
    path = os.pathsep.join([str(folder / "installed"), str(awx_collection())])
    environment = {"ANSIBLE_HOME": str(folder / "home"), "ANSIBLE_COLLECTIONS_PATH": path, "NO_COLOR": "1"}
    run(commands / "ansible-galaxy", "collection", "build", "--output-path", folder, tree, env=environment)
    (tarball,) = folder.glob("ocne-images-*.tar.gz")
    run(commands / "ansible-galaxy", "collection", "install", "--offline", "-p", folder / "installed", tarball, env=environment)
    return commands, environment


def _documentation(installed: tuple[Path, dict[str, str]], kind: str, names: list[str]) -> dict[str, Any]:
    commands, environment = installed
    return dict(json.loads(run(commands / "ansible-doc", "--json", "--type", kind, *names, env=environment)))


def test_every_module_documents_itself_in_full(installed: tuple[Path, dict[str, str]]) -> None:
    documented = _documentation(installed, "module", MODULES)
    assert sorted(documented) == MODULES
    for name, parts in documented.items():
        assert parts["examples"].strip(), name
        assert parts["return"], name
        assert {"check_mode", "diff_mode", "idempotent", "action_group"} <= set(parts["doc"]["attributes"]), name
        assert all(option.get("description") and option.get("type") for option in parts["doc"]["options"].values()), name


def test_every_role_documents_itself(installed: tuple[Path, dict[str, str]]) -> None:
    if ROLES:
        assert sorted(_documentation(installed, "role", ROLES)) == ROLES


def test_module_defaults_reach_every_module(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """An option set for the group is among the arguments that each module says it was called with, or that it refuses."""
    commands, environment = installed
    # An action plugin alone names what it refuses only where nothing is missing.
    given: dict[str, dict[str, Any]] = {"ocne.images.ocne_build_wait": {"jobs": []}}
    tasks = [{"name": module, module: given.get(module, {}), "ignore_errors": True} for module in MODULES]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "module_defaults": {"group/ocne.images.ocne": {"no_such_option": 1}},
        "tasks": tasks,
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    output = run(commands / "ansible-playbook", "-vvv", tmp_path / "play.yml", env=environment)
    told = output.split("TASK [")[1:]
    assert [task for task in told if "no_such_option" not in task] == [] and len(told) == len(MODULES)


def test_every_playbook_is_found_by_its_full_name(installed: tuple[Path, dict[str, str]]) -> None:
    commands, environment = installed
    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        run(commands / "ansible-playbook", "--syntax-check", f"ocne.images.{path.stem}", env=environment)


def test_package_holds_what_users_need_and_nothing_else(installed: tuple[Path, dict[str, str]]) -> None:
    _commands, environment = installed
    (tarball,) = Path(environment["ANSIBLE_HOME"]).parent.glob("ocne-images-*.tar.gz")
    with tarfile.open(tarball) as archive:
        names = set(archive.getnames())
    for needed in ("README.md", "LICENSE", "meta/runtime.yml", "requirements.txt", "bindep.txt", "meta/execution-environment.yml"):
        assert needed in names
    assert not [
        name
        for name in names
        if name.startswith((".git", ".ci", ".cache", "extensions/molecule")) or name.endswith((".pyc", ".qcow2", ".tar.gz"))
    ]
