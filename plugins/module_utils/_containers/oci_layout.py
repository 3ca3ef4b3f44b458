# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the manifest of an image in an OCI layout or OCI archive, in place.

skopeo unpacks a whole archive to learn its digest, which takes as long as copying it; and it takes a manifest whose digest
is not the one in the index.
Formats: https://github.com/opencontainers/image-spec, image-layout.md; containers-transports(5), oci and oci-archive.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol, cast

from .._errors import OcneError
from .._imagebuild.errors import BuildError
from .._imagebuild.tarstream import REGULAR, TarStream, TooManyMembers
from .manifest import digest_of, parse
from .reference import Reference

REF_NAME = "org.opencontainers.image.ref.name"
#: Indexes and manifests are smaller.
_LIMIT = 4 << 20
#: Members of an archive; each image has some ten, and one archive holds a few of them.
_MOST_MEMBERS = 10_000
_MEMBER = re.compile(rb"(?:\./)?(index\.json|blobs/sha256/[0-9a-f]{64})")


class Unreadable(Exception):
    """It cannot be read in place: compressed, damaged, or not there. skopeo may read it, or say what is wrong."""


def read_manifest(reference: Reference) -> bytes:
    """The manifest (or index) that the reference names, byte for byte.

    :raises Unreadable: see there.
    :raises OcneError: it has another digest than the index says.
    """
    files = _files(reference)
    index = parse(files.read("index.json"), reference)
    entries = [entry for entry in index.get("manifests") or [] if isinstance(entry, dict)]
    if reference.name:
        entries = [entry for entry in entries if (entry.get("annotations") or {}).get(REF_NAME) == reference.name]
    if len(entries) != 1:
        raise Unreadable
    return _blob(files, reference, str(entries[0].get("digest")))


def read_blob(reference: Reference, digest: str) -> bytes:
    """A small blob of the layout: a manifest, a configuration.

    :raises Unreadable: see there.
    :raises OcneError: it has another digest.
    """
    return _blob(_files(reference), reference, digest)


def _blob(files: _Files, reference: Reference, digest: str) -> bytes:
    algorithm, _colon, encoded = digest.partition(":")
    if algorithm != "sha256" or not encoded.isalnum():
        raise Unreadable
    raw = files.read(f"blobs/sha256/{encoded}")
    if digest_of(raw) != digest:
        raise OcneError(f"{reference} is damaged: a part of it has the digest {digest_of(raw)}, not {digest}.", "Make or fetch it anew.")
    return raw


def _files(reference: Reference) -> _Files:
    path = cast(Path, reference.path)
    return _Folder(path) if reference.transport == "oci" else _Tar(path)


class _Files(Protocol):
    def read(self, name: str) -> bytes:
        """All of a small file."""


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> bytes:
        try:
            with (self._path / name).open("rb") as file:
                content = file.read(_LIMIT + 1)
        except OSError as error:
            raise Unreadable from error
        if len(content) > _LIMIT:
            raise Unreadable
        return content


class _Tar:
    """The small files of an uncompressed tar. Its headers are read once; contents are skipped.

    :raises OcneError: it has more members than any layout. skopeo, which unpacks all of them, is not to see it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, tuple[int, int]] = {}
        try:
            with path.open("rb") as file:
                for member in TarStream(file, str(path), _MOST_MEMBERS, lambda size: file.seek(size, os.SEEK_CUR)):
                    name = _MEMBER.fullmatch(member.name)
                    if name and member.type == REGULAR:
                        self._files[name[1].decode()] = (file.tell(), member.size)
        except TooManyMembers as error:
            raise OcneError(error.message, error.hint) from error
        except (OSError, BuildError) as error:
            raise Unreadable from error

    def read(self, name: str) -> bytes:
        offset, size = self._files.get(name, (0, _LIMIT + 1))
        if size > _LIMIT:
            raise Unreadable
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
