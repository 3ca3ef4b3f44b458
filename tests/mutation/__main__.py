# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mutation of the pure parts, by mutmut: a sample of the changes that can be made to each, tried with the unit tests that reach it.

    python -m tests.mutation [--seed 9] [--sample 12] [--again] [--write] [MODULE ...]

A mutant that survives has its reason in explained.yml, or lacks a test: it is printed. With --write, docs/development/mutation.md is
made anew. Run as the tests are (Python with this checkout's requirements is made in .cache/venvs/mutation); a full run takes about
half an hour on one core. tests/integration/disk/mutants.py has what is tried on real disks.
"""

from __future__ import annotations

import argparse
import datetime
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation import page, workspace
from tests.mutation.workspace import MutatedModule
from tests.support import machine

#: What decides, plans, reads and writes formats, or keeps a journal, in plugins/module_utils.
MODULES = (
    "_builder/prune.py",
    "_cluster/existing.py",
    "_cluster/libvirt/domain.py",
    "_cluster/libvirt/ignition.py",
    "_cluster/libvirt/kubeadm.py",
    "_cluster/libvirt/manifests.py",
    "_cluster/made.py",
    "_cluster/receipts.py",
    "_containers/access.py",
    "_containers/description.py",
    "_containers/destination.py",
    "_containers/failures.py",
    "_containers/manifest.py",
    "_containers/oci_layout.py",
    "_containers/reference.py",
    "_digests.py",
    "_imagebuild/boot_entry.py",
    "_imagebuild/conversion.py",
    "_imagebuild/disk/fat.py",
    "_imagebuild/disk/gpt.py",
    "_imagebuild/disk/image.py",
    "_imagebuild/disk/qcow2_header.py",
    "_imagebuild/disk/xfs/btree.py",
    "_imagebuild/disk/xfs/directory.py",
    "_imagebuild/disk/xfs/dirlayout.py",
    "_imagebuild/disk/xfs/extents.py",
    "_imagebuild/disk/xfs/log.py",
    "_imagebuild/disk/xfs/records.py",
    "_imagebuild/disk/xfs/space.py",
    "_imagebuild/disk/xfs/superblock.py",
    "_imagebuild/layout.py",
    "_imagebuild/ostree/encapsulated.py",
    "_imagebuild/ostree/gvariant.py",
    "_imagebuild/ostree/layer_writer.py",
    "_imagebuild/ostree/nginx_configuration.py",
    "_imagebuild/ostree/objects.py",
    "_imagebuild/ostree/repository_facts.py",
    "_imagebuild/tarstream.py",
    "_kubernetes/diagnosis.py",
    "_kubernetes/manifest.py",
    "_kubernetes/receipts.py",
    "_kubernetes/room.py",
    "_kubernetes/transfer.py",
    "_module.py",
    "_oci/artefact.py",
    "_oci/capabilities.py",
    "_oci/images.py",
    "_oci/importing.py",
    "_oci/journal.py",
    "_oci/metadata.py",
    "_oci/present.py",
    "_oci/undo.py",
    "_platform.py",
    "_record.py",
    "_retention.py",
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="paths in plugins/module_utils, as in the page (default: all of it)")
    parser.add_argument("--seed", type=int, default=9, metavar="N", help="of the choice of mutants")
    parser.add_argument("--sample", type=int, default=12, metavar="N", help="mutants to try of each module")
    parser.add_argument("--again", action="store_true", help="try those that survived the last time, with the tests as they are now")
    parser.add_argument("--write", action="store_true", help=f"make {page.PAGE.relative_to(machine.ROOT)} anew")
    options = parser.parse_args(arguments)
    # As ./run-tests does: what a shell starts in its background would ignore this signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if options.write and options.modules:
        parser.error("the page is of all modules")
    unknown = sorted(set(options.modules) - set(MODULES))
    if unknown:
        parser.error(f"not among the modules that are mutated: {', '.join(unknown)}")
    # It has mutmut, and the tests' packages for them.
    files = ("requirements.txt", "tests/requirements.txt", "tests/mutation/requirements.txt")
    requirements = [word for name in files for word in ("-r", str(machine.ROOT / name))]
    venv = machine.make_venv("mutation", machine.controller(machine.CORES[-1]), requirements)
    machine.install_packages(["container images"])
    machine.go_on_in(venv, "tests.mutation", arguments)
    if options.again:
        workspace.renew_tests()
        seed, sample, outcomes = page.load()
    else:
        seed, sample, modules = options.seed, options.sample, options.modules or MODULES
        workspace.prepare(modules)
        # mutmut makes all mutants, and learns which test reaches which function, before it tries the first.
        workspace.run(venv / "bin/mutmut", [f"*.{modules[0].removesuffix('.py').replace('/', '.')}.*__mutmut_1"])
        outcomes = _choose(modules, seed, sample)
    _try(venv / "bin/mutmut", outcomes)
    page.keep(seed, sample, outcomes)
    for outcome in outcomes:
        print(f"{outcome.module}: {len(outcome.tried)} tried, {len(outcome.survivors)} survived", flush=True)
        for mutant in outcome.survivors:
            print(f"    {page.reason(mutant) or 'UNEXPLAINED'}: {mutant.function}\n        - {mutant.was}\n        + {mutant.becomes}")
    if options.write:
        page.write(outcomes, f"--seed {seed} --sample {sample}", datetime.date.today())
    return 1 if any(page.reason(mutant) is None for outcome in outcomes for mutant in outcome.survivors) else 0


def _choose(modules: Sequence[str], seed: int, sample: int) -> list[page.Outcome]:
    """A sample of each module's mutants, of those that a unit test reaches; nobody of it has been killed yet."""
    tested, found = workspace.tested_functions(), []
    for name in modules:
        mutants = [mutant for mutant in MutatedModule(name).mutants() if not mutant.wording]
        reached = [mutant for mutant in mutants if mutant.name.partition("__mutmut_")[0] in tested]
        chosen = random.Random(f"{seed} {name}").sample(reached, min(sample, len(reached)))
        found.append(page.Outcome(name, len(mutants), len(reached), chosen, list(chosen)))
    return found


def _try(mutmut: Path, outcomes: Sequence[page.Outcome]) -> None:
    """See who of the survivors still survives."""
    workspace.run(mutmut, [mutant.name for outcome in outcomes for mutant in outcome.survivors])
    for outcome in outcomes:
        codes = MutatedModule(outcome.module).results()
        untried = [mutant.name for mutant in outcome.survivors if codes[mutant.name] in workspace.UNTRIED]
        if untried:
            raise SystemExit(f"mutmut has not tried {', '.join(untried)}: see {workspace.FOLDER / 'output.txt'}.")
        outcome.survivors = [mutant for mutant in outcome.survivors if codes[mutant.name] == 0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
