# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in an ostree repository, wherever it is: its refs, a ref's commit, who signed it, and all that it consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional, Protocol

from ..errors import BuildError
from .closure import OBJECT_LIMIT
from .gvariant import Variant, decode
from .objects import (
    COMMIT,
    COMMITMETA,
    DIRMETA,
    DIRTREE,
    METADATA_LIMIT,
    Commit,
    iso_time,
    read_commit,
    read_commitmeta,
    read_dirtree,
    verify,
)
from .repository import object_path

#: The ref of OCK.
USUAL_REF = "ock"
CONFIG_LIMIT, REF_LIMIT = 64 << 10, 4 << 10
#: libostree reads no larger summary (OSTREE_MAX_METADATA_SIZE).
SUMMARY_LIMIT = METADATA_LIMIT
_MODULES = ("usr", "lib", "modules")
_SIGNATURES = {"ostree.gpgsigs": "gpg"}
_SIGN = "ostree.sign."


class Repository(Protocol):
    """A repository that can be read. where: what it is, for messages."""

    where: str

    def read(self, path: str, limit: int) -> Optional[bytes]:
        """A file of at most limit bytes; None where there is none."""

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, Optional[bytes]]]:
        """Metadata objects ('<checksum>.dirtree') with their bytes, in any order; None for those that are not there."""

    def sizes(self, names: Iterable[str]) -> Iterator[Optional[int]]:
        """Bytes of objects, as they are stored, in any order; None for those that are not there."""

    def refs(self) -> Optional[dict[str, str]]:
        """Each ref's commit; None where they cannot be listed."""


def describe_repository(repository: Repository, ref: str = "") -> dict[str, Any]:
    """The repository as plain values.

    :param ref: which ref to tell of; '': the only one, or USUAL_REF.
    :returns: 'mode', 'refs', 'ref', 'commit', 'parent', 'date', 'version', 'subject', 'kernel', 'objects' (how many the commit consists
        of), 'size' (their bytes as stored), 'missing' (how many of them are not there), 'signatures', 'summary_signatures'.
    :raises BuildError: it is no repository, it is damaged, or it has no such ref.
    """
    mode = _mode(repository)
    refs = repository.refs()
    ref, checksum = _choose(repository, refs, ref)
    raw = bytes.fromhex(checksum)
    data = repository.read(object_path(f"{checksum}.{COMMIT}"), METADATA_LIMIT)
    if data is None:
        raise BuildError(f"{repository.where} names commit {checksum} as ref {ref}, and does not have it.", "Make or fetch it anew.")
    verify(raw, COMMIT, data)
    commit = read_commit(raw, data)
    trees = _Trees(repository)
    names = trees.objects(commit, "filez" if mode.startswith("archive") else "file")
    sizes = list(repository.sizes(names))
    return {
        "mode": mode,
        "refs": refs if refs is not None else {ref: checksum},
        "ref": ref,
        "commit": checksum,
        "parent": commit.parent,
        "date": iso_time(commit.timestamp),
        "version": commit.version,
        "subject": commit.subject,
        "kernel": commit.kernel or trees.kernel(commit),
        "objects": len(sizes),
        "size": sum(size for size in sizes if size is not None),
        "missing": sizes.count(None) + trees.missing,
        "signatures": _commit_signatures(repository, raw),
        "summary_signatures": _summary_signatures(repository),
    }


def signatures(metadata: Mapping[str, Variant]) -> list[dict[str, Any]]:
    """Kinds of signatures in detached metadata, and how many there are of each: [{'type': 'gpg', 'count': 1}].

    ostree's src/libostree: ostree-repo.c (ostree.gpgsigs), ostree-sign-*.c (ostree.sign.<name>), each an aay.
    """
    found = []
    for key, value in sorted(metadata.items()):
        kind = _SIGNATURES.get(key) or (key[len(_SIGN) :] if key.startswith(_SIGN) else "")
        if kind and value.signature == "aay":
            try:
                found.append({"type": kind[:100], "count": len(decode("aay", value.data))})
            except ValueError as error:
                raise BuildError(
                    f"Signatures of kind {kind[:100]} are malformed: {error}.", "Make or fetch the repository anew."
                ) from error
    return found


def summary_refs(data: bytes) -> dict[str, str]:
    """Refs in a summary, and their commits.

    :raises ValueError: it is no summary.
    """
    refs, _metadata = decode("(a(s(taya{sv}))a{sv})", data)
    if any(len(checksum) != 32 for _name, (_size, checksum, _more) in refs):
        raise ValueError("a ref has no checksum of 32 bytes")
    return {name: checksum.hex() for name, (_size, checksum, _more) in refs}


def ref_checksum(data: bytes) -> str:
    """The commit that a ref's file names; '' where it names none."""
    match = re.fullmatch(rb"([0-9a-f]{64})\s*", data)
    return match[1].decode() if match else ""


class _Trees:
    """The directories of a commit."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.missing = 0

    def objects(self, commit: Commit, suffix: str) -> list[str]:
        """Names of all objects that the commit consists of; of directories those that are there."""
        trees, metas = {commit.tree}, {commit.meta}
        files: set[bytes] = set()
        waiting = [commit.tree]
        while waiting:
            names = [f"{checksum.hex()}.{DIRTREE}" for checksum in waiting]
            waiting = []
            for name, data in self._repository.read_all(names):
                if data is None:
                    self.missing += 1
                    trees.discard(bytes.fromhex(name[:64]))
                    continue
                checksum = bytes.fromhex(name[:64])
                verify(checksum, DIRTREE, data)
                tree = read_dirtree(checksum, data)
                new = tree.trees - trees
                trees |= new
                waiting += new
                metas |= tree.metas
                files |= tree.files
                if len(trees) + len(metas) + len(files) > OBJECT_LIMIT:
                    raise BuildError(
                        f"{self._repository.where}: the commit has more than {OBJECT_LIMIT} objects: no operating system's has."
                    )
        kinds = ((COMMIT, {bytes.fromhex(commit.checksum)}), (DIRTREE, trees), (DIRMETA, metas), (suffix, files))
        return [f"{checksum.hex()}.{kind}" for kind, checksums in kinds for checksum in sorted(checksums)]

    def kernel(self, commit: Commit) -> str:
        """The version of the only kernel, by its modules' folder; '' where there is none, or several."""
        tree = commit.tree
        for name in _MODULES:
            found = self._folders(tree).get(name)
            if found is None:
                return ""
            tree = found
        kernels = list(self._folders(tree))
        return kernels[0] if len(kernels) == 1 else ""

    def _folders(self, checksum: bytes) -> dict[str, bytes]:
        ((_name, data),) = self._repository.read_all([f"{checksum.hex()}.{DIRTREE}"])
        if data is None:
            return {}
        verify(checksum, DIRTREE, data)
        read_dirtree(checksum, data)
        return {name: tree for name, tree, _meta in decode("(a(say)a(sayay))", data)[1]}


def _mode(repository: Repository) -> str:
    config = repository.read("config", CONFIG_LIMIT)
    match = re.search(rb"^\s*mode\s*=\s*([a-z0-9-]+)\s*$", config or b"", re.MULTILINE)
    if config is None or match is None:
        why = "it has no file config" if config is None else "its file config names no mode"
        raise BuildError(f"{repository.where} is no ostree repository: {why}.", "Give the place where refs/ and objects/ are.")
    return match[1].decode()


def _choose(repository: Repository, refs: Optional[dict[str, str]], ref: str) -> tuple[str, str]:
    """The ref to tell of, and its commit."""
    if refs is None:
        ref = ref or USUAL_REF
        data = repository.read(f"refs/heads/{ref}", REF_LIMIT)
        if data is None:
            raise BuildError(f"{repository.where} has no ref {ref}, and no summary of those that it has.", "Set ref to one of them.")
        checksum = ref_checksum(data)
        if not checksum:
            raise BuildError(f"{repository.where}: the ref {ref} names no commit.", "Make or fetch it anew.")
        return ref, checksum
    if not refs:
        raise BuildError(f"{repository.where} has no ref.", "Make or fetch it anew.")
    if not ref:
        ref = next(iter(refs)) if len(refs) == 1 else USUAL_REF
    if ref not in refs:
        raise BuildError(f"{repository.where} has no ref {ref}.", f"Set ref to one of those that it has: {', '.join(sorted(refs)[:20])}.")
    return ref, refs[ref]


def _commit_signatures(repository: Repository, checksum: bytes) -> list[dict[str, Any]]:
    data = repository.read(object_path(f"{checksum.hex()}.{COMMITMETA}"), METADATA_LIMIT)
    return [] if data is None else signatures(read_commitmeta(checksum, data))


def _summary_signatures(repository: Repository) -> list[dict[str, Any]]:
    data = repository.read("summary.sig", SUMMARY_LIMIT)
    if data is None:
        return []
    try:
        return signatures(dict(decode("a{sv}", data)))
    except ValueError as error:
        raise BuildError(f"{repository.where}: summary.sig is malformed: {error}.", "Make or fetch it anew.") from error
