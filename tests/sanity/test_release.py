# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A release, as ./release makes it, in a clone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.collection import copy_tree
from tests.support.command import run
from tests.support.release import ReleaseError, build, release, reproducible

VERSION = "99.1.0"
AUTHOR = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com"}
NOTE = "The frobnicator frobnicates"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of its own with this checkout's files, and one change to tell."""
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    tree = copy_tree(tmp_path / "a")
    (tree / "changelogs/fragments/99-frob.yml").write_text(f"---\nminor_changes:\n  - {NOTE}.\n")
    run("git", "add", "--all", cwd=tree)
    run("git", "commit", "--quiet", "--message=All", cwd=tree)
    return tree


def test_release_is_described_tagged_and_the_same_wherever_it_is_built(checkout: Path, tmp_path: Path) -> None:
    package = release(checkout, VERSION)
    assert not run("git", "status", "--porcelain", cwd=checkout)
    assert run("git", "describe", "--exact-match", cwd=checkout).strip() == f"v{VERSION}"
    assert NOTE in (checkout / "CHANGELOG.md").read_text()
    run("yamllint", "--strict", ".", cwd=checkout)
    assert not list((checkout / "changelogs/fragments").glob("*.yml"))

    bytes_of_first = package.read_bytes()
    package.unlink()
    assert release(checkout, VERSION).read_bytes() == bytes_of_first  # the tag is there

    clone = tmp_path / "elsewhere/of/another/name"
    before = os.umask(0o077)
    try:
        run("git", "clone", "--quiet", checkout, clone)
        assert release(clone, VERSION).read_bytes() == bytes_of_first
    finally:
        os.umask(before)


def test_package_can_be_installed_and_has_the_version(checkout: Path, tmp_path: Path) -> None:
    package = build(checkout, "HEAD")
    environment = {"ANSIBLE_HOME": str(tmp_path / "home")}
    run("ansible-galaxy", "collection", "install", "--offline", "-p", tmp_path / "installed", package, env=environment)
    installed = tmp_path / "installed/ansible_collections/ocne/images"
    assert json.loads((installed / "MANIFEST.json").read_text())["collection_info"]["version"] in package.name
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(tmp_path / "installed")
    run("ansible-galaxy", "collection", "verify", "--offline", "ocne.images", env=environment)
    with tarfile.open(package) as archive:
        times = {member.mtime for member in archive}
    assert times == {int(run("git", "show", "--no-patch", "--format=%ct", "HEAD", cwd=checkout))}


def test_times_and_order_in_a_folder_do_not_matter() -> None:
    first, second = (_package(names, time) for names, time in ((("b", "a", "a/c"), 1), (("a", "a/c", "b"), 2)))
    assert first != second
    assert reproducible(first, 3) == reproducible(second, 3)


def _package(names: Sequence[str], time: int) -> bytes:
    """A package as ansible-galaxy makes it of files that the system lists in this order."""
    files = json.dumps({"files": [{"name": name} for name in names]}).encode()
    manifest = json.dumps({"file_manifest_file": {"chksum_sha256": hashlib.sha256(files).hexdigest()}}).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {"MANIFEST.json": manifest, "FILES.json": files, **dict.fromkeys(names, b"same")}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), time
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("case", ["changes", "no fragments", "no version"])
def test_release_that_cannot_be_made_changes_nothing(checkout: Path, case: str) -> None:
    version, told = VERSION, ""
    if case == "changes":
        (checkout / "README.md").write_text("changed")
        told = "not committed"
    elif case == "no fragments":
        run("git", "rm", "--quiet", "-r", "changelogs/fragments", cwd=checkout)
        run("git", "commit", "--quiet", "--message=None", cwd=checkout)
        told = "nothing to release"
    else:
        version, told = "next", "is no version"
    before = [
        run("git", *command, cwd=checkout) for command in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("tag",), ("worktree", "list"))
    ]
    with pytest.raises(ReleaseError, match=told):
        release(checkout, version)
    after = [
        run("git", *command, cwd=checkout) for command in (("status", "--porcelain"), ("rev-parse", "HEAD"), ("tag",), ("worktree", "list"))
    ]
    assert after == before
