# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import closure, objects
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.closure import Closure
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import Variant, encode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.objects import (
    DIRMETA,
    DIRTREE,
    FILE,
    Commit,
    DirTree,
    FileHeader,
    check_dirmeta,
    check_xattrs,
    read_commit,
    read_commitmeta,
    read_dirtree,
    verify,
)

A, B, C, D = (bytes([number]) * 32 for number in range(1, 5))


def _commit(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "metadata": [("version", Variant("s", b"1.33\0")), ("ostree.linux", Variant("s", b"5.15\0"))],
        "parent": b"",
        "related": [],
        "subject": "subject",
        "body": "",
        "timestamp": 1767225600,
        "tree": A,
        "meta": B,
        **changes,
    }
    return encode("(a{sv}aya(say)sstayay)", tuple(fields.values()))


def test_a_commit_tells_its_root_time_and_version() -> None:
    commit = read_commit(C, _commit())
    assert (commit.tree, commit.meta, commit.timestamp, commit.subject, commit.version) == (A, B, 1767225600, "subject", "1.33")
    assert read_commit(C, _commit(metadata=[])).version == ""
    assert read_commit(C, _commit(metadata=[("version", Variant("u", b"\0\0\0\x01"))])).version == ""


@pytest.mark.parametrize("data", [_commit(tree=b"short"), _commit(timestamp=1 << 60), _commit()[:-3], b""])
def test_a_malformed_commit_is_refused(data: bytes) -> None:
    with pytest.raises(BuildError, match=f"{C.hex()}.commit is malformed"):
        read_commit(C, data)


def test_a_directory_tells_what_it_names() -> None:
    data = encode("(a(say)a(sayay))", ([("file", A), ("same", A)], [("sub", B, C)]))
    assert read_dirtree(D, data) == DirTree(frozenset([A]), frozenset([B]), frozenset([C]))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc"])
def test_a_name_that_no_directory_can_hold_is_refused(name: str) -> None:
    for entries in ([(name, A)], []), ([], [(name, A, B)]):
        with pytest.raises(BuildError, match="a name in it is none a file can have"):
            read_dirtree(D, encode("(a(say)a(sayay))", entries))


def test_a_name_twice_and_a_short_checksum_are_refused() -> None:
    with pytest.raises(BuildError, match="a name is in it twice"):
        read_dirtree(D, encode("(a(say)a(sayay))", ([("x", A)], [("x", B, C)])))
    with pytest.raises(BuildError, match="a checksum in it is not one of 32 bytes"):
        read_dirtree(D, encode("(a(say)a(sayay))", ([("x", A[:31])], [])))


def test_a_directory_has_a_directorys_mode_and_named_attributes() -> None:
    check_dirmeta(A, encode("(uuua(ayay))", (0, 0, 0o40755, [(b"security.selinux\0", b"x")])))
    for mode in (0o100644, 0o755, 0o1040755):
        with pytest.raises(BuildError, match=f"mode {mode:o} is not a directory's"):
            check_dirmeta(A, encode("(uuua(ayay))", (0, 0, mode, [])))
    with pytest.raises(BuildError, match="no well-formed name"):
        check_dirmeta(A, encode("(uuua(ayay))", (0, 0, 0o40755, [(b"", b"x")])))


def test_absurd_attributes_are_refused() -> None:
    check_xattrs("x", b"")
    check_xattrs("x", encode("a(ayay)", [(b"user.a\0", b""), (b"user.b\0", b"1")]))
    with pytest.raises(BuildError, match="more than any file can have"):
        check_xattrs("x", encode("a(ayay)", [(b"user.a\0", b"v" * (1 << 20))]))
    for name in (b"", b"\0", b"user.a", b"us\0er\0"):
        with pytest.raises(BuildError, match="no well-formed name"):
            check_xattrs("x", encode("a(ayay)", [(name, b"")]))


def test_detached_metadata_is_a_dictionary() -> None:
    read_commitmeta(A, encode("a{sv}", [("ostree.gpgsigs", Variant("aay", b"sig\x03"))]))
    with pytest.raises(BuildError, match="commitmeta is malformed"):
        read_commitmeta(A, b"no dictionary")


def test_an_objects_bytes_have_the_checksum_that_it_is_called_by() -> None:
    verify(hashlib.sha256(b"bytes").digest(), DIRMETA, b"bytes")
    with pytest.raises(BuildError, match=f"{A.hex()}.dirmeta is damaged: its checksum is {hashlib.sha256(b'bytes').hexdigest()}"):
        verify(A, DIRMETA, b"bytes")


@pytest.mark.parametrize("length", [0, 100, 240, 300, 65500, 66000])
def test_a_files_header_is_the_variant_that_ostree_checksums(length: int) -> None:
    attributes = [(b"user.a\0", b"v" * length)]
    header = FileHeader(5, 6, 0o100644, b"", encode("a(ayay)", attributes))
    body = encode("(uuuusa(ayay))", (5, 6, 0o100644, 0, "", attributes))
    assert header.checksummed() == len(body).to_bytes(4, "big") + bytes(4) + body
    body = encode("(tuuuusa(ayay))", (9, 5, 6, 0o100644, 0, "", attributes))
    assert header.archived(9) == len(body).to_bytes(4, "big") + bytes(4) + body


def _closure() -> Closure:
    wanted = Closure()
    wanted.add_commit(Commit("c", 1, A, B, 0, "", ""))
    return wanted


def test_what_the_commit_needs_is_taken_once() -> None:
    wanted = _closure()
    assert wanted.take(DIRTREE, A) and wanted.take(DIRMETA, B)
    wanted.add_tree(DirTree(frozenset([C]), frozenset([A]), frozenset([B])))
    assert not wanted.take(FILE, D)
    assert wanted.take(FILE, C)
    wanted.check_complete()
    for kind, checksum in ((FILE, C), (DIRTREE, A), (DIRMETA, B)):
        with pytest.raises(BuildError, match=f"{checksum.hex()}.{kind} is in the image twice"):
            wanted.take(kind, checksum)


def test_what_is_missing_is_named() -> None:
    wanted = _closure()
    wanted.take(DIRTREE, A)
    with pytest.raises(BuildError, match=f"ostree object {B.hex()}.dirmeta is missing"):
        wanted.check_complete()
    wanted.add_tree(DirTree(frozenset([C, D]), frozenset(), frozenset()))
    with pytest.raises(BuildError, match=f"{B.hex()}.dirmeta and 2 more is missing"):
        wanted.check_complete()


def test_the_number_of_objects_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "OBJECT_LIMIT", 3)
    with pytest.raises(BuildError, match="more than 3 objects"):
        _closure().add_tree(DirTree(frozenset([C, D]), frozenset(), frozenset()))


def test_kinds_are_the_suffixes_of_names() -> None:
    assert (objects.COMMIT, objects.COMMITMETA, DIRTREE, DIRMETA, FILE) == ("commit", "commitmeta", "dirtree", "dirmeta", "file")
