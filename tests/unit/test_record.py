# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _files, _record
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

OPTIONS = {"provider": "oci", "kernel_arguments": ["quiet"]}


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    path = tmp_path / "boot.oci"
    path.write_bytes(b"an image")
    _record.write(path, _record.Record("sha256:a", OPTIONS, _record.describe(path, _files.file_sha256(path)), {"engine": "native"}))
    return path


def test_a_record_is_read_as_it_was_written(artefact: Path) -> None:
    record = _record.read(artefact)
    assert record and record.facts == {"engine": "native"}
    assert record.made_from("sha256:a", OPTIONS)
    assert not record.made_from("sha256:b", OPTIONS) and not record.made_from("sha256:a", {**OPTIONS, "provider": "olvm"})


def test_bytes_are_not_read_while_the_file_is_as_recorded(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_record, "_digest", lambda *_arguments: pytest.fail("the file was read"))
    assert _record.read(artefact)
    assert _record.known_sha256(artefact)


def test_another_time_costs_a_look_at_the_bytes(artefact: Path) -> None:
    os.utime(artefact, (1, 1))
    told: list[str] = []
    record = _record.read(artefact, lambda activity, _done, _total: told.append(activity))
    assert record and record.artefact.describes(artefact.stat()), "it is described as it is now"
    assert told
    told.clear()
    assert _record.known_sha256(artefact, lambda activity, _done, _total: told.append(activity)) == _files.file_sha256(artefact)
    assert told


def test_a_file_without_a_record_is_read_with_progress(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no artefact")
    told: list[str] = []
    assert _record.known_sha256(tmp_path / "file", lambda activity, _done, _total: told.append(activity))
    assert told


@pytest.mark.parametrize("content", [b"an imagE", b"an image and more", b""])
def test_other_bytes_are_no_artefact_of_ours(artefact: Path, content: bytes) -> None:
    artefact.write_bytes(content)
    assert _record.read(artefact) is None
    assert _record.known_sha256(artefact) == _files.file_sha256(artefact)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 2}', '{"version": 1, "source_digest": "x"}', '{"version": 1, "artefact": 3}']
)
def test_a_record_that_is_none_counts_as_none(artefact: Path, text: str) -> None:
    _record.record_path(artefact).write_text(text)
    assert _record.read(artefact) is None


def test_a_record_that_cannot_be_written_leaves_no_part_of_itself(artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = _record.read(artefact)
    assert record

    def refuse(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        _record.write(artefact, record)
    assert sorted(path.name for path in artefact.parent.iterdir()) == ["boot.oci", "boot.oci.build.json"]


def test_a_record_without_its_artefact_counts_as_none(artefact: Path) -> None:
    artefact.unlink()
    assert _record.read(artefact) is None


def test_a_record_appears_whole_and_leaves_no_other_file(artefact: Path) -> None:
    assert sorted(path.name for path in artefact.parent.iterdir()) == ["boot.oci", "boot.oci.build.json"]
    assert json.loads(_record.record_path(artefact).read_text())["version"] == _record.RECORD_VERSION


def test_one_run_at_a_time(tmp_path: Path) -> None:
    at_work: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with _files.locked(tmp_path / "dest", 30):
            at_work.append(number)
            most.append(len(at_work))
            at_work.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8
    assert list(tmp_path.iterdir()) == []


def test_who_does_not_wait_hears_who_is_at_work(tmp_path: Path) -> None:
    with _files.locked(tmp_path / "dest", 0), pytest.raises(OcneError, match=f"process {os.getpid()}"), _files.locked(tmp_path / "dest", 0):
        pass


def test_a_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), _files.locked(tmp_path / "dest", 0):
        raise ZeroDivisionError
    with _files.locked(tmp_path / "dest", 0):
        pass


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OcneError, match="cannot be written: No such file or directory"), _files.locked(tmp_path / "no/dest", 0):
        pass
