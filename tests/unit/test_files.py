# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names that change places, and what killed runs leave beside a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._files import exchange, locked, partial_path, remove_leftovers


def test_folders_take_each_others_name(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one/other").exists() and (tmp_path / "other/one").exists()


def test_a_name_that_is_not_there_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_a_killed_run_left_is_removed(tmp_path: Path, is_folder: bool) -> None:
    dest = tmp_path / "image"
    dest.touch()
    partial = partial_path(dest)
    partial.mkdir() if is_folder else partial.touch()
    (tmp_path / ".image.lock").write_text("1\n")
    remove_leftovers(dest)
    assert list(tmp_path.iterdir()) == [dest]


def test_what_a_run_at_work_has_is_left_alone(tmp_path: Path) -> None:
    dest = tmp_path / "image"
    with locked(dest, 0):
        partial_path(dest).touch()
        lock = tmp_path / ".image.lock"
        with subprocess.Popen(["flock", lock, "true"]) as other:  # waits: it is locked
            remove_leftovers(dest)
            assert partial_path(dest).exists() and lock.exists()
            other.kill()


def test_where_nothing_is_left_nothing_is_made(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "image")
    assert list(tmp_path.iterdir()) == []
