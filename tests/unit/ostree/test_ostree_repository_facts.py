# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a repository: one in memory, and the same in the layers of an image."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree import layer_repository, repository_facts
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import Variant, encode
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.layer_repository import LayerRepository
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.objects import read_commit
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.repository import CONFIG, summary
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.repository_facts import describe_repository, summary_refs

from tests.support.container_image import Layout

KERNEL = "5.15.0-1.x86_64"


class Maker:
    """Writes a repository: paths and bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"config": CONFIG}
        self.meta = self.add("dirmeta", encode("(uuua(ayay))", (0, 0, stat.S_IFDIR | 0o755, [])))

    def add(self, kind: str, data: bytes, checksum: Optional[bytes] = None) -> bytes:
        checksum = checksum or hashlib.sha256(data).digest()
        self.files[self.path(checksum, kind)] = data
        return checksum

    def path(self, checksum: bytes, kind: str) -> str:
        return f"objects/{checksum.hex()[:2]}/{checksum.hex()[2:]}.{kind}"

    def tree(self, content: dict[str, Any]) -> bytes:
        files = [(name, self.add("filez", value)) for name, value in sorted(content.items()) if isinstance(value, bytes)]
        trees = [(name, self.tree(value), self.meta) for name, value in sorted(content.items()) if isinstance(value, dict)]
        return self.add("dirtree", encode("(a(say)a(sayay))", (files, trees)))

    def commit(self, content: dict[str, Any], ref: str = "ock", kernel: str = "", parent: bytes = b"") -> bytes:
        metadata = [("version", Variant("s", encode("s", "1.33.4")))]
        metadata += [("ostree.linux", Variant("s", encode("s", kernel)))] if kernel else []
        fields = (metadata, parent, [], "a subject", "", 1_700_000_000, self.tree(content), self.meta)
        checksum = self.add("commit", encode("(a{sv}aya(say)sstayay)", fields))
        self.files[f"refs/heads/{ref}"] = checksum.hex().encode() + b"\n"
        return checksum

    def sign(self, checksum: bytes, **kinds: int) -> None:
        keys = [(f"ostree.{kind.replace('_', '.')}", Variant("aay", encode("aay", [b"s"] * count))) for kind, count in kinds.items()]
        self.files[self.path(checksum, "commitmeta")] = encode("a{sv}", [*keys, ("other", Variant("s", b"x\0"))])


class MemoryRepository:
    where = "The repository"

    def __init__(self, files: dict[str, bytes], listed: bool = True) -> None:
        self.files = files
        self.listed = listed

    def read(self, path: str, limit: int) -> Optional[bytes]:
        return self.files.get(path)

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, Optional[bytes]]]:
        return ((name, self.files.get(f"objects/{name[:2]}/{name[2:]}")) for name in names)

    def sizes(self, names: Iterable[str]) -> Iterator[Optional[int]]:
        return (len(data) if data is not None else None for _name, data in self.read_all(names))

    def refs(self) -> Optional[dict[str, str]]:
        heads = {path[11:]: data.decode().strip() for path, data in self.files.items() if path.startswith("refs/heads/")}
        return heads if self.listed else None


TREE = {"usr": {"lib": {"modules": {KERNEL: {"vmlinuz": b"kernel"}}, "os-release": b"twice"}}, "etc": {"issue": b"twice"}}


@pytest.fixture
def maker() -> Maker:
    made = Maker()
    made.commit(TREE)
    return made


def test_everything_about_a_commit_is_told(maker: Maker) -> None:
    checksum = bytes.fromhex(maker.files["refs/heads/ock"].decode().strip())
    maker.add("filez", b"of nothing")
    found = describe_repository(MemoryRepository(maker.files))
    own = {path: data for path, data in maker.files.items() if path.startswith("objects") and data != b"of nothing"}
    assert found == {
        "mode": "archive-z2",
        "refs": {"ock": checksum.hex()},
        "ref": "ock",
        "commit": checksum.hex(),
        "parent": "",
        "date": "2023-11-14T22:13:20Z",
        "version": "1.33.4",
        "subject": "a subject",
        "kernel": KERNEL,
        # one commit, the root and six folders, one set of attributes, two contents
        "objects": 1 + 6 + 1 + 2,
        "size": sum(map(len, own.values())),
        "missing": 0,
        "signatures": [],
        "summary_signatures": [],
    }
    assert found["objects"] == len(own)


def test_the_commits_own_word_on_its_kernel_counts(maker: Maker) -> None:
    maker.commit(TREE, kernel="6.12.0")
    assert describe_repository(MemoryRepository(maker.files))["kernel"] == "6.12.0"
    maker.commit({"usr": {"lib": {"modules": {"one": {}, "two": {}}}}})
    assert describe_repository(MemoryRepository(maker.files))["kernel"] == ""
    maker.commit({})
    assert describe_repository(MemoryRepository(maker.files))["kernel"] == ""


def test_signatures_are_told_by_kind(maker: Maker) -> None:
    checksum = maker.commit(TREE, parent=b"p" * 32)
    maker.sign(checksum, gpgsigs=2, sign_ed25519=1, sign_spki=3)
    maker.files["summary.sig"] = encode("a{sv}", [("ostree.gpgsigs", Variant("aay", encode("aay", [b"x"])))])
    found = describe_repository(MemoryRepository(maker.files))
    assert found["signatures"] == [{"type": "gpg", "count": 2}, {"type": "ed25519", "count": 1}, {"type": "spki", "count": 3}]
    assert found["summary_signatures"] == [{"type": "gpg", "count": 1}]
    assert found["parent"] == (b"p" * 32).hex()


def test_what_is_missing_is_counted(maker: Maker) -> None:
    for path in [path for path, data in maker.files.items() if path.startswith("objects") and data in (b"kernel", b"twice")]:
        del maker.files[path]
    found = describe_repository(MemoryRepository(maker.files))
    assert (found["missing"], found["objects"]) == (2, 10)
    gone = next(path for path in maker.files if path.endswith(".dirtree") and KERNEL.encode() in maker.files[path])
    del maker.files[gone]
    assert describe_repository(MemoryRepository(maker.files))["missing"] == 2


def test_a_ref_is_chosen(maker: Maker) -> None:
    other = maker.commit({}, "ock/arm64")
    refs = MemoryRepository(maker.files)
    assert describe_repository(refs)["ref"] == "ock"
    assert describe_repository(refs, "ock/arm64")["commit"] == other.hex()
    with pytest.raises(BuildError, match=r"has no ref nothing. Set ref to one of those that it has: ock, ock/arm64"):
        describe_repository(refs, "nothing")
    del maker.files["refs/heads/ock"]
    assert describe_repository(refs)["ref"] == "ock/arm64"
    del maker.files["refs/heads/ock/arm64"]
    with pytest.raises(BuildError, match="has no ref"):
        describe_repository(refs)


def test_a_ref_is_found_where_refs_cannot_be_listed(maker: Maker) -> None:
    found = describe_repository(MemoryRepository(maker.files, listed=False))
    assert found["refs"] == {"ock": found["commit"]}
    with pytest.raises(BuildError, match="has no ref nothing, and no summary"):
        describe_repository(MemoryRepository(maker.files, listed=False), "nothing")
    maker.files["refs/heads/ock"] = b"<html>"
    with pytest.raises(BuildError, match="the ref ock names no commit"):
        describe_repository(MemoryRepository(maker.files, listed=False))


@pytest.mark.parametrize(("config", "told"), [(None, "it has no file config"), (b"<html>mode</html>", "names no mode")])
def test_what_is_no_repository_is_told(maker: Maker, config: Optional[bytes], told: str) -> None:
    maker.files.pop("config")
    maker.files.update({"config": config} if config else {})
    with pytest.raises(BuildError, match=f"is no ostree repository: .*{told}"):
        describe_repository(MemoryRepository(maker.files))


def test_damage_is_told(maker: Maker) -> None:
    commit = next(path for path in maker.files if path.endswith(".commit"))
    good = maker.files.pop(commit)
    with pytest.raises(BuildError, match="as ref ock, and does not have it"):
        describe_repository(MemoryRepository(maker.files))
    maker.files[commit] = good[:-1] + b"!"
    with pytest.raises(BuildError, match=r"\.commit is damaged"):
        describe_repository(MemoryRepository(maker.files))
    maker.files[commit] = good
    tree = next(path for path in maker.files if path.endswith(".dirtree"))
    maker.files[tree] += b"!"
    with pytest.raises(BuildError, match=r"\.dirtree is damaged"):
        describe_repository(MemoryRepository(maker.files))


def test_hostile_signatures_are_told(maker: Maker) -> None:
    checksum = maker.commit(TREE)
    maker.files[maker.path(checksum, "commitmeta")] = encode("a{sv}", [("ostree.gpgsigs", Variant("aay", b"\xff"))])
    with pytest.raises(BuildError, match="Signatures of kind gpg are malformed"):
        describe_repository(MemoryRepository(maker.files))
    maker.files[maker.path(checksum, "commitmeta")] = b"no dictionary"
    with pytest.raises(BuildError, match="commitmeta is malformed"):
        describe_repository(MemoryRepository(maker.files))


def test_a_commit_without_an_end_is_refused(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_facts, "OBJECT_LIMIT", 5)
    with pytest.raises(BuildError, match="more than 5 objects"):
        describe_repository(MemoryRepository(maker.files))


def test_a_summary_names_its_refs(maker: Maker) -> None:
    checksum = bytes.fromhex(maker.files["refs/heads/ock"].decode().strip())
    assert summary_refs(summary("ock", read_commit(checksum, maker.files[maker.path(checksum, "commit")]))) == {"ock": checksum.hex()}
    for broken in (b"", b"<html>", encode("(a(s(taya{sv}))a{sv})", ([("ock", (1, b"short", []))], []))):
        with pytest.raises(ValueError):
            summary_refs(broken)


def layers(folder: Path, *contents: dict[str, bytes], labels: Optional[dict[str, str]] = None) -> LayerRepository:
    layout = Layout(folder)
    layout.tag("latest", layout.add_image(contents, "amd64", "gzip"))
    image = read_image(folder, folder / "blobs")
    image.config["config"] = {"Labels": labels or {}}
    return LayerRepository(image)


@pytest.mark.parametrize("place", ["", "usr/share/nginx/html/ostree/", "./srv/"])
def test_a_repository_is_found_in_layers(tmp_path: Path, maker: Maker, place: str) -> None:
    files = {place + path: data for path, data in maker.files.items()}
    first = {path: data for number, (path, data) in enumerate(files.items()) if number % 2}
    rest = {path: data for path, data in files.items() if path not in first}
    found = layers(tmp_path / "image", {"etc/config": b"x", **first}, rest)
    assert describe_repository(found) == describe_repository(MemoryRepository(maker.files))
    assert found.where.startswith(f"The repository /{place.rstrip('/').lstrip('./')} in image sha256:")


def test_several_repositories_are_told_and_a_label_chooses(tmp_path: Path, maker: Maker) -> None:
    other = Maker()
    other.commit({"a": b"1"})
    files = {f"one/{path}": data for path, data in maker.files.items()}
    files.update({f"two/{path}": data for path, data in other.files.items()})
    with pytest.raises(BuildError, match="holds several ostree repositories: /one/, /two/"):
        layers(tmp_path / "a", files)
    chosen = layers(tmp_path / "b", files, labels={"ocne.images.ostree.repository": "/two"})
    assert describe_repository(chosen) == describe_repository(MemoryRepository(other.files))


def test_an_image_without_a_repository_is_told(tmp_path: Path, maker: Maker) -> None:
    with pytest.raises(BuildError, match=r"neither a disk \(disk/\*.qcow2\) nor an ostree repository"):
        layers(tmp_path / "a", {"etc/nginx/nginx.conf": b"x"})
    del maker.files["config"]
    with pytest.raises(BuildError, match="neither a disk"):
        layers(tmp_path / "b", maker.files)


def test_an_image_full_of_objects_is_refused(tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BuildError, match=r"objects in \d+ places"):
        layers(tmp_path / "a", {f"{number}/objects/aa/{'b' * 62}.filez": b"" for number in range(101)})
    monkeypatch.setattr(layer_repository, "_KEPT_LIMIT", 200)
    with pytest.raises(BuildError, match="more than 200 bytes of ostree metadata"):
        layers(tmp_path / "b", maker.files)
    with pytest.raises(BuildError, match="more than 200 bytes of ostree metadata"):
        layers(tmp_path / "c", {f"{number}/config": b"" for number in range(10)})
