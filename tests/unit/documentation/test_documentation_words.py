# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Markdown files say is there: links, variables, playbooks, commands. (Tasks in them are linted in tests/sanity.)"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.ocne.images.plugins.plugin_utils._progress.action import SWITCH

from tests.support import documents
from tests.support.command import ROOT
from tests.support.documents import Block
from tests.support.run_tests import TIERS

FILES = documents.markdown_files()
#: Programs of others in commands, with nothing to check here.
OTHERS = {
    *("ansible-builder", "ansible-runner", "antsibull-docs", "awx", "cat", "cp", "curl", "docker", "export", "git", "kind", "kubectl"),
    *("ls", "mkdir", "molecule", "oci", "pip", "podman", "pre-commit", "qemu-img", "sha256sum", "skopeo", "sudo", "virsh"),
}
#: Variables of playbooks and plugins.
OF_NO_ROLE = {"ocne_images_hosts", SWITCH}
ALL_OPTIONS = {name: option for role in documents.roles() for name, option in documents.role_options(role).items()}


@pytest.mark.parametrize("name", FILES)
def test_links_lead_somewhere(name: str) -> None:
    for link in documents.links(name):
        if re.match(r"(https|mailto):", link):
            continue
        path, _hash, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in documents.anchors(str(target.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("name", FILES)
def test_variables_exist(name: str) -> None:
    known = {*ALL_OPTIONS, *documents.facts(), *OF_NO_ROLE}
    assert set(re.findall(r"\bocne_images_\w+", (ROOT / name).read_text("utf-8"))) <= known


@pytest.mark.parametrize("name", FILES)
def test_modules_roles_and_playbooks_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    known = {path.stem for pattern in ("plugins/modules/ocne_*.py", "playbooks/*.yml") for path in ROOT.glob(pattern)}
    assert set(re.findall(r"\bocne\.images\.(\w+)", text)) <= {*known, *documents.roles(), "ocne", "ostree"}
    assert set(re.findall(r"`(ocne_(?!images_)\w+)`", text)) <= known


@pytest.mark.parametrize("block", documents.all_blocks("yaml"), ids=str)
def test_yaml_has_values_that_the_roles_take(block: Block) -> None:
    for document in yaml.safe_load_all(block.text):
        for group in documents.variables(document):
            _check(group, ALL_OPTIONS)


@pytest.mark.parametrize("block", documents.all_blocks("", "sh"), ids=str)
def test_commands_can_be_given(block: Block) -> None:
    for words in documents.commands(block):
        program, arguments = words[0], words[1:]
        if program == "ansible-playbook":
            _check_playbook(words)
        elif program == "ansible-doc":
            assert not [word for word in arguments if word.startswith("ocne.images.") and not _exists(word)], words
        elif program == "ansible":
            module = arguments[arguments.index("-m") + 1]
            options = yaml.safe_load(documents.python_documents(_module(module))["DOCUMENTATION"])["options"]
            assert {word.partition("=")[0] for word in shlex.split(arguments[arguments.index("-a") + 1])} <= set(options), words
        elif program in ("ansible-galaxy", "ansible-vault"):
            assert arguments[0] in ("collection", "create", "edit", "encrypt_string"), words
        elif program == "ansible-builder":
            assert arguments[0] == "build" and (ROOT / arguments[arguments.index("-f") + 1]).exists(), words
        elif program == "./run-tests":
            assert set(_before_options(arguments)) <= set(TIERS), words
        elif program.startswith(".cache/"):
            pass  # made by a command before it
        elif program in ("./quickstart", "./release"):
            assert len(arguments) == (program == "./release"), words
        elif program == "python":
            script = Path(arguments[1].replace(".", "/")) if arguments[0] == "-m" else Path(arguments[0])
            assert any((ROOT / path).exists() for path in (script, script.with_suffix(".py"))), words
        else:
            assert program in OTHERS, f"{words}: say in this test how it is checked"


def _before_options(words: Sequence[str]) -> Sequence[str]:
    return words[: next((number for number, word in enumerate(words) if word.startswith("-")), len(words))]


def _exists(name: str) -> bool:
    return _module(name).exists() or name.rpartition(".")[2] in documents.roles()


def _module(name: str) -> Path:
    return ROOT / f"plugins/modules/{name.rpartition('.')[2]}.py"


def _check_playbook(words: Sequence[str]) -> None:
    """Its options can be parsed, the playbook exists, and its roles have the variables."""
    command = PlaybookCLI(list(words))
    command.parse()
    from ansible import context

    (playbook,) = context.CLIARGS["args"]
    given = dict(text.split("=", 1) for text in context.CLIARGS["extra_vars"] if not text.startswith("@"))
    if not playbook.startswith("ocne.images."):
        return
    name = playbook.rpartition(".")[2]
    assert (ROOT / f"playbooks/{name}.yml").exists(), words
    options = {key: option for role in documents.playbook_roles(name) for key, option in documents.role_options(role).items()}
    _check({key: value for key, value in given.items() if key not in OF_NO_ROLE}, options)


def _check(group: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    spec = {name: {key: option[key] for key in ("type", "choices", "elements") if key in option} for name, option in options.items()}
    known = {name: value for name, value in group.items() if not ("{{" in str(value) or name in documents.facts())}
    result = ArgumentSpecValidator(spec).validate(known)
    assert not result.error_messages
    for target in group.get("ocne_images_targets") or []:
        assert set(target) <= documents.target_keys()
