# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as ansible sees it: under ansible_collections/ocne/images, from wherever the checkout lies."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from tests.support.command import CACHE, ROOT, run


def collections_path() -> Path:
    """A folder for ANSIBLE_COLLECTIONS_PATH in which the collection is this checkout, as it is now."""
    # Checkouts may share their cache.
    folder = CACHE / "collections" / hashlib.sha256(os.fsencode(ROOT)).hexdigest()[:8]
    link = folder / "ansible_collections/ocne/images"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        temporary = link.with_name(f"images.{os.getpid()}")
        temporary.symlink_to(ROOT)
        temporary.replace(link)
    return folder


def copy_tree(collections: Path) -> Path:
    """Copy the project's files, committed or not, to collections/ansible_collections/ocne/images, a git repository of its
    own; that folder.
    """
    target = collections / "ansible_collections/ocne/images"
    shutil.rmtree(target, ignore_errors=True)
    names = run("git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy, follow_symlinks=False)
    run("git", "init", "--quiet", cwd=target)
    run("git", "add", "--all", cwd=target)
    return target
