# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which artefacts go, and which never do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _record
from ansible_collections.ocne.images.plugins.module_utils._builder.prune import Prune
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._files import in_use, locked


def make(folder: Path, name: str, made_at: int, architecture: str = "amd64", **options: Any) -> Path:
    """An artefact of three bytes with its record."""
    path = folder / name
    path.write_bytes(b"abc")
    os.utime(path, (made_at, made_at))
    asked = {"provider": "oci", "conversion": made_at, **options}
    _record.write(path, _record.Record(f"sha256:{made_at}", asked, _record.describe(path, "0" * 64), {"architecture": architecture}))
    return path


def prune(folder: Path, keep: int = 1, exclude: tuple[Path, ...] = (), check: bool = False) -> dict[str, Any]:
    step = Prune({"path": str(folder), "keep": keep, "exclude": [str(path) for path in exclude]})
    plan = step.plan()
    before = sorted(folder.rglob("*"))
    assert plan.changed == (plan.before != plan.after)
    if check or not plan.changed:
        assert sorted(folder.rglob("*")) == before
        return dict(plan.result)
    result = dict(step.apply(plan))
    assert not step.plan().changed and not list(folder.glob(".*")), "once is enough"
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".build.json"))


def test_the_newest_of_each_kind_stay(tmp_path: Path) -> None:
    for made_at, name in enumerate(["1.31", "1.32", "1.33"]):
        make(tmp_path, name, made_at)
        make(tmp_path, f"{name}-arm", made_at, architecture="arm64")
    make(tmp_path, "metal", 0, kernel_arguments=["rd.iscsi.firmware=1"])
    predicted = prune(tmp_path, 2, check=True)
    assert {"changed": True, **predicted} == prune(tmp_path, 2)
    assert predicted["removed"] == [str(tmp_path / "1.31-arm"), str(tmp_path / "1.31")] and predicted["freed_bytes"] == 6
    assert names(tmp_path) == ["1.32", "1.32-arm", "1.33", "1.33-arm", "metal"]
    assert len(list(tmp_path.iterdir())) == 10, "the records went with their artefacts"


def test_what_is_excluded_stays_and_counts(tmp_path: Path) -> None:
    old = make(tmp_path, "1.31", 1)
    make(tmp_path, "1.32", 2)
    make(tmp_path, "1.33", 3)
    prune(tmp_path, 1, exclude=(old,))
    assert names(tmp_path) == ["1.31", "1.33"]


def test_what_is_excluded_by_another_name_of_its_folder_stays(tmp_path: Path) -> None:
    folder, link = tmp_path / "images", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    kept = [make(folder, name, made_at) for made_at, name in enumerate(["1.30", "1.31"])]
    make(folder, "1.33", 3)
    assert not prune(folder, exclude=(link / kept[0].name, folder / ".." / "images" / kept[1].name))["removed"]
    assert not prune(link, exclude=tuple(kept))["removed"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    make(tmp_path, "new", 2)
    changed = make(tmp_path, "changed by hand", 1)
    changed.write_bytes(b"abcd")
    (tmp_path / "foreign.qcow2").write_bytes(b"abc")
    (tmp_path / "gone.build.json").write_text("{}")
    (tmp_path / "folder.build.json").mkdir()
    (tmp_path / "folder").mkdir()
    assert prune(tmp_path)["removed"] == []


@pytest.mark.parametrize("holder", [in_use, lambda path: locked(path, 0)], ids=["read", "made anew"])
def test_what_another_run_has_in_hand_stays(tmp_path: Path, holder: Any) -> None:
    old = make(tmp_path, "old", 1)
    make(tmp_path, "new", 2)
    step = Prune({"path": str(tmp_path), "keep": 1, "exclude": []})
    plan = step.plan()
    assert plan.changed
    with holder(old):  # it began after the look
        assert step.apply(plan) == {"changed": False, "removed": [], "freed_bytes": 0, "in_use": [str(old)]}
        assert old.exists()
    assert step.apply(plan)["removed"] == [str(old)]
    assert step.apply(plan)["changed"] is False, "another run was faster"


def test_what_is_read_at_the_time_of_the_look_stays(tmp_path: Path) -> None:
    old = make(tmp_path, "old", 1)
    make(tmp_path, "new", 2)
    with in_use(old), in_use(old):
        assert prune(tmp_path, check=True) == {"removed": [], "freed_bytes": 0, "in_use": [str(old)]}


def test_a_folder_that_does_not_exist_has_nothing_to_remove(tmp_path: Path) -> None:
    step = Prune({"path": str(tmp_path / "none"), "keep": 1, "exclude": []})
    assert not step.plan().changed


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(OcneError, match="keep is 0"):
        prune(tmp_path, 0)
    (tmp_path / "file").touch()
    with pytest.raises(OcneError, match="is no folder"):
        prune(tmp_path / "file")
