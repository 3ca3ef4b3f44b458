# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module tells how far it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _progress
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import silent
from ansible_collections.ocne.images.plugins.module_utils._progress import VARIABLE, Reporter, State, reporting


def _told(path: Path) -> Optional[State]:
    return State.decode(path.read_text())


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "tmp/progress"))
    return tmp_path / "tmp/progress"


def test_the_file_says_what_is_being_done_and_is_gone_afterwards(path: Path) -> None:
    with reporting() as progress:
        assert _told(path) == State(os.getpid(), "starting", 0, None)
        progress("uploading", 5, 10)
        assert _told(path) == State(os.getpid(), "uploading", 5, 10)
        progress("at", 0, None)  # shorter than what is there
        assert _told(path) == State(os.getpid(), "at", 0, None)
    assert list(path.parent.iterdir()) == []


def test_the_file_is_gone_after_a_failure(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), reporting():
        raise ZeroDivisionError
    assert not path.exists()


def test_only_its_owner_can_read_it(path: Path) -> None:
    with reporting():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_programs_that_are_started_are_not_listened_to(path: Path) -> None:
    with reporting():
        assert VARIABLE not in os.environ


def test_a_path_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("~/one", "$HOME/two"):
        monkeypatch.setenv(VARIABLE, name)
        with reporting():
            assert (tmp_path / name.rpartition("/")[2]).exists()


def test_what_is_there_already_is_not_written_to(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "another's")
    with reporting() as progress:
        assert progress is silent
    assert path.is_symlink() and not (tmp_path / "another's").exists()


def test_without_a_listener_there_is_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with reporting() as progress:
        assert progress is silent


def test_a_full_disk_does_not_end_the_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with reporting() as progress:
        monkeypatch.setattr(_progress.os, "pwrite", full)
        progress("uploading", 5, 10)


def test_it_is_written_no_more_often_than_it_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, writes, pwrite = [0.0], list[int](), os.pwrite
    with Reporter(path, lambda: now[0]) as reporter:
        monkeypatch.setattr(_progress.os, "pwrite", lambda *arguments: writes.append(pwrite(*arguments)))
        for done in range(1000):
            now[0] = done / 1000
            reporter("copying", done, 1000)
        assert len(writes) == 2
        reporter("copying", 1000, 1000)  # the last of something is told
        reporter("importing", 0, None)  # and what is new
        assert len(writes) == 4


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "activity": "a", "done": "b", "total": null}', "cat: no such file\n"])
def test_what_is_no_state_is_none(text: str) -> None:
    assert State.decode(text) is None


def test_a_longer_line_below_a_shorter_one_is_not_read() -> None:
    state = State(1, "a", 2, 3)
    assert State.decode(state.encode().decode() + '"done": 4}\n') == state
