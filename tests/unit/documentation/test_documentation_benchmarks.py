# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/benchmarks.md is what the benchmarks write: their sections, with their comments and columns."""

from __future__ import annotations

import datetime

import pytest

from tests.benchmarks import page
from tests.benchmarks.benchmark import Table

WHEN = page.Circumstances(datetime.date(2026, 11, 24), "2 cores", "0.1", "1.2")


def test_the_page_has_a_section_for_each_benchmark_in_order() -> None:
    assert list(page.sections(page.PAGE.read_text())) == [*page.TITLES.values(), page.BY_HAND]


@pytest.mark.parametrize("name", page.TITLES)
def test_a_section_is_as_its_benchmark_makes_it(name: str) -> None:
    benchmark = page.benchmark(name)
    section = page.sections(page.PAGE.read_text())[page.TITLES[name]]
    empty = page.section(name, benchmark, Table("nothing", []), WHEN)
    comment, _told, table = empty.split("\n\n")[1:]
    assert section.split("\n\n")[1] == comment
    header, line = table.splitlines()
    rows = section.split("\n\n")[3].splitlines()
    assert rows[:2] == [header, line]
    assert rows[2:] or page.UNMEASURED in section
    assert all(row.count(" | ") == header.count(" | ") for row in rows[2:])


def test_a_section_that_is_measured_again_takes_its_place_and_leaves_the_others() -> None:
    text = page.PAGE.read_text()
    new = page.section("push", page.benchmark("push"), Table("an archive", [("ours", "1.00", "1.00")]), WHEN)
    replaced = page.replace(text, "push", new)
    assert page.measured_on(replaced, "push") == "2026-11-24"
    before, after = page.sections(text), page.sections(replaced)
    assert after == {**before, page.TITLES["push"]: new}
    assert list(after) == list(before)
    assert page.replace(replaced, "push", new) == replaced


def test_a_section_that_was_not_there_comes_to_its_place() -> None:
    text = page.PAGE.read_text()
    without = text.replace(page.sections(text)["Push"], "")
    assert page.measured_on(without, "push") == ""
    assert page.replace(without, "push", page.sections(text)["Push"]) == text
    assert page.sections(page.replace(without, "edit", page.sections(text)["Edit of a boot disk"]))["Push"] == page.unmeasured("push")


def test_a_section_of_no_benchmark_goes() -> None:
    text = page.PAGE.read_text()
    assert page.replace(text + "\n## Another\n\nIt was once measured.\n", "push", page.sections(text)["Push"]) == text
