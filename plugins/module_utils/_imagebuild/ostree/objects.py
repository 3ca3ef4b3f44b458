# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ostree's objects: what they hold, how they are checked, and how an archive-mode repository stores them.

Facts: ostree's src/libostree/ostree-core.h and ostree-core-private.h (formats), and objects made by libostree.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from dataclasses import dataclass
from datetime import datetime, timezone

from ..errors import BuildError
from .gvariant import Variant, decode

#: Types of objects, which are also their names' suffixes.
COMMIT, COMMITMETA, DIRTREE, DIRMETA, FILE = "commit", "commitmeta", "dirtree", "dirmeta", "file"

#: libostree's OSTREE_MAX_METADATA_SIZE: no metadata object is larger.
METADATA_LIMIT = 10 << 20
#: Linux gives a file 64 KiB for each attribute's value; a set beyond this is no real file's.
XATTRS_LIMIT = 1 << 20
#: The end of the year 9999, in seconds since the epoch.
_LATEST = 253402300799


@dataclass(frozen=True)
class FileHeader:
    """What a content object says of its file.

    :param mode: with type bits: a regular file or a symlink.
    :param target: where a symlink points, literally; empty for a regular file.
    :param xattrs: a GVariant a(ayay), names NUL-terminated.
    """

    uid: int
    gid: int
    mode: int
    target: bytes
    xattrs: bytes

    def checksummed(self) -> bytes:
        """What the object's checksum covers before the content: (uuuusa(ayay)) in its frame."""
        return self._framed(b"")

    def archived(self, size: int) -> bytes:
        """What begins the object in an archive-mode repository (.filez): (tuuuusa(ayay)) in its frame.

        :param size: of the content, uncompressed.
        """
        return self._framed(struct.pack(">Q", size))

    def _framed(self, prefix: bytes) -> bytes:
        fields = prefix + struct.pack(">IIII", self.uid, self.gid, self.mode, 0) + self.target + b"\0"
        body = fields + self.xattrs
        for width in (1, 2, 4):
            if len(body) + width < 1 << (8 * width):
                break
        body += len(fields).to_bytes(width, "little")
        return struct.pack(">II", len(body), 0) + body


@dataclass(frozen=True)
class Commit:
    """The parts of a commit object that matter here.

    :param tree: checksum of the root's dirtree object.
    :param meta: checksum of the root's dirmeta object.
    :param timestamp: seconds since the epoch.
    :param version: its metadata's 'version'; '' where there is none.
    :param kernel: its metadata's 'ostree.linux', the kernel's version; '' where there is none.
    :param parent: checksum of the commit before it; '' where there is none.
    """

    checksum: str
    size: int
    tree: bytes
    meta: bytes
    timestamp: int
    subject: str
    version: str
    kernel: str = ""
    parent: str = ""


@dataclass(frozen=True)
class DirTree:
    """The objects a directory names: its files, its subdirectories, and those subdirectories' own metadata."""

    files: frozenset[bytes]
    trees: frozenset[bytes]
    metas: frozenset[bytes]


def verify(checksum: bytes, kind: str, data: bytes) -> None:
    """A metadata object (not a commitmeta, whose name says nothing of its bytes) against its name.

    :raises BuildError: its bytes have another checksum.
    """
    found = hashlib.sha256(data).digest()
    if found != checksum:
        raise corrupted(checksum, kind, found)


def corrupted(checksum: bytes, kind: str, found: bytes) -> BuildError:
    """The error for an object whose bytes are not what its name says."""
    return BuildError(f"ostree object {checksum.hex()}.{kind} is damaged: its checksum is {found.hex()}.", "Fetch the image again.")


def read_commit(checksum: bytes, data: bytes) -> Commit:
    """:raises BuildError: it is no well-formed commit."""
    try:
        metadata, parent, _related, subject, _body, timestamp, tree, meta = decode("(a{sv}aya(say)sstayay)", data)
        if len(tree) != 32 or len(meta) != 32:
            raise ValueError("its root is not named by checksums")
        if timestamp > _LATEST:
            raise ValueError("its time is beyond the calendar")
    except ValueError as error:
        raise _malformed(checksum, COMMIT, error) from error
    said = dict(metadata)
    version, kernel = _string(said.get("version")), _string(said.get("ostree.linux"))
    return Commit(checksum.hex(), len(data), tree, meta, timestamp, subject, version, kernel, parent.hex())


def iso_time(timestamp: int) -> str:
    """Seconds since the epoch as '2026-11-23T08:00:00Z'."""
    return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_commitmeta(checksum: bytes, data: bytes) -> dict[str, Variant]:
    """Detached metadata, such as signatures.

    :raises BuildError: it is no dictionary.
    """
    try:
        return dict(decode("a{sv}", data))
    except ValueError as error:
        raise _malformed(checksum, COMMITMETA, error) from error


def read_dirtree(checksum: bytes, data: bytes) -> DirTree:
    """:raises BuildError: it is no well-formed directory, or names what no directory can hold."""
    try:
        files, trees = decode("(a(say)a(sayay))", data)
        names = [entry[0] for entry in files] + [entry[0] for entry in trees]
        if any(name in ("", ".", "..") or "/" in name for name in names):
            raise ValueError("a name in it is none a file can have")
        if len(set(names)) != len(names):
            raise ValueError("a name is in it twice")
        if any(len(object_checksum) != 32 for entry in [*files, *trees] for object_checksum in entry[1:]):
            raise ValueError("a checksum in it is not one of 32 bytes")
    except ValueError as error:
        raise _malformed(checksum, DIRTREE, error) from error
    return DirTree(
        frozenset(entry[1] for entry in files),
        frozenset(entry[1] for entry in trees),
        frozenset(entry[2] for entry in trees),
    )


def check_dirmeta(checksum: bytes, data: bytes) -> None:
    """:raises BuildError: it does not describe a directory."""
    try:
        _uid, _gid, mode, xattrs = decode("(uuua(ayay))", data)
        if not stat.S_ISDIR(mode) or mode & ~(stat.S_IFMT(mode) | 0o7777):
            raise ValueError(f"mode {mode:o} is not a directory's")
        _check_names(xattrs)
    except ValueError as error:
        raise _malformed(checksum, DIRMETA, error) from error


def check_xattrs(name: str, data: bytes) -> None:
    """:raises BuildError: it is no set of extended attributes, or an absurd one."""
    try:
        if len(data) > XATTRS_LIMIT:
            raise ValueError(f"{len(data)} bytes are more than any file can have")
        _check_names(decode("a(ayay)", data))
    except ValueError as error:
        raise BuildError(f"ostree object {name}.file-xattrs is malformed: {error}.", "The image is broken: tell its publisher.") from error


def _check_names(xattrs: list[tuple[bytes, bytes]]) -> None:
    if any(len(name) < 2 or name.find(b"\0") != len(name) - 1 for name, _value in xattrs):
        raise ValueError("an extended attribute has no well-formed name")


def _malformed(checksum: bytes, kind: str, error: ValueError) -> BuildError:
    return BuildError(f"ostree object {checksum.hex()}.{kind} is malformed: {error}.", "The image is broken: tell its publisher.")


def _string(variant: Variant | None) -> str:
    if variant is None or variant.signature != "s":
        return ""
    return str(decode("s", variant.data))
