# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal survives any kill, and says nothing that is not so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._oci.journal import Journal, Part, journal_path, read_journal

PACKAGING = {"codec": "zlib 1", "size": 300}
PARTS = [Part(1, 0, 100, 60, "one==", 11), Part(2, 100, 250, 70, "two==", 22), Part(3, 250, 300, 5, "three==", 33)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin(PACKAGING, "upload-1")
    for part in PARTS:
        journal.add_part(part)
    return journal.path


def test_what_was_noted_is_read(path: Path) -> None:
    journal = read_journal(path)
    assert (journal.packaging, journal.upload_id, journal.parts) == (PACKAGING, "upload-1", PARTS)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", range(1, 90))
def test_line_that_was_cut_short_counts_as_not_written(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])
    journal = read_journal(path)
    assert journal.upload_id == "upload-1"
    assert journal.parts == PARTS[: len(journal.parts)]
    assert len(journal.parts) >= 1 or cut > 80


def test_journal_goes_on_after_a_line_that_was_cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])
    journal = read_journal(path)
    journal.resume()
    journal.add_part(PARTS[2])
    assert read_journal(path).parts == PARTS


def test_parts_that_do_not_follow_each_other_end_the_journal(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[1] + lines[3])
    assert read_journal(path).parts == PARTS[:1]


@pytest.mark.parametrize("text", ["", "{", "[]\n", '{"version": 99}\n', '{"version": 1}\n', "\0\0\0"])
def test_journal_that_is_not_understood_counts_as_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(text)
    journal = read_journal(path)
    assert (journal.upload_id, journal.parts, journal.preauthenticated_requests) == ("", [], [])


def test_no_journal_is_an_empty_journal(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none").upload_id == ""


def test_file_goes_when_nothing_is_left_to_note(path: Path) -> None:
    journal = read_journal(path)
    journal.add_preauthenticated_request("request-1")
    journal.end_upload()
    assert read_journal(path).preauthenticated_requests == ["request-1"]
    assert read_journal(path).parts == []
    journal.drop_preauthenticated_request("request-1")
    assert list(path.parent.iterdir()) == []


def test_new_upload_forgets_the_parts_of_the_old_one(path: Path) -> None:
    journal = read_journal(path)
    journal.begin({**PACKAGING, "size": 301}, "upload-2")
    assert (read_journal(path).upload_id, read_journal(path).parts) == ("upload-2", [])


def test_each_destination_has_its_own_journal() -> None:
    paths = {
        journal_path(Path("/f"), *destination)
        for destination in (
            ("https://one", "namespace", "bucket", "object"),
            ("https://two", "namespace", "bucket", "object"),
            ("https://one", "namespac", "ebucket", "object"),
            ("https://one", "namespace", "bucket", "object2"),
        )
    }
    assert len(paths) == 4
