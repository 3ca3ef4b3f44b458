# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation says, in parts that a test can check: blocks, commands, links, variables."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.command import ROOT

#: Folders with Markdown that users and contributors read.
_FOLDERS = ("docs", "roles", "tests/fixtures", ".github", "extensions")
_FENCE = re.compile(r"^( *)```([a-z+]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block. name: of its file; line: where its text begins; language: '' is that of commands."""

    name: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}"


def markdown_files() -> list[str]:
    """Their names, from the checkout's top."""
    found = [*ROOT.glob("*.md"), *(path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(name: str) -> list[Block]:
    """The fenced blocks of a Markdown file."""
    text = (ROOT / name).read_text("utf-8")
    return [
        Block(name, text.count("\n", 0, match.start()) + 2, match.group(2), textwrap.dedent(match.group(3)))
        for match in _FENCE.finditer(text)
    ]


def all_blocks(*languages: str) -> list[Block]:
    """Those of all Markdown files in one of these languages."""
    return [block for name in markdown_files() for block in blocks(name) if block.language in languages]


def prose(name: str) -> str:
    """A Markdown file without its fenced blocks and without code in its sentences."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", (ROOT / name).read_text("utf-8")))


def links(name: str) -> list[str]:
    """Where the links of a Markdown file lead."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(name))


def anchors(name: str) -> set[str]:
    """The anchors that a Markdown file's headings make (as on GitHub)."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", (ROOT / name).read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block, without variables before it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words:
            yield words


def python_documents(path: Path) -> dict[str, str]:
    """DOCUMENTATION, EXAMPLES and RETURN of a module or doc fragment, as they stand in it."""
    return {
        target.id: node.value.value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id.isupper()
    }


def role_options(role: str) -> dict[str, Any]:
    """The variables of a role, of all its entry points, as an argument spec."""
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text("utf-8"))["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


def roles() -> list[str]:
    """Names of the roles with documented variables."""
    return sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


def facts() -> set[str]:
    """Names that roles set for those that follow, as their descriptions tell."""
    return {fact for role in roles() for fact in re.findall(r"Sets the fact C\((\w+)\)", _spec_text(role))}


def target_keys() -> set[str]:
    """What a target can set, as the roles' descriptions tell."""
    sentences = [sentence for role in roles() for sentence in re.findall(r"A target can set ([^.]*)\.", _spec_text(role))]
    return {key for sentence in sentences for key in re.findall(r"C\((\w+)\)", sentence)}


def _spec_text(role: str) -> str:
    return " ".join((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text("utf-8").split())


def playbook_roles(name: str) -> set[str]:
    """The roles that a playbook of the collection uses, directly or by those roles."""
    return set(re.findall(r"ocne\.images\.(\w+)", (ROOT / f"playbooks/{name}.yml").read_text("utf-8"))) & set(roles())


def variables(document: Any) -> Iterator[Mapping[str, Any]]:
    """The groups of the collection's variables in a YAML document: variables of plays, roles and tasks, or a file of them."""
    if isinstance(document, list):
        for item in document:
            yield from variables(item)
    elif isinstance(document, dict):
        ours = {str(name): value for name, value in document.items() if str(name).startswith("ocne_images_")}
        if ours:
            yield ours
        for name, value in document.items():
            if not str(name).startswith("ocne_images_"):
                yield from variables(value)
