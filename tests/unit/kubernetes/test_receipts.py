# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.ocne.images.plugins.module_utils._kubernetes.receipts import Held, Receipt, abandoned

HERE = Receipt("https://here", "ns", "ocne-boot-image-1")


def kill(held: Held) -> None:
    """What the end of a process does."""
    held.release(done=False)


def test_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    held = Held(tmp_path, HERE)
    assert list(abandoned(tmp_path, HERE.server)) == []
    held.release(done=True)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_found_once(tmp_path: Path) -> None:
    kill(Held(tmp_path, HERE))
    assert list(abandoned(tmp_path, "https://elsewhere")) == []
    assert list(abandoned(tmp_path, HERE.server)) == [HERE]
    assert list(abandoned(tmp_path, HERE.server)) == []


def test_a_receipt_stays_until_it_has_been_dealt_with(tmp_path: Path) -> None:
    kill(Held(tmp_path, HERE))
    found = abandoned(tmp_path, HERE.server)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert list(abandoned(tmp_path, HERE.server)) == [HERE]


def test_files_of_others_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(json.dumps(["x"]))
    assert list(abandoned(tmp_path, HERE.server)) == []
