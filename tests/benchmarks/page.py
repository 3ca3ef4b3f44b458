# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page docs/benchmarks.md: a section for each benchmark, made when that was measured, and what people have written below."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Table
from tests.support.command import ROOT

PAGE = ROOT / "docs/benchmarks.md"
#: The benchmarks, each a module here, and the headings of their sections, in order.
TITLES = {
    "conversion": "From a registry to a boot image",
    "edit": "Edit of a boot disk",
    "upload": "Packaging and upload",
    "playbook": "The whole playbook, and the same again",
    "push": "Push",
    "archive": "Archive of an ostree container",
    "transfer": "Bytes out of a pod, and into it",
    "targets": "Several targets at once",
}
#: The heading of what is not measured by a program; all below it is kept as it is.
BY_HAND = "What was learned from profiles"
UNMEASURED = "Not measured yet."

_INTRODUCTION = """\
# Benchmarks

Each section is written by the program that measures, `python -m tests.benchmarks --write`; only the last one is by hand. What is compared
is measured in the same run, on the same machine. Times are in seconds.
"""


def benchmark(name: str) -> Benchmark:
    """It needs the tests' environment."""
    found: Benchmark = importlib.import_module(f"tests.benchmarks.{name}").BENCHMARK
    return found


def machine() -> str:
    """This machine in words."""
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    version = Path("/etc/debian_version").read_text().strip() if release.get("ID") == "debian" else release.get("VERSION_ID", "")
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cores = f"{len(os.sched_getaffinity(0))} cores of {model[1] if model else platform.machine()}"
    return f"{cores}, {memory:.0f} GiB, {release.get('NAME', 'Linux')} {version}, Python {platform.python_version()}"


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


@dataclass(frozen=True)
class Circumstances:
    """When and where something was measured."""

    date: datetime.date
    machine: str
    load_before: str
    load_after: str


def section(name: str, made_by: Benchmark, measured: Table, when: Circumstances) -> str:
    where = f"{when.machine}; load average {when.load_before} at the start, {when.load_after} at the end."
    told = f"`python -m tests.benchmarks {name} --write`, {when.date.isoformat()}: {measured.subject}. {where}"
    return _section(name, made_by, told, measured.rows)


def unmeasured(name: str) -> str:
    """The section of a benchmark that nobody has run."""
    return _section(name, benchmark(name), UNMEASURED, [])


def _section(name: str, made_by: Benchmark, told: str, rows: Sequence[Sequence[str]]) -> str:
    return f"## {TITLES[name]}\n\n{made_by.comment}\n\n{told}\n\n{_table(made_by.columns, rows)}\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def sections(text: str) -> dict[str, str]:
    """The page's sections by their headings, which are part of them."""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0][3:]: part.rstrip("\n") + "\n" for part in parts}


def measured_on(text: str, name: str) -> str:
    """The date of a section, as it is written there; '' where there is none."""
    found = re.search(r"--write`, (\d{4}-\d\d-\d\d): ", sections(text).get(TITLES[name], ""))
    return found[1] if found else ""


def replace(text: str, name: str, new: str) -> str:
    """The page with this section in its place, and all that it has to have. Sections of no benchmark go, but for what is by hand."""
    found = {**sections(text), TITLES[name]: new}
    measured = [found.get(title) or unmeasured(each) for each, title in TITLES.items()]
    return "\n".join([_INTRODUCTION, *measured, found[BY_HAND]])
