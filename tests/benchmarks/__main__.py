# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what the collection does beside its peers, all of it or by name.

    python -m tests.benchmarks [--write] [--resume] [--small] [--folder DIR] [NAME ...]

It installs what it needs, as ./run-tests does, and takes root (or sudo) for disks and a cluster. Each table is printed; with --write each
section of docs/benchmarks.md is replaced as soon as it has been measured. Where a benchmark fails, the others go on.
"""

from __future__ import annotations

import argparse
import datetime
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import page
from tests.support import machine


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(page.TITLES)} (default: all)")
    parser.add_argument("--write", action="store_true", help="replace the sections of docs/benchmarks.md")
    parser.add_argument("--resume", action="store_true", help="leave out those whose section is of today")
    parser.add_argument("--small", action="store_true", help="with small subjects, to see that it works; the figures say little")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(page.TITLES))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}")
    if options.small and options.write:
        parser.error("small subjects are nothing for the page")
    machine.go_on_in(machine.tests_venv(), "tests.benchmarks", arguments)
    # What is measured starts processes that have to end with it; a shell starts what runs in its background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit("ended by SIGTERM"))
    failed = [name for name in options.names or page.TITLES if not _measure(name, options)]
    if failed:
        print(f"These failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, options: argparse.Namespace) -> bool:
    """Whether it could be measured."""
    benchmark, today = page.benchmark(name), datetime.date.today()
    if options.resume and page.measured_on(page.PAGE.read_text(), name) == today.isoformat():
        return True
    machine.say(f"measure: {page.TITLES[name]}")
    try:
        machine.install_packages(benchmark.purposes)
        before = page.load()
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", dir=options.folder) as folder:
            measured = benchmark.measure(Path(folder), options.small)
    except Exception:
        traceback.print_exc()
        return False
    section = page.section(name, benchmark, measured, page.Circumstances(today, page.machine(), before, page.load()))
    print(section, flush=True)
    if options.write:
        page.PAGE.write_text(page.replace(page.PAGE.read_text(), name, section))
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
