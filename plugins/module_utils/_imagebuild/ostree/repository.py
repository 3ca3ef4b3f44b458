# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive-mode repository, as the files that a web server gives.

Facts: repositories and summaries that libostree 2022.7 wrote (ostree init, ostree summary --update), and ostree's
src/libostree/ostree-repo.c.
"""

from __future__ import annotations

import re

from ..errors import BuildError
from .gvariant import Variant, encode
from .objects import Commit

CONFIG = b"[core]\nrepo_version=1\nmode=archive-z2\nindexed-deltas=true\n"
DIRECTORIES = ("extensions", "objects", "refs", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp", "tmp/cache")
OBJECT_DIRECTORIES = tuple(f"objects/{first:02x}" for first in range(256))

#: What libostree takes for a ref (ostree-core.c, OSTREE_REF_REGEXP), with room for a file name.
_REF = re.compile(r"[\w\d][-._\w\d]*(/[\w\d][-._\w\d]*)*", re.ASCII)


def check_ref(ref: str) -> None:
    """:raises BuildError: no repository can have such a ref."""
    if not _REF.fullmatch(ref) or len(ref) > 200:
        raise BuildError(f"{ref!r} is no name for an ostree ref.", "Use letters, digits, '-', '.', '_', and '/' between them.")


def object_path(name: str) -> str:
    """Where a repository keeps the object. name: '<checksum>.<suffix>'."""
    return f"objects/{name[:2]}/{name[2:]}"


def ref_directories(ref: str) -> list[str]:
    """Folders that the ref needs beside DIRECTORIES: it can have several parts."""
    parts = ref.split("/")
    return ["/".join(("refs/heads", *parts[:count])) for count in range(1, len(parts))]


def files(ref: str, commit: Commit) -> list[tuple[str, bytes]]:
    """Path and content of what makes objects a repository."""
    return [(f"refs/heads/{ref}", f"{commit.checksum}\n".encode()), ("config", CONFIG), ("summary", summary(ref, commit))]


def summary(ref: str, commit: Commit) -> bytes:
    """What 'ostree summary --update' writes, but for the time: the commit's, so that it is reproducible."""
    of_commit = [("ostree.commit.version", Variant("s", encode("s", commit.version)))] if commit.version else []
    of_commit.append(("ostree.commit.timestamp", Variant("t", encode("t", commit.timestamp))))
    of_repository = [
        ("ostree.summary.mode", Variant("s", encode("s", "archive-z2"))),
        ("ostree.summary.last-modified", Variant("t", encode("t", commit.timestamp))),
        ("ostree.summary.tombstone-commits", Variant("b", encode("b", False))),
        ("ostree.summary.indexed-deltas", Variant("b", encode("b", True))),
    ]
    # Unlike every other integer, the size is in the host's order; on all that OCK runs on, that is little-endian.
    size = int.from_bytes(commit.size.to_bytes(8, "little"), "big")
    refs = [(ref, (size, bytes.fromhex(commit.checksum), of_commit))]
    return encode("(a(s(taya{sv}))a{sv})", (refs, of_repository))
