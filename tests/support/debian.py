# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian root file systems for containers, from the mirrors that this machine uses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.support.command import as_root, run

# A systemd newer than bookworm's refuses hosts with version 1 of control groups, unless it is told.
SUITE = "bookworm"
#: What nothing in a container reads.
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


def bootstrap(packages: Sequence[str], output: Path, *options: str, suite: str = SUITE) -> None:
    """Install these packages and what they need into a folder, or into a tar where the name ends so.

    :param options: further options of mmdebstrap.
    :param suite: of which release of Debian.
    """
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    command += ["--aptopt=APT::Install-Recommends false", *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT), *options]
    run(*as_root([*command, suite, output, "-"]), stdin=_sources(suite))


def _sources(suite: str) -> str:
    """The mirrors of this machine, in whichever way they are written down."""
    mirrors = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    security = [mirror for mirror in mirrors if re.search("security", mirror)]
    others = [mirror for mirror in mirrors if mirror not in security]
    if not others:
        raise RuntimeError("apt knows no mirror: run apt-get update")
    lines = [f"deb {others[0]} {suite} main"] + ([f"deb {security[0]} {suite}-security main"] if security else [])
    return "".join(f"{line}\n" for line in lines)
