# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tests, tier by tier, after it has installed what they need.

Tiers are folders of tests/; each runs alone, and one that cannot run on this machine says why. In CI (CI=true) nothing may
be left out: a tier that cannot run, or a test that is skipped, is a failure there.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.support import machine
from tests.support.machine import ROOT, SetupError, say

RESULTS = ROOT / ".cache/results"


@dataclass(frozen=True)
class Tier:
    """A kind of tests.

    :param folder: where they lie.
    :param purposes: of the packages that they need (machine.PACKAGES).
    :param spread: pytest-xdist's options, where several processes run them at a time.
    :param as_root: whether they need root (through sudo where the user is not).
    :param cluster: whether they share a cluster of kind. It is made before them, and removed when all tiers have run.
    :param by_name: run only where it is asked for: these tests build an image of many packages, or want the machine for themselves.
    :param limit: seconds after which a test hangs.
    """

    folder: str
    purposes: tuple[str, ...] = ()
    spread: tuple[str, ...] = ()
    as_root: bool = False
    cluster: bool = False
    by_name: bool = False
    limit: int = 900


TIERS = {
    "unit": Tier("tests/unit", ("container images",), spread=("-n2",)),
    "sanity": Tier("tests/sanity", ("linting of shell scripts",), spread=("-n2",)),
    "integration": Tier(
        "tests/integration",
        (
            "sample disks",
            "container images",
            "a registry",
            "archive containers",
            "a host over SSH",
            "a host with systemd",
            "the engine guestfs",
            "the disk engine",
            "faults at system calls",
        ),
        spread=("-n2", "--dist=loadfile"),  # what a file's tests share is made once
        as_root=True,
    ),
    "boot": Tier("tests/boot", ("sample disks", "virtual machines", "a disk that boots"), as_root=True, by_name=True, limit=1800),
    # Before a cluster of kind runs: it would take part of what an emulated processor needs.
    "libvirt": Tier("tests/libvirt", ("sample disks", "container images", "virtual machines"), as_root=True, limit=3600),
    "cluster": Tier(
        "tests/cluster",
        ("sample disks", "container images", "a registry", "images for builds on a cluster", "a cluster"),
        as_root=True,
        cluster=True,
    ),
    "molecule": Tier("tests/molecule", as_root=True, cluster=True),
    "image": Tier("tests/image", ("sample disks", "a registry", "archive containers", "a host with systemd"), as_root=True, by_name=True),
}


@dataclass
class Count:
    """Results of tests."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Count) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def main(arguments: Sequence[str]) -> int:
    # A shell starts what runs in its background with this signal ignored, which the programs under test would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit("ended by SIGTERM"))
    tiers, pytest_arguments = _parse(arguments)
    total = Count()
    try:
        for name in tiers:
            say(f"tier {name}")
            started = time.monotonic()
            try:
                count = _run_tier(name, TIERS[name], pytest_arguments)
            except SetupError as error:
                print(f"TIER {name.upper()} CANNOT RUN HERE: {error}", flush=True)
                count = Count(failed=1)
            seconds = time.monotonic() - started
            say(f"tier {name}: {count.passed} passed, {count.failed} failed, {count.skipped} skipped in {seconds:.0f} s")
            total.add(count)
    finally:
        if any(TIERS[name].cluster for name in tiers) and machine.can_be_root():
            _cluster("down")
    if os.environ.get("CI") and total.skipped:
        print(f"{total.skipped} tests were skipped. In CI that is a failure.", flush=True)
        total.failed, total.skipped = total.failed + total.skipped, 0
    print(f"{total.passed} passed, {total.failed} failed" + (f", {total.skipped} skipped" if total.skipped else ""), flush=True)
    return 1 if total.failed or not total.passed else 0


def _parse(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    existing = [name for name, tier in TIERS.items() if (ROOT / tier.folder).is_dir()]
    asked = [name for name in existing if TIERS[name].by_name]
    parser = argparse.ArgumentParser(prog="./run-tests", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "tiers",
        nargs="*",
        metavar="TIER",
        help=f"one or more of: {', '.join(existing)} (default: all but {' and '.join(asked)}); further arguments go to pytest",
    )
    options, _pytest_options = parser.parse_known_args(arguments)
    tiers = [word for word in options.tiers if word in TIERS]
    return tiers or [name for name in existing if name not in asked], [word for word in arguments if word not in tiers]


def _run_tier(name: str, tier: Tier, pytest_arguments: Sequence[str]) -> Count:
    machine.install_packages(tier.purposes)
    venv = machine.tests_venv()
    if tier.as_root and not machine.can_be_root():
        raise SetupError("it needs root, and sudo does not work without a password.")
    if tier.cluster:
        _cluster("up")
    count = _pytest(name, venv, tier, pytest_arguments)
    if name == "unit":
        oldest = min(version for version in machine.pythons() if version >= (3, 9))
        if oldest < sys.version_info[:2]:
            old = machine.oldest_venv(oldest)
            count.add(_pytest("unit-oldest", old, tier, pytest_arguments))
    return count


def _cluster(command: str) -> None:
    """Let the cluster come 'up' or go 'down'. This is no part of a test: a node image may have to be built first, which takes minutes."""
    words = _as_root([sys.executable, "-B", "-m", "tests.support.kind", command], {"PATH": os.environ["PATH"]})
    done = subprocess.run(words, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SetupError(f"there is no cluster of kind. {done.stderr.strip()[-3000:]}")


def _as_root(command: list[str], environment: Mapping[str, str]) -> list[str]:
    if os.geteuid() == 0:
        return command
    kept = {**environment, **{key: os.environ[key] for key in ("CI", "HOME") if key in os.environ}}
    return ["sudo", "-n", "--", "env", *(f"{key}={value}" for key, value in kept.items()), *command]


def _pytest(name: str, venv: Path, tier: Tier, arguments: Sequence[str]) -> Count:
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    command = [str(venv / "bin/python"), "-m", "pytest", f"--junitxml={report}", "-p", "no:cacheprovider"]
    command += ["--durations=15", f"--timeout={tier.limit}", *tier.spread]
    selected = [word for word in arguments if (ROOT / word.split("::")[0]).exists()]
    command += [*arguments, *([] if selected else [tier.folder])]
    environment = {
        "PATH": os.pathsep.join([str(venv / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if tier.as_root:
        command = _as_root(command, environment)
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, check=False).returncode
    if not report.exists():
        return Count(failed=1)
    suite = next(ElementTree.parse(report).iter("testsuite"))
    tests, failed, skipped = (
        int(suite.get("tests", 0)),
        int(suite.get("failures", 0)) + int(suite.get("errors", 0)),
        int(suite.get("skipped", 0)),
    )
    if status and not failed:
        failed = 1  # no test was collected, or pytest itself broke
    return Count(max(tests - failed - skipped, 0), failed, skipped)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
