# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation site: antsibull-docs can make the reference of every module and role, and no reference leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.collection import copy_tree
from tests.support.command import run

OPTIONS = ("--plugin-docs", "--check-extra-docs-refs", "--validate-collection-refs=all", "--disallow-unknown-collection-refs")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copy_tree(tmp_path)


def _lint(tree: Path) -> None:
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(tree.parents[2])}
    run("antsibull-docs", "lint-collection-docs", *OPTIONS, "--skip-rstcheck", ".", cwd=tree, env=environment)


def test_no_reference_is_broken(tree: Path) -> None:
    _lint(tree)


def test_broken_references_are_found(tree: Path) -> None:
    """In a module, in a guide, and in the list of guides: three."""
    broken = {
        "plugins/modules/ocne_oci_import.py": ("O(display_name)", "O(no_such_option)"),
        "docs/docsite/rst/guides.rst": ("ocne.images.ocne_boot_image#module", "ocne.images.no_such_module#module"),
        "docs/docsite/extra-docs.yml": ("- guides", "- no_such_guide"),
    }
    for name, (text, instead) in broken.items():
        file = tree / name
        assert text in file.read_text()
        file.write_text(file.read_text().replace(text, instead, 1))
    with pytest.raises(RuntimeError) as raised:
        _lint(tree)
    for name, told in zip(broken, ("no_such_option", "no_such_module", "no_such_guide")):
        assert any(name in line and told in line for line in str(raised.value).splitlines()), name
