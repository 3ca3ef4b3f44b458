# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encapsulates an ostree commit in a container image, as rpm-ostree does with the crate ostree-ext, format version 1.

    python -m tests.support.encapsulate TREE DEST [--version 1.33] [--chunks 4] [--architecture arm64]

TREE is a folder to commit; DEST becomes an OCI layout folder whose image is tagged 'latest'. A test compares what is
written here with the fixtures, which ostree-ext wrote. For small trees: a layer is put together in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import stat
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import tests.conftest  # makes the collection importable
from tests.support.command import run
from tests.support.ostree_image import Member, OstreeImage

assert tests.conftest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import decode  # noqa: E402

_REPO = "sysroot/ostree/repo"
_CONFIG = b"[core]\nrepo_version=1\nmode=bare-split-xattrs\n"
_FOLDERS = ("extensions", "refs", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp", "tmp/cache")
_LONG = 100


@dataclass
class _Object:
    """A content object and the paths that it has."""

    uid: int
    gid: int
    mode: int
    target: str
    xattrs: bytes
    content: bytes
    paths: list[str] = field(default_factory=list)


class _Repository:
    """Objects of an archive-mode repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def metadata(self, checksum: str, kind: str) -> bytes:
        return self._path(checksum, kind).read_bytes()

    def detached(self, checksum: str) -> Optional[bytes]:
        path = self._path(checksum, "commitmeta")
        return path.read_bytes() if path.exists() else None

    def content(self, checksum: str) -> _Object:
        data = self._path(checksum, "filez").read_bytes()
        length = struct.unpack(">I", data[:4])[0]
        header = data[8 : 8 + length]
        _size, uid, gid, mode, _device, target, _xattrs = decode("(tuuuusa(ayay))", header)
        width = 1 if length <= 0xFF else 2 if length <= 0xFFFF else 4
        xattrs = header[24 + len(target.encode()) + 1 : -width]
        body = zlib.decompress(data[8 + length :], -15) if stat.S_ISREG(mode) else b""
        return _Object(uid, gid, mode, target, xattrs, body)

    def _path(self, checksum: str, kind: str) -> Path:
        return self.folder / "objects" / checksum[:2] / f"{checksum[2:]}.{kind}"


def encapsulate(repository: Path, ref: str, chunks: int = 0, architecture: str = "amd64") -> OstreeImage:
    """The commit of an archive-mode repository as an image, to be written.

    :param chunks: how many layers its files are spread over; 0: all is in one layer.
    """
    repo = _Repository(repository)
    commit = (repository / "refs/heads" / ref).read_text().strip()
    metadata, *_others = decode("(a{sv}aya(say)sstayay)", repo.metadata(commit, "commit"))
    writer = _Writer(repo, commit)
    layers = [writer.first_layer(), *([] for _chunk in range(chunks))]
    for number, (checksum, found) in enumerate(sorted(writer.files.items())):
        layer = layers[1 + number % chunks if chunks else 0]
        if not layer:
            layer += _preamble()
        layer += _content(checksum, found, layer)
    labels = {"ostree.commit": commit}
    for key, value in metadata:
        if key == "version":
            labels["org.opencontainers.image.version"] = decode("s", value.data)
    return OstreeImage([layer for layer in layers if layer], labels, architecture)


class _Writer:
    def __init__(self, repo: _Repository, commit: str) -> None:
        self._repo = repo
        self._commit = commit
        self._written: set[str] = set()
        self._paths: set[str] = set()
        self.files: dict[str, _Object] = {}

    def first_layer(self) -> list[Member]:
        """All but the files, which are found on the way."""
        data = self._repo.metadata(self._commit, "commit")
        *_fields, tree, meta = decode("(a{sv}aya(say)sstayay)", data)
        members = [self._folder("", meta.hex()), *_preamble(), _file(_object_path(self._commit, "commit"), data)]
        detached = self._repo.detached(self._commit)
        if detached is not None:
            members.append(_file(_object_path(self._commit, "commitmeta"), detached))
        members += self._metadata(meta.hex(), "dirmeta")
        members += self._tree("", tree.hex())
        if "var/tmp" not in self._paths:
            members.append(_folder("var/tmp", 0o1777))
        return members

    def _tree(self, path: str, checksum: str) -> Iterator[Member]:
        yield from self._metadata(checksum, "dirtree")
        files, folders = decode("(a(say)a(sayay))", self._repo.metadata(checksum, "dirtree"))
        for name, content in files:
            found = self.files.get(content.hex()) or self._repo.content(content.hex())
            found.paths.append(_shown(f"{path}{name}"))
            self.files[content.hex()] = found
        for name, tree, meta in folders:
            if (path, name) == ("", "sysroot"):
                continue
            yield from self._metadata(meta.hex(), "dirmeta")
            yield self._folder(f"{path}{name}", meta.hex())
            yield from self._tree(f"{path}{name}/", tree.hex())

    def _metadata(self, checksum: str, kind: str) -> Iterator[Member]:
        if f"{checksum}.{kind}" not in self._written:
            self._written.add(f"{checksum}.{kind}")
            yield _file(_object_path(checksum, kind), self._repo.metadata(checksum, kind))

    def _folder(self, path: str, meta: str) -> Member:
        uid, gid, mode, _xattrs = decode("(uuua(ayay))", self._repo.metadata(meta, "dirmeta"))
        self._paths.add(path)
        return _folder(_shown(path) if path else ".", mode & 0o7777, uid, gid)


def _preamble() -> list[Member]:
    paths = ["sysroot", "sysroot/ostree", _REPO, f"{_REPO}/objects"]
    paths += [f"{_REPO}/objects/{first:02x}" for first in range(256)] + [f"{_REPO}/{name}" for name in _FOLDERS]
    return [_folder(path, 0o755) for path in paths] + [_file(f"{_REPO}/config", _CONFIG)]


def _content(checksum: str, found: _Object, layer: list[Member]) -> Iterator[Member]:
    owner = {"uid": found.uid, "gid": found.gid, "mode": found.mode & 0o7777}
    set_path = _object_path(hashlib.sha256(found.xattrs).hexdigest(), "file-xattrs")
    if all(member.info.name != set_path for member in layer):
        yield _file(set_path, found.xattrs)
    yield _link(_object_path(checksum, "file-xattrs-link"), set_path, mode=0o644)
    place = _object_path(checksum, "file")
    if stat.S_ISLNK(found.mode):
        yield _member(place, type=tarfile.SYMTYPE, linkname=found.target, **owner)
    else:
        yield Member(_member(place, **owner).info, found.content)
    for path in found.paths:
        if found.content or found.target:
            yield _link(path, place, **owner)
        else:
            yield Member(_member(path, **owner).info, b"")


def _shown(path: str) -> str:
    """Where a container has it: /usr/etc is /etc there."""
    return path[len("usr/") :] if path == "usr/etc" or path.startswith("usr/etc/") else path


def _object_path(checksum: str, kind: str) -> str:
    return f"{_REPO}/objects/{checksum[:2]}/{checksum[2:]}.{kind}"


def _member(name: str, **attributes: object) -> Member:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return Member(info, None)


def _folder(path: str, mode: int, uid: int = 0, gid: int = 0) -> Member:
    # A name that needs GNU's long form keeps the './' that shorter ones lose.
    return _member(f"./{path}" if len(path) + 3 > _LONG else path, type=tarfile.DIRTYPE, mode=mode, uid=uid, gid=gid)


def _file(path: str, content: bytes) -> Member:
    return Member(_member(path, mode=0o644).info, content)


def _link(path: str, target: str, **owner: object) -> Member:
    return _member(path, type=tarfile.LNKTYPE, linkname=target, **owner)


def encapsulate_tree(tree: Path, dest: Path, version: str, chunks: int = 0, architecture: str = "amd64", ref: str = "ock") -> str:
    """Commit a folder and make dest an OCI layout of the encapsulated commit, tagged 'latest'; the commit's checksum."""
    with tempfile.TemporaryDirectory(prefix="encapsulate-") as folder:
        repository = Path(folder, "repo")
        run("ostree", "init", f"--repo={repository}", "--mode=archive")
        options = (f"--tree=dir={tree}", f"--add-metadata-string=version={version}", "--timestamp=2026-01-01T00:00:00Z")
        commit = run("ostree", "commit", f"--repo={repository}", f"--branch={ref}", f"--subject=OCK {version}", *options).strip()
        encapsulate(repository, ref, chunks, architecture).write(dest)
    return commit


def main() -> None:
    parser = argparse.ArgumentParser(description="Encapsulate a folder as an ostree commit in an OCI layout folder.")
    parser.add_argument("tree", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--version", default="1.33")
    parser.add_argument("--chunks", type=int, default=0)
    parser.add_argument("--architecture", default="amd64")
    options = parser.parse_args()
    print(encapsulate_tree(options.tree, options.dest, options.version, options.chunks, options.architecture))


if __name__ == "__main__":
    main()
