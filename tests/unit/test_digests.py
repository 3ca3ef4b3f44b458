# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _digests
from ansible_collections.ocne.images.plugins.module_utils._digests import known_sha256, remembering
from ansible_collections.ocne.images.plugins.module_utils._files import file_sha256


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A file that was written long ago, as far as the code under test knows."""
    path = tmp_path / "disk.qcow2"
    path.write_bytes(b"a disk")
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read."""
    found: list[Path] = []

    def reading(path: Path, *_arguments: object) -> str:
        found.append(path)
        return file_sha256(path)

    monkeypatch.setattr(_digests, "file_sha256", reading)
    monkeypatch.setattr(_digests, "_SETTLED_NS", -(10**9))
    return found


def run(path: Path, cache: Path, keep: bool = True) -> str:
    with remembering(cache, keep):
        return known_sha256(path)


def test_a_file_is_read_once(disk: Path, tmp_path: Path, reads: list[Path]) -> None:
    digests = {run(disk, tmp_path / "cache") for _run in range(3)}
    assert digests == {file_sha256(disk)}
    assert reads == [disk]


def _write(path: Path) -> None:
    path.write_bytes(b"A disk")


def _write_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    _write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(path: Path) -> None:
    other = path.with_name("other")
    _write(other)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [_write, _write_and_set_the_time_back, _replace])
def test_changed_content_is_noticed(disk: Path, tmp_path: Path, reads: list[Path], change: Callable[[Path], None]) -> None:
    before = run(disk, tmp_path / "cache")
    time.sleep(0.05)  # longer than a tick of the filesystem's clock
    change(disk)
    assert run(disk, tmp_path / "cache") == file_sha256(disk) != before


def test_another_file_is_not_taken_for_it(disk: Path, tmp_path: Path, reads: list[Path]) -> None:
    link = tmp_path / "link"
    link.symlink_to(disk)
    hard = tmp_path / "hard"
    os.link(disk, hard)
    run(disk, tmp_path / "cache")
    run(link, tmp_path / "cache")
    assert reads == [disk]  # what a link leads to is the same file
    run(hard, tmp_path / "cache")
    assert reads == [disk, hard]


def test_a_file_that_was_just_written_is_not_remembered(disk: Path, tmp_path: Path) -> None:
    run(disk, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_file_that_changes_while_it_is_read_is_not_remembered(
    disk: Path, tmp_path: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(path: Path, *_arguments: object) -> str:
        digest = file_sha256(path)
        path.write_bytes(b"a longer disk")
        return digest

    monkeypatch.setattr(_digests, "file_sha256", changing)
    run(disk, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_check_mode_uses_what_is_remembered_and_writes_nothing(disk: Path, tmp_path: Path, reads: list[Path]) -> None:
    run(disk, tmp_path / "cache", keep=False)
    assert not (tmp_path / "cache").exists()
    run(disk, tmp_path / "cache")
    run(disk, tmp_path / "cache", keep=False)
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "null", "[]", "3", "{}", '{"sha256": null}', '{"sha256": "a"}'])
def test_what_is_no_digest_of_ours_is_ignored(disk: Path, tmp_path: Path, reads: list[Path], text: str) -> None:
    run(disk, tmp_path / "cache")
    (remembered,) = (tmp_path / "cache/digests").iterdir()
    remembered.write_text(text)
    assert run(disk, tmp_path / "cache") == file_sha256(disk)


def test_a_cache_that_cannot_be_written_is_no_failure(disk: Path, tmp_path: Path, reads: list[Path]) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    assert run(disk, tmp_path / "cache") == file_sha256(disk)
