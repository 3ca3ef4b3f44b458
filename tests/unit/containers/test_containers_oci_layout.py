# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.oci_layout import Unreadable, read_manifest
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import Reference
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

from tests.support.container_image import Layout


def _archive(path: Path, names: tuple[str, ...], prefix: str = "") -> dict[str, str]:
    """An OCI archive with images of these names; their digests."""
    layout = Layout(path.with_suffix(".layout"))
    digests = {}
    for name in names:
        descriptor = layout.add_image([{"a": name.encode()}], "amd64", "none")
        layout.tag(name, descriptor)
        digests[name] = descriptor["digest"]
    with tarfile.open(path, "w") as archive:
        for entry in sorted(layout.folder.rglob("*")):
            archive.add(entry, prefix + str(entry.relative_to(layout.folder)), recursive=False)
    return digests


def _digest(reference: str, transport: str = "oci-archive") -> str:
    raw = read_manifest(Reference(transport, reference))
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


@pytest.mark.parametrize("prefix", ["", "./"])
def test_manifest_of_the_only_image(tmp_path: Path, prefix: str) -> None:
    digests = _archive(tmp_path / "a.tar", ("one",), prefix)
    assert _digest(f"{tmp_path}/a.tar") == _digest(f"{tmp_path}/a.tar:one") == digests["one"]


def test_manifest_of_one_of_several(tmp_path: Path) -> None:
    digests = _archive(tmp_path / "a.tar", ("one", "two"))
    assert _digest(f"{tmp_path}/a.tar:two") == _digest(f"{tmp_path}/a.layout:two", "oci") == digests["two"]


@pytest.mark.parametrize("name", ["", ":three"])
def test_image_that_is_not_named_clearly_is_left_to_skopeo(tmp_path: Path, name: str) -> None:
    _archive(tmp_path / "a.tar", ("one", "two"))
    with pytest.raises(Unreadable):
        _digest(f"{tmp_path}/a.tar{name}")


def test_missing_compressed_cut_or_damaged_archive_is_left_to_skopeo(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    _archive(path, ("one",))
    (tmp_path / "cut.tar").write_bytes(path.read_bytes()[:2000])
    (tmp_path / "no.tar").write_bytes(b"x" * 5000)
    with gzip.open(tmp_path / "packed.tar", "wb") as packed, path.open("rb") as plain:
        shutil.copyfileobj(plain, packed)
    for name in ("none", "cut", "no", "packed"):
        with pytest.raises(Unreadable):
            _digest(f"{tmp_path}/{name}.tar")


def test_damaged_manifest_is_refused(tmp_path: Path) -> None:
    digest = _archive(tmp_path / "a.tar", ("one",))["one"]
    layout = tmp_path / "a.layout"
    (layout / "blobs/sha256" / digest[7:]).write_bytes(b'{"schemaVersion": 2}')
    with tarfile.open(tmp_path / "damaged.tar", "w") as archive:
        archive.add(layout, ".")
    for name, transport in (("damaged.tar", "oci-archive"), ("a.layout", "oci")):
        with pytest.raises(OcneError, match="is damaged"):
            _digest(f"{tmp_path}/{name}", transport)


def test_index_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("{}")
    (tmp_path / "layout").mkdir()
    index = {"manifests": [{"digest": "sha256:../../../secret"}]}
    (tmp_path / "layout/index.json").write_text(json.dumps(index))
    with pytest.raises(Unreadable):
        _digest(f"{tmp_path}/layout", "oci")


def test_archive_of_countless_members_is_refused_without_skopeo(tmp_path: Path) -> None:
    header = tarfile.TarInfo("blobs/x").tobuf()
    (tmp_path / "a.tar").write_bytes(header * 10_001 + bytes(1024))
    with pytest.raises(OcneError, match=r"a\.tar has more than 10000 members"):
        _digest(f"{tmp_path}/a.tar")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_archive_with_a_huge_extended_header_is_not_held_in_memory(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 4 << 30
    with (tmp_path / "a.tar").open("wb") as archive:
        archive.write(header.tobuf(tarfile.GNU_FORMAT))
        archive.truncate(5 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            _digest(f"{tmp_path}/a.tar")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
