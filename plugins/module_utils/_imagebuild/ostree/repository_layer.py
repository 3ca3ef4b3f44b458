# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layer that puts an archive-mode repository into a web server's document root."""

from __future__ import annotations

from pathlib import Path

from ..errors import BuildError
from ..layout import Image
from ..progress import Progress
from ..tarstream import TarStream
from . import repository
from .closure import Closure
from .deflate import Deflate
from .encapsulated import EncapsulatedObject, read_objects
from .layer_writer import LayerWriter
from .object_writer import ObjectWriter
from .objects import (
    COMMIT,
    COMMITMETA,
    DIRTREE,
    FILE,
    METADATA_LIMIT,
    Commit,
    check_dirmeta,
    read_commit,
    read_commitmeta,
    read_dirtree,
    verify,
)
from .web_server import SERVED_AS, WebServer


def write_repository(
    layer: LayerWriter, source: Image, server: WebServer, ref: str, deflate: Deflate, folder: Path, progress: Progress
) -> tuple[Commit, int]:
    """Write the whole layer.

    :param folder: for a temporary file.
    :returns: the commit, and how many objects of the source it does not need.
    :raises BuildError: the source is damaged or not complete.
    """
    top = f"{server.document_root}/{SERVED_AS}".lstrip("/")
    for path, attributes in server.folders:
        layer.directory(path.lstrip("/"), attributes.mode, attributes.uid, attributes.gid)
    layer.directory(top)
    for name in (*repository.DIRECTORIES, *repository.OBJECT_DIRECTORIES, *repository.ref_directories(ref)):
        layer.directory(f"{top}/{name}")
    with ObjectWriter(layer, lambda name: f"{top}/{repository.object_path(name)}", deflate, folder) as writer:
        intake = _Intake(source, writer)
        read_objects(source, intake.add, progress)
        commit = intake.finish()
    for name, content in repository.files(ref, commit):
        layer.small_file(f"{top}/{name}", content)
    layer.close()
    return commit, intake.unreferenced


class _Intake:
    """Takes the objects as they come, checks them, and hands on those that the commit needs."""

    def __init__(self, source: Image, writer: ObjectWriter) -> None:
        self._source = source
        self._writer = writer
        self._closure = Closure()
        self._commit: Commit | None = None
        self._has_commitmeta = False
        self.unreferenced = 0

    def add(self, found: EncapsulatedObject, stream: TarStream) -> None:
        if self._commit is None:
            self._commit = self._add_commit(found, stream)
        elif found.kind == COMMIT:
            raise self._broken(f"{found.name} is in it beside commit {self._commit.checksum}")
        elif found.kind == COMMITMETA:
            self._add_commitmeta(found, stream)
        elif not self._closure.take(found.kind, found.checksum):
            self.unreferenced += 1
        elif found.kind == FILE:
            self._writer.add(found, stream)
        else:
            self._add_directory(found, stream)

    def finish(self) -> Commit:
        """Everything has come, and is to be written.

        :raises BuildError: something is missing.
        """
        if self._commit is None:
            raise self._broken("it holds no ostree commit")
        self._writer.finish()
        self._closure.check_complete()
        return self._commit

    def _add_commit(self, found: EncapsulatedObject, stream: TarStream) -> Commit:
        if found.kind != COMMIT:
            raise self._broken(f"{found.name} comes before the commit")
        data = stream.content(METADATA_LIMIT)
        verify(found.checksum, found.kind, data)
        commit = read_commit(found.checksum, data)
        self._closure.add_commit(commit)
        self._writer.add_read(found, data)
        return commit

    def _add_commitmeta(self, found: EncapsulatedObject, stream: TarStream) -> None:
        if self._commit is None or found.checksum.hex() != self._commit.checksum or self._has_commitmeta:
            raise self._broken(f"{found.name} is in it twice, or belongs to no commit in it")
        data = stream.content(METADATA_LIMIT)
        read_commitmeta(found.checksum, data)
        self._has_commitmeta = True
        self._writer.add_read(found, data)

    def _add_directory(self, found: EncapsulatedObject, stream: TarStream) -> None:
        data = stream.content(METADATA_LIMIT)
        verify(found.checksum, found.kind, data)
        if found.kind == DIRTREE:
            self._closure.add_tree(read_dirtree(found.checksum, data))
        else:
            check_dirmeta(found.checksum, data)
        self._writer.add_read(found, data)

    def _broken(self, why: str) -> BuildError:
        return BuildError(f"Image {self._source.digest}: {why}.", "The image is broken: tell its publisher.")
