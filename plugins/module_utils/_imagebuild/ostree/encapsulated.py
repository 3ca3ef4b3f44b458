# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ostree's encapsulated containers: the objects of a commit in the layers of a container image.

Format: https://ostreedev.github.io/ostree-rs-ext/ and its writer, tar/export.rs of ostree-rs-ext; version 1 keeps
extended attributes in objects/XX/….file-xattrs, version 0 in repo/xattrs/…. Object names are matched, never used as paths;
all else in a layer is for container engines and not looked at.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ..errors import BuildError
from ..layout import Image
from ..progress import Progress
from ..tarstream import DIRECTORY, HARDLINK, REGULAR, SYMLINK, Member, TarStream
from .objects import COMMIT, FILE, XATTRS_LIMIT, FileHeader, check_xattrs

COMMIT_LABEL = "ostree.commit"
FINAL_LAYER_LABEL = "ostree.final-diffid"

_REPO = rb"(?:\./)?sysroot/ostree/repo/"
_IN_OBJECTS = re.compile(_REPO + rb"objects/")
_OBJECT = re.compile(
    _REPO + rb"objects/([0-9a-f]{2})/([0-9a-f]{62})\.(commit|commitmeta|dirtree|dirmeta|file|file-xattrs|file-xattrs-link|file\.xattrs)"
)
_XATTRS_V0 = re.compile(_REPO + rb"xattrs/([0-9a-f]{64})")
#: Bytes of all the sets of extended attributes in one layer, which are kept while it is read.
_XATTRS_TOTAL_LIMIT = 16 << 20
_SET_OVERHEAD = 256
_ID_LIMIT = 1 << 32


@dataclass(frozen=True)
class EncapsulatedObject:
    """An object as a layer has it.

    :param size: bytes of its content, which the stream it came with gives.
    :param file: what is known of the file, for objects of type FILE.
    """

    kind: str
    checksum: bytes
    size: int
    file: FileHeader | None = None

    @property
    def name(self) -> str:
        return f"{self.checksum.hex()}.{self.kind}"


def check_encapsulated(image: Image) -> None:
    """:raises BuildError: the image is no encapsulated ostree commit, or more than that."""
    final = image.labels.get(FINAL_LAYER_LABEL)
    if final is None:
        raise BuildError(
            f"Image {image.digest} is no ostree container: it has no label {FINAL_LAYER_LABEL}.", "Choose an ock-ostree image."
        )
    if final not in image.diff_ids:
        raise BuildError(
            f"Image {image.digest}: its label {FINAL_LAYER_LABEL} is {final}, which none of its layers is.",
            "The image is broken: tell its publisher.",
        )
    derived = len(image.diff_ids) - 1 - image.diff_ids.index(final)
    if derived:
        raise BuildError(
            f"Image {image.digest} has {derived} layer{'s' if derived > 1 else ''} on top of the ostree commit: "
            "what they change cannot be put into an ostree archive.",
            "Choose the image it was derived from.",
        )


def describe_encapsulated(config: Mapping[str, Any], layers: Mapping[str, int]) -> dict[str, Any]:
    """What the image's labels say of the commit in it, as plain values.

    :param config: the image's configuration.
    :param layers: sizes by digest.
    :returns: 'format', 'commit', 'version', 'date', 'kernel', 'layers' and their 'size' in bytes; '' for what it does not say.
    """
    run = config.get("config")
    labels = (run.get("Labels") if isinstance(run, dict) else None) or {}
    return {
        "format": "encapsulated",
        "commit": str(labels.get(COMMIT_LABEL, "")),
        "version": str(labels.get("org.opencontainers.image.version", "")),
        "date": str(config.get("created", "")),
        "kernel": str(labels.get("ostree.linux", "")),
        "layers": len(layers),
        "size": sum(layers.values()),
    }


def read_objects(image: Image, take: Callable[[EncapsulatedObject, TarStream], None], progress: Progress) -> None:
    """Hand on the objects in the image's order, each with a stream that gives its content for the time of the call.

    The commit comes first. Objects are not verified here; layers are, each when it ends, or when something fails.

    :raises BuildError: a layer is damaged, or holds what no encapsulated commit has.
    """
    total = sum(layer.size for layer in image.layers)
    done = 0
    for index, layer in enumerate(image.layers):

        def report(_activity: str, read: int, _total: int | None, done: int = done) -> None:
            progress("converting ostree objects", done + read, total)

        with image.open_layer(index, report) as stream:
            for found in _Layer(image).objects(stream):
                take(found, stream)
        done += layer.size


class _Layer:
    """Reads the objects of one layer; extended attributes are known within it only."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._sets: dict[bytes, bytes] = {}
        self._total = 0
        #: The object whose content comes next, and its extended attributes.
        self._announced = (b"", b"")

    def objects(self, stream: TarStream) -> Iterator[EncapsulatedObject]:
        for member in stream:
            match = _OBJECT.fullmatch(member.name)
            if match:
                checksum = match[1] + match[2]
                suffix = match[3].decode()
                if suffix == "file-xattrs":
                    self._add_set(checksum, member, stream)
                elif suffix in ("file-xattrs-link", "file.xattrs"):
                    self._announced = (checksum, self._linked_set(checksum, member, stream))
                else:
                    yield self._object(suffix, checksum, member)
            elif _IN_OBJECTS.match(member.name) and member.type != DIRECTORY:
                raise self._broken(f"{_printable(member.name)!r} is no name of an ostree object")
            else:
                match = _XATTRS_V0.fullmatch(member.name)
                if match:
                    self._add_set(match[1], member, stream)

    def _object(self, kind: str, checksum: bytes, member: Member) -> EncapsulatedObject:
        raw = bytes.fromhex(checksum.decode())
        if kind == FILE:
            return EncapsulatedObject(kind, raw, 0 if member.type == SYMLINK else member.size, self._file(checksum, member))
        if member.type != REGULAR:
            raise self._broken(f"ostree object {checksum.decode()}.{kind} is no regular file")
        if kind == COMMIT and raw.hex() != self._image.labels.get(COMMIT_LABEL, raw.hex()):
            raise self._broken(f"it holds commit {raw.hex()}, its label says {self._image.labels[COMMIT_LABEL]}")
        return EncapsulatedObject(kind, raw, member.size)

    def _file(self, checksum: bytes, member: Member) -> FileHeader:
        if member.type == REGULAR:
            mode, target = stat.S_IFREG | member.mode & 0o7777, b""
        elif member.type == SYMLINK:
            mode, target = stat.S_IFLNK | 0o777, self._target(checksum, member)
        else:
            raise self._broken(f"ostree object {checksum.decode()}.file is neither a regular file nor a symlink")
        if member.uid >= _ID_LIMIT or member.gid >= _ID_LIMIT:
            raise self._broken(f"ostree object {checksum.decode()}.file has an owner beyond 32 bits")
        announced, xattrs = self._announced
        return FileHeader(member.uid, member.gid, mode, target, xattrs if announced == checksum else b"")

    def _target(self, checksum: bytes, member: Member) -> bytes:
        try:
            if not member.target or "\0" in member.target.decode():
                raise ValueError
        except ValueError:
            raise self._broken(f"ostree object {checksum.decode()}.file is a symlink to {_printable(member.target)!r}") from None
        return member.target

    def _add_set(self, checksum: bytes, member: Member, stream: TarStream) -> None:
        data = self._xattrs(checksum, stream)
        if hashlib.sha256(data).hexdigest() != checksum.decode():
            raise self._broken(f"extended attributes {checksum.decode()} are damaged: their checksum is another")
        self._total += len(data) + _SET_OVERHEAD
        if self._total > _XATTRS_TOTAL_LIMIT:
            raise self._broken(f"a layer has more than {_XATTRS_TOTAL_LIMIT} bytes of extended attributes")
        self._sets[checksum] = data

    def _linked_set(self, checksum: bytes, member: Member, stream: TarStream) -> bytes:
        if member.type == REGULAR:
            return self._xattrs(checksum, stream)
        match = _OBJECT.fullmatch(member.target) or _XATTRS_V0.fullmatch(member.target)
        found = self._sets.get(b"".join(match.groups()[:2])) if match and member.type == HARDLINK else None
        if found is None:
            raise self._broken(f"the extended attributes of ostree object {checksum.decode()} are not in its layer")
        return found

    def _xattrs(self, checksum: bytes, stream: TarStream) -> bytes:
        data = stream.content(XATTRS_LIMIT)
        check_xattrs(checksum.decode(), data)
        return data

    def _broken(self, why: str) -> BuildError:
        return BuildError(f"Image {self._image.digest}: {why}.", "The image is broken: tell its publisher.")


def _printable(name: bytes) -> str:
    return name[:200].decode("utf-8", "replace")
