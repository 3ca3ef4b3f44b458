# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of faults: its table is between two marks, and nobody writes it but this."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tests.integration.faults.campaign import ENDED, FAILED, WENT_ON, Outcome
from tests.integration.faults.faults import FAULTS
from tests.support.command import ROOT

PAGE = ROOT / "docs/development/faults.md"
_COLUMNS = ("fault", "step", "injected", WENT_ON, FAILED, ENDED, "and something was wrong")
_BEGIN, _END = "<!-- made by python -m tests.integration.faults -->\n", "<!-- end -->\n"


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """A row for each fault and step, in their order."""
    outcomes = list(outcomes)
    rows: list[Sequence[object]] = [_COLUMNS, ["---"] * len(_COLUMNS)]
    for fault in FAULTS:
        for step in fault.steps:
            rows.append((fault.name, step, *_counts([each for each in outcomes if (each.fault, each.step) == (fault.name, step)])))
    rows.append(("all", "", *_counts(outcomes)))
    return [f"| {' | '.join(map(str, row))} |" for row in rows]


def _counts(outcomes: Sequence[Outcome]) -> list[int]:
    ends = [sum(each.ended == end for each in outcomes) for end in (WENT_ON, FAILED, ENDED)]
    return [len(outcomes), *ends, sum(bool(each.problems) for each in outcomes)]


def rows_of_page() -> list[tuple[str, str]]:
    """Fault and step of each row that the page has."""
    _before, _begin, rest = PAGE.read_text().partition(_BEGIN)
    lines = rest.partition(_END)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [(row[0], row[1]) for row in cells[2:-1]]


def write(outcomes: Sequence[Outcome], how: str) -> None:
    """Put the table into the page. how: by which command, and when."""
    text = "\n".join((_BEGIN.strip(), "", how, "", *table(outcomes), "", _END))
    page = PAGE.read_text()
    PAGE.write_text(re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _match: text, page, flags=re.DOTALL))
