# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import module_call
from tests.support.command import run
from tests.support.encapsulate import encapsulate_tree
from tests.support.nginx_image import write_nginx_image
from tests.support.ostree_image import CHUNKED, SINGLE
from tests.support.podman import Podman


class Archiver:
    """ocne_ostree_archive with a folder and a cache of its own."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self.dest = folder / "images/archive.tar"
        self.params: dict[str, Any] = {
            "base_image": f"oci:{base}:latest",
            "dest": str(self.dest),
            "cache_dir": str(folder / "cache"),
            "architecture": "amd64",
            "tls_verify": False,
        }

    def __call__(self, source: object, check: bool = False, **options: Any) -> dict[str, Any]:
        return module_call.call("ocne_ostree_archive", {**self.params, "source": str(source), **options}, check)

    def message(self, source: object, check: bool = False, **options: Any) -> str:
        return module_call.message("ocne_ostree_archive", {**self.params, "source": str(source), **options}, check)

    def left(self) -> list[str]:
        """Names of all files beside the artefact."""
        return sorted(path.name for path in self.dest.parent.iterdir()) if self.dest.parent.is_dir() else []


@dataclass(frozen=True)
class Archive:
    """An archive that the module made.

    :param result: the module's.
    :param repository: the ostree repository in it, unpacked.
    """

    path: Path
    result: dict[str, Any]
    repository: Path


def unpack(path: Path, folder: Path, document_root: str = "usr/share/nginx/html") -> Path:
    """Unpack the archive's last layer with the system's tar; the repository in it."""
    with tarfile.open(path) as archive:

        def read(name: str) -> bytes:
            return archive.extractfile(name).read()  # type: ignore[union-attr]

        manifest = json.loads(read(f"blobs/sha256/{json.loads(read('index.json'))['manifests'][0]['digest'][7:]}"))
        layer = read(f"blobs/sha256/{manifest['layers'][-1]['digest'][7:]}")
    folder.mkdir()
    (folder / "layer.tar.gz").write_bytes(layer)
    run("tar", "--extract", "--gzip", f"--file={folder / 'layer.tar.gz'}", f"--directory={folder}")
    return folder / document_root / "ostree"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "nginx"
    write_nginx_image(folder)
    return folder


@pytest.fixture
def archive(tmp_path: Path, base: Path) -> Archiver:
    return Archiver(tmp_path, base)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what makes trees hard: owners, modes, attributes, links, names, a file beyond what is held in memory."""
    top = tmp_path_factory.mktemp("tree")
    for name in ("usr/bin", "usr/lib/deep/deeper", "usr/etc", "var", "usr/share/long-" + "x" * 200):
        (top / name).mkdir(parents=True)
    (top / "usr/bin/su").write_bytes(b"\x7fELF" + bytes(5000))
    (top / "usr/bin/su").chmod(0o4755)
    (top / "usr/etc/shadow").write_text("root:!:\n")
    (top / "usr/etc/shadow").chmod(0o000)
    (top / "usr/lib/large").write_bytes(os.urandom(3 << 20) * 3)
    (top / "usr/lib/empty").write_bytes(b"")
    (top / "usr/lib/deep/deeper/näme with space").write_text("x")
    (top / "usr/lib/owned").write_text("owned")
    os.chown(top / "usr/lib/owned", 70000, 80000)
    os.setxattr(top / "usr/lib/owned", "user.note", b"value")
    os.setxattr(top / "usr/lib/deep", "user.folder", b"too")
    (top / "usr/lib/link").symlink_to("deep/deeper/näme with space")
    (top / "lib").symlink_to("usr/lib")
    (top / "usr/lib/twin").hardlink_to(top / "usr/bin/su")
    (top / "usr/share/sticky").mkdir()
    (top / "usr/share/sticky").chmod(0o1777)
    return top


@pytest.fixture(scope="session")
def encapsulated_tree(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encapsulated") / "ock"
    encapsulate_tree(tree, folder, "1.33", chunks=3)
    return folder


@pytest.fixture(scope="session", params=["single", "chunked", "tree"])
def made(request: pytest.FixtureRequest, base: Path, encapsulated_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The archive of each source, with the objects compressed as libostree does it."""
    sources = {"single": f"oci-archive:{SINGLE}", "chunked": f"oci-archive:{CHUNKED}", "tree": f"oci:{encapsulated_tree}:latest"}
    archiver = Archiver(tmp_path_factory.mktemp(request.param), base)
    result = archiver(sources[request.param], compression_level=6)
    return Archive(archiver.dest, result, unpack(archiver.dest, archiver.folder / "unpacked"))


@pytest.fixture
def podman() -> Iterator[Podman]:
    running = Podman()
    yield running
    running.close()
