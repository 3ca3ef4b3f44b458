# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""./release VERSION: changelog, commit, tag and package, each from the one before.

The package is built from the tag alone, and what a build would take from the machine (times, the order in a folder) is
taken out of it. So anybody can build a release again, and has the same bytes; with another version of zlib, the same tar.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import machine
from tests.support.command import ROOT, run
from tests.support.machine import SetupError, say

_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")
_MANIFEST, _FILES = "MANIFEST.json", "FILES.json"


class ReleaseError(Exception):
    """A release cannot be made: why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION", help="as 1.2.3; where its tag is there, only its package is built again")
    version = parser.parse_args(arguments).version
    try:
        os.environ["PATH"] = os.pathsep.join([str(machine.tests_venv() / "bin"), os.environ["PATH"]])
        package = release(ROOT, version)
    except (ReleaseError, SetupError) as error:
        print(f"No release: {error}", file=sys.stderr)
        return 1
    print(f"package   {package}\ndigest    sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}")
    print(f"To publish it:\n  git push --follow-tags\n  ansible-galaxy collection publish {package.name}")
    return 0


def release(checkout: Path, version: str) -> Path:
    """The release's package, in the checkout. Commit and tag are made where there is no such tag yet.

    :raises ReleaseError: nothing was changed.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version. Give one as 1.2.3.")
    tag = f"v{version}"
    if _git(checkout, "tag", "--list", tag):
        say(f"{tag} is there: build it again")
        return build(checkout, tag)
    if _git(checkout, "status", "--porcelain"):
        raise ReleaseError("The checkout has changes that are not committed. Commit or remove them.")
    with _worktree(checkout) as tree:
        say(f"write the changelog of {version}")
        _describe(tree, version)
        _git(tree, "add", "--all")
        _git(tree, "commit", "--quiet", f"--message=Release {version}")
        commit = _git(tree, "rev-parse", "HEAD")
        package = build(checkout, commit)
    _git(checkout, "merge", "--quiet", "--ff-only", commit)
    _git(checkout, "tag", "--annotate", f"--message=ocne.images {version}", tag, commit)
    return package


def build(checkout: Path, commit: str) -> Path:
    """The package of a commit, in the checkout."""
    say("build the package")
    with tempfile.TemporaryDirectory(prefix="ocne-release-") as name:
        folder = Path(name)
        source = folder / "source"
        source.mkdir()
        _git(checkout, "archive", f"--output={folder / 'source.tar'}", commit)
        run("tar", "-xf", folder / "source.tar", "-C", source)
        run("ansible-galaxy", "collection", "build", "--output-path", folder, source, env={"ANSIBLE_HOME": str(folder / "home")})
        (built,) = folder.glob("ocne-images-*.tar.gz")
        package = checkout / built.name
        package.write_bytes(
            reproducible(built.read_bytes(), int(_git(checkout, "show", "--no-patch", "--format=%ct", f"{commit}^{{commit}}")))
        )
    return package


def reproducible(package: bytes, time: int) -> bytes:
    """The same package with all times as given, and its files in the order of their names.

    :param time: in seconds since the epoch.
    """
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        members = {member.name: (member, (archive.extractfile(member) or io.BytesIO()).read()) for member in archive}
    files = json.loads(members[_FILES][1])
    files["files"].sort(key=lambda file: file["name"])
    manifest = json.loads(members[_MANIFEST][1])
    contents: dict[str, bytes] = {name: content for name, (_member, content) in members.items()}
    contents[_FILES] = _json(files)
    manifest["file_manifest_file"]["chksum_sha256"] = hashlib.sha256(contents[_FILES]).hexdigest()
    contents[_MANIFEST] = _json(manifest)
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", fileobj=buffer, mtime=time) as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name in sorted(members, key=lambda name: (name not in (_MANIFEST, _FILES), name)):
            member = members[name][0]
            member.mtime, member.size, member.pax_headers = time, len(contents[name]), {}
            archive.addfile(member, io.BytesIO(contents[name]))
    return buffer.getvalue()


def _describe(tree: Path, version: str) -> None:
    """Set the version, and let the fragments become the changelog's newest part."""
    if not list((tree / "changelogs/fragments").glob("*.y*ml")):
        raise ReleaseError("changelogs/fragments is empty: there is nothing to release.")
    galaxy = tree / "galaxy.yml"
    galaxy.write_text(re.sub(r"^version: .*$", f"version: {version}", galaxy.read_text(), flags=re.MULTILINE))
    try:
        run("antsibull-changelog", "release", "--version", version, cwd=tree, env={"ANSIBLE_HOME": str(tree.parents[2] / "home")})
    except RuntimeError as error:
        raise ReleaseError(str(error)) from error


@contextmanager
def _worktree(checkout: Path) -> Iterator[Path]:
    """Another working tree of HEAD, where ansible expects a collection; nobody sees it but us."""
    with tempfile.TemporaryDirectory(prefix="ocne-release-") as name:
        tree = Path(name, "ansible_collections/ocne/images")
        tree.parent.mkdir(parents=True)
        _git(checkout, "worktree", "add", "--quiet", "--detach", str(tree))
        try:
            yield tree
        finally:
            _git(checkout, "worktree", "remove", "--force", str(tree))


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ReleaseError(f"{' '.join(command)} failed: {result.stderr.strip()}")
    return result.stdout.strip()


def _json(value: Any) -> bytes:
    """As ansible-galaxy writes it."""
    return json.dumps(value, indent=True).encode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
