# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Galaxy and Automation Hub would take the collection: their own importer reads it, and has nothing to say."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.collection import copy_tree
from tests.support.command import run

# It runs ansible-lint, too, which test_style does by itself.
CONFIGURATION = "[galaxy-importer]\nrun_ansible_lint = False\nrun_flake8 = False\n"
# Each line of tests/sanity/ignore-*.txt says why it is there.
KNOWN = "WARNING: Ignore files skip ansible-test sanity tests"


def test_galaxy_importer_takes_the_collection(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    environment = {"GALAXY_IMPORTER_CONFIG": str(tmp_path / "importer.cfg"), "HOME": str(tmp_path), "NO_COLOR": "1"}
    (tmp_path / "importer.cfg").write_text(CONFIGURATION)
    run("ansible-galaxy", "collection", "build", "--output-path", tmp_path, tree, env=environment)
    (tarball,) = tmp_path.glob("ocne-images-*.tar.gz")
    printed = run(sys.executable, "-m", "galaxy_importer.main", tarball, env=environment, cwd=tmp_path)
    assert not [line for line in printed.splitlines() if line.startswith(("WARNING", "ERROR")) and not line.startswith(KNOWN)]
    assert "Importer processing completed successfully" in printed
