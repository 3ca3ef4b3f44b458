# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a mutation run found, as docs/development/mutation.md, and the reasons of survivors that need no test (explained.yml)."""

from __future__ import annotations

import dataclasses
import datetime
import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Optional

from tests.mutation.workspace import FOLDER, Mutant
from tests.support.command import ROOT

PAGE = ROOT / "docs/development/mutation.md"
EXPLAINED = Path(__file__).with_name("explained.yml")
_KEPT = FOLDER / "outcomes.json"

_INTRODUCTION = """\
<!--
Copyright (c) 2026, ocne.images contributors
GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Mutation

Would the unit tests notice a mistake? `mutmut` makes one, a mutant, in a copy of the code: another operator, number, condition, argument
or value. A sample of the mutants of each module that decides, plans, knows a format, or keeps a journal is tried with the unit tests that
reach the changed function. Mutants that fail a test, or do not end, are killed. The others show what no unit test looks at.

Left out: mutants of a message's words, and of functions that no unit test calls. Those are tested by integration: real disks,
registries, clusters. What broken editors of disks do there: `tests/integration/disk/mutants.py`.

This page is made by the program that tries them; a reason is in `tests/mutation/explained.yml`.
"""


@dataclass
class Outcome:
    """Of a module: how many mutants there are, in how many a unit test calls the function, the sample, and who of it survived."""

    module: str
    mutants: int
    reached: int
    tried: list[Mutant]
    survivors: list[Mutant]


@cache
def reasons() -> dict[tuple[str, str, str, str], str]:
    """Why a survivor needs no test, by module, function, and the change."""
    yaml = importlib.import_module("yaml")  # the system's Python may lack it
    entries = yaml.safe_load(EXPLAINED.read_text()) or []
    return {(entry["module"], entry["function"], entry["was"], entry["becomes"]): entry["why"] for entry in entries}


def reason(mutant: Mutant) -> Optional[str]:
    return reasons().get((mutant.module, mutant.function, mutant.was, mutant.becomes))


def keep(seed: int, sample: int, outcomes: Sequence[Outcome]) -> None:
    """Remember a run, for load()."""
    content = {"seed": seed, "sample": sample, "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes]}
    _KEPT.write_text(json.dumps(content, indent=1))


def load() -> tuple[int, int, list[Outcome]]:
    """The last run: seed, size of the samples, and what came out."""
    content = json.loads(_KEPT.read_text())
    outcomes = [Outcome(**each) for each in content["outcomes"]]
    for outcome in outcomes:
        for mutants in (outcome.tried, outcome.survivors):
            mutants[:] = [Mutant(**each) for each in mutants]  # type: ignore[arg-type]
    return content["seed"], content["sample"], outcomes


def write(outcomes: Sequence[Outcome], options: str, date: datetime.date) -> None:
    PAGE.write_text(render(outcomes, options, date))


def render(outcomes: Sequence[Outcome], options: str, date: datetime.date) -> str:
    lines = [_INTRODUCTION, f"`python -m tests.mutation {options} --write`, {date.isoformat()}:", ""]
    lines += [
        "| module | mutants | unit tests reach | tried | killed | survived | of these explained |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_row(f"`{outcome.module}`", [outcome]) for outcome in outcomes]
    lines += [_row("all", outcomes), ""]
    for title, explained in (("Survivors without a reason", False), ("Survivors, and why they need no test", True)):
        found = [mutant for outcome in outcomes for mutant in outcome.survivors if (reason(mutant) is not None) is explained]
        if found:
            lines += [f"## {title}", "", "| function | change | why |", "| --- | --- | --- |"]
            lines += [_survivor(mutant) for mutant in found]
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _row(name: str, outcomes: Sequence[Outcome]) -> str:
    tried, survivors = sum(len(outcome.tried) for outcome in outcomes), [mutant for outcome in outcomes for mutant in outcome.survivors]
    explained = sum(reason(mutant) is not None for mutant in survivors)
    numbers = (sum(outcome.mutants for outcome in outcomes), sum(outcome.reached for outcome in outcomes))
    cells = (*numbers, tried, tried - len(survivors), len(survivors), explained)
    return f"| {name} | {' | '.join(str(cell) for cell in cells)} |"


def _survivor(mutant: Mutant) -> str:
    return f"| `{mutant.module}`: `{mutant.function}` | {_code(mutant.was)} becomes {_code(mutant.becomes)} | {reason(mutant) or ''} |"


def _code(text: str) -> str:
    """Text as code in a cell of a table."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}".replace("|", "\\|") if text else "nothing"
