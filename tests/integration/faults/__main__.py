# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The campaign of faults by hand, as root: each fault, in each step it is for, at so many moments.

python -m tests.integration.faults --rounds 5 --seed 1 [--only 'power loss'] [--write]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

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
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    options = parser.parse_args()
    if os.geteuid():
        parser.error("this needs root, for mounts")
    if _UNSHARED not in os.environ:
        # Another process that copies the mount namespace would keep our filesystems mounted after we unmount them.
        os.environ[_UNSHARED] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-m", "tests.integration.faults", *sys.argv[1:]])
    from tests.integration.faults import table
    from tests.integration.faults.campaign import Outcome, campaign

    outcomes: list[Outcome] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ocne-images-faults-") as name:
        for outcome in campaign(Path(name), options.rounds, options.seed, options.only):
            outcomes.append(outcome)
            print(f"{time.monotonic() - began:.0f} s: {outcome.seed}: {outcome.ended} {outcome.message[:120]}", flush=True)
            for problem in outcome.problems:
                print(f"    WRONG: {problem}", flush=True)
    print("\n".join(table.table(outcomes)))
    if options.write:
        arguments = f"python -m tests.integration.faults --rounds {options.rounds} --seed {options.seed}"
        table.write(outcomes, f"`{arguments}`, {time.strftime('%d %B %Y')}:")
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
