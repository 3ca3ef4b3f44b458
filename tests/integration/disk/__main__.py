# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proofs of the disk engine by hand, as root:

python -m tests.integration.disk fuzz FROM TO     a case for each seed
python -m tests.integration.disk damage COUNT     damaged disks: a refusal, or a sound edit
python -m tests.integration.disk log COUNT        logs that end at many places of their ring
python -m tests.integration.disk mutants          broken editors: each one has to be caught
python -m tests.integration.disk parsers COUNT    hostile input for all other parsers: a refusal, or a result that keeps its promises
python -m tests.integration.disk bombs            small images that unpack to 40 GiB, or to 10 million files: refusals
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

import tests.conftest  # makes the collection importable

assert tests.conftest

_UNSHARED = "OCNE_IMAGES_OWN_MOUNTS"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.disk", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm/ocne-images-disk"), help="for the disks of the cases")
    proofs = parser.add_subparsers(dest="proof", required=True)
    fuzz = proofs.add_parser("fuzz")
    fuzz.add_argument("first", type=int)
    fuzz.add_argument("end", type=int)
    fuzz.add_argument("--keep", action="store_true", help="leave the disks where they are")
    fuzz.add_argument("--until-failure", action="store_true", help="stop at the first case that fails")
    damage = proofs.add_parser("damage")
    damage.add_argument("count", type=int)
    damage.add_argument("--seed", type=int, default=0)
    log = proofs.add_parser("log")
    log.add_argument("count", type=int)
    log.add_argument("--seed", type=int, default=0)
    mutants = proofs.add_parser("mutants")
    mutants.add_argument("--only", default="", help="those whose name contains this")
    parsers = proofs.add_parser("parsers")
    parsers.add_argument("count", type=int, help="for each family of tests/support/parser_fuzz.py")
    parsers.add_argument("--seed", type=int, default=0, help="the first one")
    parsers.add_argument("--only", default="", help="families whose name contains this")
    proofs.add_parser("bombs")
    given = vars(parser.parse_args())
    if os.geteuid():
        parser.error("this needs root, for loop devices and mounts")
    if _UNSHARED not in os.environ:
        # Another process that copies the mount namespace would keep our filesystems mounted after we unmount them.
        os.environ[_UNSHARED] = "1"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, "-m", "tests.integration.disk", *sys.argv[1:]])
    status: int = importlib.import_module(f"tests.integration.disk.{given.pop('proof')}").main(**given)
    return status


sys.exit(main())
