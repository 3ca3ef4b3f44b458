# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""./quickstart: make the machine ready, then run the main jobs on made-up defaults (see demonstration.py)."""

from __future__ import annotations

import os
import sys

from tests.support import machine
from tests.support.machine import ROOT, SetupError, say


def main() -> None:
    try:
        machine.install_packages(("sample disks", "container images", "a registry", "the engine guestfs", "archive containers"))
        venv = machine.tests_venv()
        if not machine.can_be_root():
            raise SetupError(
                "Filesystems are mounted for the sample disk, and a container is run. "
                "That needs root, and sudo does not work without a password here."
            )
    except SetupError as error:
        sys.exit(f"This machine cannot be made ready: {error}")
    say("the machine is ready")
    os.environ["PATH"] = os.pathsep.join([str(venv / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
    os.chdir(ROOT)
    os.execv(venv / "bin/python", ["python", "-B", "-m", "tests.support.demonstration"])


if __name__ == "__main__":
    main()
