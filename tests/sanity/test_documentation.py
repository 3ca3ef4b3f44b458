# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""YAML in documentation is as good as YAML in files: that of modules, of doc fragments, and of Markdown files.

ansible-lint takes the settings of the project; its rule 'args' calls each module's argument spec.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import documents
from tests.support.collection import copy_tree
from tests.support.command import ROOT, run

KINDS = """\
kinds:
  - playbook: "**/plays/*.yml"
  - tasks: "**/tasks/*.yml"
  - vars: "**/vars/*.yml"
"""


def _examples() -> Iterator[tuple[str, str]]:
    """Where each stands, and its text."""
    for path in sorted((ROOT / "plugins/modules").glob("ocne_*.py")):
        yield path.stem, documents.python_documents(path)["EXAMPLES"]
    for block in documents.all_blocks("yaml"):
        yield f"{Path(block.name).with_suffix('')}-{block.line}".replace("/", "-").lower(), block.text


def _kind(text: str) -> str:
    """plays, tasks, vars, or '' for YAML of others."""
    content = yaml.safe_load(text)
    if isinstance(content, list):
        return "plays" if "hosts" in content[0] else "tasks"
    return "vars" if all(str(name).startswith("ocne_images_") for name in content) else ""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all examples in it, beside the collection."""
    collections = tmp_path_factory.mktemp("documentation")
    tree = copy_tree(collections)
    # ansible-lint would take an action plugin for the module of its name, and leave out its options.
    shutil.rmtree(tree / "plugins/action")
    folder = collections / "project"
    for name, text in _examples():
        kind = _kind(text)
        if kind:
            path = folder / kind / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text if text.lstrip().startswith(("---", "#")) else f"---\n{text.lstrip()}")
    (folder / ".ansible-lint").write_text((tree / ".ansible-lint").read_text() + KINDS)
    for name in (".yamllint", ".gitignore"):  # the first names the second
        (folder / name).write_text((ROOT / name).read_text())
    return folder


def _lint(project: Path, *files: Path) -> None:
    collections = project.parent
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections), "ANSIBLE_HOME": str(collections / "home"), "NO_COLOR": "1"}
    run("ansible-lint", "--offline", "--strict", "--project-dir", project, *files, cwd=project, env=environment)


def test_ansible_lint_finds_nothing_in_examples(project: Path) -> None:
    _lint(project)


def test_wrong_options_in_examples_are_found(project: Path) -> None:
    example = project / "tasks/wrong.yml"
    example.write_text("---\n- name: Import\n  ocne.images.ocne_oci_import:\n    compartment: a\n    no_such_option: true\n")
    with pytest.raises(RuntimeError, match="no_such_option"):
        _lint(project, example)
    example.unlink()


def test_yamllint_finds_nothing_in_documentation(tmp_path: Path) -> None:
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        if path.parent.name in ("modules", "doc_fragments"):
            for name, text in documents.python_documents(path).items():
                (tmp_path / f"{path.stem}-{name}.yml").write_text(f"---\n{text.lstrip()}")
    assert len(list(tmp_path.glob("*.yml"))) > 15
    run("yamllint", "--strict", "--config-file", ROOT / ".yamllint", tmp_path)
