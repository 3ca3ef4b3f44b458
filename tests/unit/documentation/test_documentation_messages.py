# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each message in the tables of these pages stands in the code, word for word."""

from __future__ import annotations

import ast
import re
from typing import Optional

import pytest

from tests.support.command import ROOT

PAGES = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("troubleshooting.md", "tutorials/awx.md"))
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGES, re.MULTILINE)


def _template(node: ast.AST) -> Optional[str]:
    """A string of the code, with … for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return None


@pytest.fixture(scope="module")
def messages() -> set[str]:
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "plugins").rglob("*.py")]
    templates = (_template(node) for tree in trees for node in ast.walk(tree))
    return {template.strip() for template in templates if template}


@pytest.mark.parametrize("quoted", sorted(set(QUOTED)))
def test_message_stands_in_the_code(quoted: str, messages: set[str]) -> None:
    assert quoted in messages


def test_every_row_of_the_tables_quotes_a_message() -> None:
    rows = [line for line in PAGES.splitlines() if line.startswith("|") and not re.match(r"\| (message|---) \|", line)]
    assert len(rows) == len(QUOTED) > 0
