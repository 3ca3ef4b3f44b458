# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.receipts import Held, Receipt, settle

HERE = Receipt("https://here", "ns", "ocne-boot-image-1")


def kill(held: Held) -> None:
    """What the end of a process does."""
    held.release(done=False)


def settled(folder: Path, server: str = HERE.server, gone: bool = True) -> list[Receipt]:
    """The receipts that are to be dealt with."""
    found: list[Receipt] = []

    def remove(receipt: Receipt) -> bool:
        found.append(receipt)
        return gone

    settle(folder, server, remove)
    return found


def test_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    held = Held(tmp_path, HERE)
    assert settled(tmp_path) == []
    held.release(done=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_found_once(tmp_path: Path) -> None:
    kill(Held(tmp_path, HERE))
    assert settled(tmp_path, "https://elsewhere") == []
    assert settled(tmp_path) == [HERE]
    assert settled(tmp_path) == []


def test_a_receipt_stays_until_it_has_been_dealt_with(tmp_path: Path) -> None:
    kill(Held(tmp_path, HERE))
    assert settled(tmp_path, gone=False) == [HERE]

    def fail(_receipt: Receipt) -> bool:
        raise OSError

    with pytest.raises(OSError):
        settle(tmp_path, HERE.server, fail)
    assert settled(tmp_path) == [HERE]


def test_files_of_others_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(json.dumps(["x"]))
    assert settled(tmp_path) == []
