# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mutmut on a copy of the project, in .cache/mutation: which mutants there are, and what the unit tests said of those that were tried.

The copy lies in a folder ansible_collections/ocne/images, because mutmut takes a module's name from its path, and tests import
the collection by that name. What mutmut knows is read from the files that it keeps.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Optional, Union

from tests.support.collection import copy_tree
from tests.support.command import CACHE, ROOT

FOLDER = CACHE / "mutation"
COLLECTION = Path("ansible_collections/ocne/images")
MODULE_UTILS = COLLECTION / "plugins/module_utils"
#: Unit tests of the product: others test documents and the tests' own endpoint.
TESTS = (
    *("builder", "cluster", "containers", "disk", "imagebuild", "kubernetes", "oci", "ostree"),
    *("test_digests.py", "test_module.py", "test_record.py"),
)

_Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


@dataclass(frozen=True)
class Mutant:
    """A change of one function: lines of it, as they were, and as they become.

    :param name: mutmut's.
    :param wording: whether only the words of a message change.
    """

    name: str
    module: str
    function: str
    was: str
    becomes: str
    wording: bool


class MutatedModule:
    """A module of plugins/module_utils as mutmut has written it: each function once as it was, and once for each mutant."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._path = FOLDER / "mutants" / MODULE_UTILS / module

    def mutants(self) -> list[Mutant]:
        prefix = str(MODULE_UTILS / self._module).removesuffix(".py").replace(os.sep, ".")
        found = []
        for name, function in self._functions.items():
            original, separator, number = name.partition("__mutmut_")
            if separator and number != "orig":
                found.append(self._mutant(f"{prefix}.{name}", self._functions[f"{original}__mutmut_orig"], function))
        return found

    def results(self) -> dict[str, Optional[int]]:
        """What pytest's process returned, by a mutant's name; None where the mutant was not tried."""
        codes: dict[str, Optional[int]] = json.loads(self._path.with_name(f"{self._path.name}.meta").read_text())["exit_code_by_key"]
        return codes

    @cached_property
    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines()

    @cached_property
    def _functions(self) -> dict[str, _Function]:
        nodes = ast.walk(ast.parse("\n".join(self._lines)))
        return {node.name: node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}

    def _mutant(self, name: str, original: _Function, mutant: _Function) -> Mutant:
        lines = list(difflib.unified_diff(self._body(original), self._body(mutant), n=0, lineterm=""))[2:]
        was, becomes = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
        function = name.rpartition(".")[2].partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        return Mutant(name, self._module, function, was, becomes, _without_wording(original) == _without_wording(mutant))

    def _body(self, function: _Function) -> list[str]:
        return self._lines[function.lineno : function.end_lineno]


def _without_wording(function: _Function) -> str:
    """A function's body in which all messages are alike. What has a space in it is a message."""
    texts = [node for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    kept = {id(node): node.value for node in texts}
    for node in texts:
        if " " in str(node.value):
            node.value = " "
    result = ast.dump(ast.Module(function.body, []))
    for node in texts:
        node.value = kept[id(node)]
    return result


def prepare(modules: Iterable[str]) -> None:
    """Copy the project as it is now. What mutmut found out before is forgotten."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    copy_tree(FOLDER)
    selection = [str(COLLECTION / "tests/unit" / name) for name in TESTS]
    settings = {
        "source_paths": [str(MODULE_UTILS)],
        "only_mutate": [str(MODULE_UTILS / module) for module in modules],
        "also_copy": [str(path.relative_to(FOLDER)) for path in _others()],
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
        "pytest_add_cli_args_test_selection": selection,
        # Each run begins with fresh modules: some tests keep their arguments in them, and use them up.
        "process_isolation": "forkserver",
        "use_git_change_detection": False,
        # A busy machine is no reason to call a mutant endless.
        "timeout_constant": 4.0,
        "timeout_multiplier": 4.0,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (FOLDER / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, ""]))


def renew_tests() -> None:
    """Copy the tests as they are now. What mutmut knows of mutants and tests stays."""
    shutil.copytree(ROOT / "tests", FOLDER / COLLECTION / "tests", dirs_exist_ok=True)


def _others() -> Iterator[Path]:
    """What tests need of the copy besides module_utils, which mutmut copies by itself."""
    for folder, kept in ((COLLECTION, "plugins"), (COLLECTION / "plugins", "module_utils")):
        yield from (path for path in (FOLDER / folder).iterdir() if path.name not in (kept, ".git"))


def run(mutmut: Path, patterns: Sequence[str]) -> None:
    """Try the mutants whose names match, one at a time; SystemExit with mutmut's output where it cannot."""
    words = [str(mutmut), "run", "--max-children", "1", *patterns]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    with (FOLDER / "output.txt").open("w") as output:
        status = subprocess.run(words, cwd=FOLDER, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if status.returncode:
        raise SystemExit((FOLDER / "output.txt").read_text()[-5000:])


def tested_functions() -> set[str]:
    """Functions that a unit test calls, as the beginnings of their mutants' names."""
    stats = json.loads((FOLDER / "mutants/mutmut-stats.json").read_text())
    return {name for name, tests in stats["tests_by_mangled_function_name"].items() if tests}


#: What mutmut notes of a mutant that was not tried, for which no test was found or collected.
UNTRIED = (None, 5, 33)
