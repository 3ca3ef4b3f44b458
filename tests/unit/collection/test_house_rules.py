# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The house rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEADER = """\
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""


def _files(*suffixes: str) -> list[str]:
    """The project's files with one of these suffixes, as git knows them or would know them."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({name for name in names if Path(name).suffix in suffixes and (ROOT / name).is_file()})


@pytest.mark.parametrize("name", _files(".py"))
def test_python_file_begins_with_the_header(name: str) -> None:
    text = (ROOT / name).read_text()
    if not text:
        return
    lines = text.splitlines(keepends=True)
    if lines[0].startswith("#!"):
        lines = lines[1:]
    assert "".join(lines[:3]) == HEADER


@pytest.mark.parametrize("name", _files(".py"))
def test_python_file_has_annotations_as_text(name: str) -> None:
    text = (ROOT / name).read_text()
    if re.search(r"^(def|class|import|from|async def) ", text, re.MULTILINE):
        assert re.search(r"^from __future__ import annotations$", text, re.MULTILINE)


# antsibull-changelog writes that one.
@pytest.mark.parametrize("name", [name for name in _files(".yml", ".yaml") if name != "changelogs/changelog.yaml"])
def test_yaml_file_names_its_licence(name: str) -> None:
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in "".join((ROOT / name).read_text().splitlines(keepends=True)[:4])


@pytest.mark.parametrize("name", _files(".py", ".yml", ".yaml", ".md", ".toml", ".txt", ".j2", ""))
def test_text_names_no_place_of_the_machine_that_it_was_written_on(name: str) -> None:
    text = (ROOT / name).read_text(errors="replace")
    assert str(ROOT) not in text
    assert sys.prefix == sys.base_prefix or sys.prefix not in text


def test_packages_for_a_pod_import_nothing_of_the_collection() -> None:
    for path in (ROOT / "plugins/module_utils/_imagebuild").rglob("*.py"):
        depth = len(path.relative_to(ROOT / "plugins/module_utils/_imagebuild").parts)
        for dots in re.findall(r"^from (\.+)", path.read_text(), re.MULTILINE):
            assert len(dots) <= depth, path
        assert not re.search(r"^(from|import) ansible", path.read_text(), re.MULTILINE), path


# The builder brings a source and a cluster together; no other domain knows of another one.
DOMAINS: dict[str, set[str]] = {
    "_builder": {"_containers", "_kubernetes"},
    "_cluster": set(),
    "_containers": set(),
    "_kubernetes": set(),
    "_oci": set(),
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_domain_packages_do_not_import_each_other(domain: str) -> None:
    for path in (ROOT / "plugins/module_utils" / domain).rglob("*.py"):
        imported = set(re.findall(r"^from \.+(_\w+)\b", path.read_text(), re.MULTILINE)) & set(DOMAINS)
        assert imported <= DOMAINS[domain] | {domain}, path
