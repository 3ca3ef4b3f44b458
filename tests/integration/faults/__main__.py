# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The campaign of faults by hand, as root: each fault, in each step it is for, at so many moments.

python -m tests.integration.faults --rounds 5 --seed 1 [--only 'power loss'] [--write]
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

import tests.conftest  # makes the collection importable

assert tests.conftest

_UNSHARED = "OCNE_IMAGES_OWN_MOUNTS"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1, help="moments of each fault in each step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="faults and steps whose name contains this; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no injection after this time")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    if os.geteuid():
        parser.error("this needs root, for mounts")
    if _UNSHARED not in os.environ:
        # Another process that copies the mount namespace would keep our filesystems mounted after we unmount them.
        os.environ[_UNSHARED] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-m", "tests.integration.faults", *sys.argv[1:]])
    from tests.integration.faults import table
    from tests.integration.faults.campaign import Outcome

    queue: multiprocessing.Queue[Outcome] = multiprocessing.Queue()
    workers = [multiprocessing.Process(target=_work, args=(queue, options, number)) for number in range(options.jobs)]
    for worker in workers:
        worker.start()
    outcomes: list[Outcome] = []
    while any(worker.is_alive() for worker in workers) or not queue.empty():
        with contextlib.suppress(Empty):
            outcomes.append(outcome := queue.get(timeout=1))
            print(f"{outcome.seed}: {outcome.ended} {outcome.message[:120]}", flush=True)
            for problem in outcome.problems:
                print(f"    WRONG: {problem}", flush=True)
    print("\n".join(table.table(outcomes)))
    if options.write:
        table.write(outcomes, f"`python -m tests.integration.faults {' '.join(sys.argv[1:])}`, {time.strftime('%d %B %Y')}:")
    failed = any(outcome.problems for outcome in outcomes) or any(worker.exitcode for worker in workers)
    return 1 if failed else 0


def _work(queue: multiprocessing.Queue[Any], options: argparse.Namespace, number: int) -> None:
    from tests.integration.faults.campaign import campaign

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ocne-images-faults-") as name:
        for outcome in campaign(Path(name), options.rounds, options.seed, options.only, (number, options.jobs)):
            queue.put(outcome)
            if time.monotonic() - began > options.seconds:
                break


if __name__ == "__main__":
    sys.exit(main())
