# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Style, types and lint: of everything in the project."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.awx.collection import awx_collection
from tests.support.collection import copy_tree
from tests.support.command import run


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("style")
    copy_tree(path)
    return path


@pytest.fixture(scope="module")
def tree(collections: Path) -> Path:
    return collections / "ansible_collections/ocne/images"


def test_ruff_finds_nothing(tree: Path) -> None:
    run("ruff", "check", "--no-cache", ".", cwd=tree)


def test_ruff_would_format_nothing_anew(tree: Path) -> None:
    run("ruff", "format", "--no-cache", "--check", "--diff", ".", cwd=tree)


def _check_types(collections: Path, folder: Path, *options: str) -> None:
    tree = collections / "ansible_collections/ocne/images"
    settings = [f"--config-file={tree / 'pyproject.toml'}", "--cache-dir=/dev/null", "--namespace-packages", "--explicit-package-bases"]
    run("mypy", *settings, *options, cwd=folder, env={"MYPYPATH": f"{tree}:{collections}" if folder == tree else str(collections)})


def test_types_of_the_plugins(collections: Path) -> None:
    _check_types(collections, collections, "--python-version=3.9", "ansible_collections/ocne/images/plugins")


def test_types_of_the_tests(collections: Path, tree: Path) -> None:
    _check_types(collections, tree, "tests/support", "tests/sanity", "tests/benchmarks", "tests/mutation")


def test_yamllint_finds_nothing(tree: Path) -> None:
    run("yamllint", "--strict", ".", cwd=tree)


def test_ansible_lint_finds_nothing_in_production_profile(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    # ansible-lint would take an action plugin for the module of its name, and leave out its options.
    shutil.rmtree(tree / "plugins/action")
    paths = os.pathsep.join([str(tmp_path), str(awx_collection())])
    run("ansible-lint", "--offline", "--strict", cwd=tree, env={"ANSIBLE_COLLECTIONS_PATH": paths, "ANSIBLE_HOME": str(tmp_path / "home")})


def test_changelog_fragments_are_sound(tree: Path) -> None:
    run("antsibull-changelog", "lint", cwd=tree)
