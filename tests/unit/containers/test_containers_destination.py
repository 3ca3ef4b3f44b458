# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.destination import Staged, check, writing
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import Reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

REF_NAME = "org.opencontainers.image.ref.name"


class Interrupted(Exception):
    pass


def _write(reference: Reference, content: str, fail: bool = False) -> Staged:
    """Do to the staged reference what skopeo would."""
    with writing(reference, 1) as staged:
        staged.clear()
        path = staged.reference.path
        assert path is not None
        if reference.transport == "dir":
            path.mkdir()
            (path / "version").write_text("Directory Transport Version: 1.1\n")
            (path / content).write_text(content)
        elif reference.transport == "oci":
            (shared,) = staged.options
            blobs = Path(shared.partition("=")[2])
            blobs.mkdir(parents=True, exist_ok=True)
            (blobs / content).write_text(content)
            path.mkdir()
            (path / "oci-layout").write_text("{}")
            entry = {"digest": content, **({"annotations": {REF_NAME: reference.name}} if reference.name else {})}
            (path / "index.json").write_text(json.dumps({"manifests": [entry]}))
        else:
            path.write_text(content)
        if fail:
            raise Interrupted
    return staged


def _names(layout: Path) -> dict[Optional[str], str]:
    entries = json.loads((layout / "index.json").read_text())["manifests"]
    return {entry.get("annotations", {}).get(REF_NAME): entry["digest"] for entry in entries}


@pytest.fixture(params=["dir", "oci", "oci-archive", "docker-archive"])
def reference(request: pytest.FixtureRequest, tmp_path: Path) -> Reference:
    return Reference(request.param, f"{tmp_path}/folder/dest" + ("" if request.param == "dir" else ":name"))


def _tree(path: Path) -> dict[str, str]:
    return {str(each.relative_to(path)): each.read_text() for each in sorted(path.rglob("*")) if each.is_file()}


def test_first_write_leaves_the_destination_and_nothing_else(reference: Reference, tmp_path: Path) -> None:
    _write(reference, "one")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["dest"]


def test_failed_first_write_leaves_nothing(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        _write(reference, "one", fail=True)
    assert list((tmp_path / "folder").iterdir()) == []


def test_failed_write_leaves_what_was_there(reference: Reference, tmp_path: Path) -> None:
    _write(reference, "one")
    before = _tree(tmp_path)
    with pytest.raises(Interrupted):
        _write(reference, "two", fail=True)
    after = _tree(tmp_path)
    assert {name: after[name] for name in before} == before
    # Whole blobs of a layout stay for the next run, which need not copy them again.
    assert set(after) - set(before) <= {"folder/dest/blobs/two"}


def test_second_write_replaces(reference: Reference, tmp_path: Path) -> None:
    _write(reference, "one")
    _write(reference, "two")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["dest"]
    assert "two" in " ".join(_tree(tmp_path).values())
    if reference.transport != "oci":
        assert "one" not in " ".join(_tree(tmp_path).values())


def test_what_a_killed_run_left_is_removed(reference: Reference, tmp_path: Path) -> None:
    _write(reference, "one")
    for name in (".dest.part", ".dest.old") if reference.transport == "dir" else (".dest.part",):
        (tmp_path / "folder" / name).mkdir()
        (tmp_path / "folder" / name / "left").write_text("left")
    _write(reference, "two")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["dest"]


def test_layout_keeps_images_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "layout"
    _write(Reference("oci", f"{path}:a"), "one")
    _write(Reference("oci", f"{path}:b"), "two")
    _write(Reference("oci", f"{path}:a"), "three")
    assert _names(path) == {"a": "three", "b": "two"}


def test_registry_is_written_to_as_it_is() -> None:
    reference = Reference("docker", "//h/n:t")
    with writing(reference, 1) as staged:
        assert (staged.reference, staged.options) == (reference, ())


@pytest.mark.parametrize("transport", ["dir", "oci", "oci-archive", "docker-archive"])
def test_something_else_at_the_destination_is_not_destroyed(transport: str, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    file.write_text("mine")
    for path in (folder, file):
        with pytest.raises(OcneError, match="exists and"):
            check(Reference(transport, str(path)))


def test_what_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "empty-file").touch()
    with tarfile.open(tmp_path / "archive", "w") as archive:
        archive.add(tmp_path / "empty-file", "oci-layout")
    for transport in ("dir", "oci"):
        check(Reference(transport, f"{tmp_path}/empty-folder"))
        check(Reference(transport, f"{tmp_path}/not/there"))
    for name in ("empty-file", "archive", "not/there"):
        check(Reference("oci-archive", f"{tmp_path}/{name}"))


def test_destination_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OcneError, match="is no folder"):
        check(Reference("dir", f"{tmp_path}/file/below"))
    with pytest.raises(OcneError, match="cannot write"):
        check(Reference("sif", f"{tmp_path}/x.sif"))
