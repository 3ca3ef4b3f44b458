# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's promises: made once, whole or not at all, from every transport, in bounded memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.ostree.conftest import Archiver
from tests.support import module_call, proxy, registry
from tests.support.command import ROOT, run
from tests.support.network import machine_address
from tests.support.nginx_image import write_image, write_nginx_image
from tests.support.ostree_image import CHUNKED, COMMIT, SINGLE, load

SOURCE = f"oci-archive:{CHUNKED}"
FINISHED = ["archive.tar", "archive.tar.build.json"]


def test_a_second_run_does_nothing(archive: Archiver) -> None:
    first = archive(SOURCE)
    before = archive.dest.stat()
    second = archive(SOURCE)
    assert first["changed"] and not second["changed"] and not second["actions"]
    for key in ("path", "digest", "sha256", "size", "commit", "source_digest", "base_digest", "ref", "port", "version", "image"):
        assert first[key] == second[key], key
    assert archive.dest.stat() == before
    assert archive.left() == FINISHED
    assert run("sha256sum", archive.dest).split()[0] == first["sha256"]


def test_check_mode_writes_nothing_and_tells_what_a_run_does(archive: Archiver) -> None:
    told = archive(SOURCE, check=True)
    assert told["changed"] and not archive.dest.parent.exists() and not (archive.folder / "cache").exists()
    did = archive(SOURCE)
    assert told["actions"] == did["actions"] and told["source_digest"] == did["source_digest"]
    assert not archive(SOURCE, check=True)["changed"]


def test_every_option_that_matters_makes_it_anew(archive: Archiver, tmp_path: Path) -> None:
    digests = [archive(SOURCE)["digest"]]
    write_nginx_image(tmp_path / "other", port=81)
    for options in ({"ref": "other"}, {"compression_level": 6}, {"document_root": "/srv"}, {"base_image": f"oci:{tmp_path}/other:latest"}):
        result = archive(SOURCE, **options)
        assert result["changed"], options
        digests.append(result["digest"])
    assert len(set(digests)) == len(digests)
    assert archive(SOURCE)["digest"] == digests[0]
    assert archive(SOURCE, force=True)["changed"]


def test_a_damaged_archive_is_made_anew(archive: Archiver) -> None:
    first = archive(SOURCE)
    with archive.dest.open("r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    again = archive(SOURCE)
    assert again["changed"] and again["sha256"] == first["sha256"]


@pytest.mark.parametrize("transport", ["docker", "oci", "dir", "docker-archive"])
def test_every_transport_gives_the_same_repository(archive: Archiver, tmp_path: Path, transport: str) -> None:
    with registry.serve() as running:
        name = running.reference("ock-ostree:1.33") if transport == "docker" else f"{transport}:{tmp_path}/copy"
        name += ":ock:1.33" if transport == "docker-archive" else ""
        run("skopeo", "copy", "--quiet", "--dest-tls-verify=false", SOURCE, name)
        result = archive(name)
        assert not archive(name)["changed"]
    assert result["commit"] == COMMIT


def test_a_damaged_cache_is_fetched_again(archive: Archiver) -> None:
    archive(SOURCE)
    blobs = archive.folder / "cache/blobs/sha256"
    for path in blobs.iterdir():
        if path.stat().st_size > 20000:
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert archive(SOURCE, force=True)["changed"]


def test_a_full_disk_leaves_the_old_archive(archive: Archiver, tmp_path: Path) -> None:
    with _small_filesystem(tmp_path / "small", "6M") as folder:
        dest = folder / "archive.tar"
        first = archive(SOURCE, dest=str(dest))
        message = archive.message(SOURCE, dest=str(dest), ref="other")
        assert f"No space is left for {folder}" in message and "Free some space" in message
        assert sorted(path.name for path in folder.iterdir()) == FINISHED
        assert not archive(SOURCE, dest=str(dest))["changed"]
        assert run("sha256sum", dest).split()[0] == first["sha256"]


@contextmanager
def _small_filesystem(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def test_bad_sources_leave_the_old_archive(archive: Archiver, tmp_path: Path) -> None:
    first = archive(SOURCE)
    image = load(SINGLE)
    image.remove(image.find(".file"))
    image.write(tmp_path / "incomplete")
    image = load(SINGLE)
    image.labels["ostree.final-diffid"] = ""
    image.write(tmp_path / "unlabelled")
    image = load(SINGLE)
    image.architecture = "arm64"
    image.write(tmp_path / "foreign")
    write_image(tmp_path / "no-nginx", ({"etc/issue": b"x"},))
    for source, base, said in (
        ("incomplete", None, "is missing from the image"),
        ("unlabelled", None, "is no ostree container"),
        ("foreign", None, "is an image for arm64, not for amd64"),
        (None, "no-nginx", "has no nginx"),
    ):
        options = {"base_image": f"oci:{tmp_path}/{base}:latest"} if base else {}
        assert said in archive.message(f"oci:{tmp_path}/{source}:latest" if source else SOURCE, **options)
        assert archive.left() == FINISHED
    assert run("sha256sum", archive.dest).split()[0] == first["sha256"]


def test_a_path_is_no_image(archive: Archiver) -> None:
    assert f"Write oci-archive:{SINGLE}" in archive.message(SINGLE)


def test_an_account_does_not_reach_the_base_images_registry(archive: Archiver, base: Path) -> None:
    with registry.serve(auth=True) as private, registry.serve() as public:
        source = private.push(SOURCE, "ock-ostree:1.33")
        nginx = public.push(f"oci:{base}:latest", "nginx:stable")
        result = archive(source, base_image=nginx, username=private.username, password=private.password)
        assert result["commit"] == COMMIT
        assert "REGISTRY" not in json.dumps(result) and private.password not in json.dumps(result)
        # Where the base image is in another registry that wants an account, the source's account is not tried there.
        with registry.serve(auth=True) as other:
            guarded = other.push(f"oci:{base}:latest", "nginx:stable")
            message = archive.message(source, base_image=guarded, username=private.username, password=private.password, force=True)
            assert other.host in message and "podman login" in message


def test_images_come_through_a_proxy_from_a_registry_with_an_authority_of_its_own(archive: Archiver, base: Path) -> None:
    # What is local is reached without a proxy.
    with proxy.serve() as between, registry.serve(auth=True, tls=True, address=machine_address()) as private:
        images = {"source": private.push(SOURCE, "ock-ostree:1.33"), "base_image": private.push(f"oci:{base}:latest", "nginx:stable")}
        options = {"username": private.username, "password": private.password, "tls_verify": True, "proxy": {"https": between.url}}
        assert "certificate" in archive.message(**images, **options)
        between.tunnels.clear()
        result = archive(**images, **options, ca_certificates=str(private.ca))
        assert result["commit"] == COMMIT
        assert {there for _client, there in between.tunnels} == {private.host}
        assert proxy.PASSWORD not in json.dumps(result)


def test_registry_that_goes_away_leaves_the_old_archive(archive: Archiver, base: Path) -> None:
    with registry.serve() as running:
        nginx = running.push(f"oci:{base}:latest", "nginx:stable")
        source = running.push(SOURCE, "ock-ostree:1.33")
        archive(source, base_image=nginx)
        sha256 = run("sha256sum", archive.dest).split()[0]
        running.push(f"oci-archive:{SINGLE}", "ock-ostree:1.33")
        for layer in (running.storage / "docker/registry/v2/blobs").rglob("data"):
            if layer.stat().st_size > 20000:
                layer.write_bytes(layer.read_bytes()[:-5000])  # the connection ends before what was promised
        message = archive.message(source, base_image=nginx, cache_dir=str(archive.folder / "other cache"))
        assert f"Could not copy {running.reference('ock-ostree')}" in message
    assert "connection refused" in archive.message(source, base_image=nginx)
    assert archive.left() == FINISHED
    assert run("sha256sum", archive.dest).split()[0] == sha256


def test_a_killed_run_is_made_good_by_the_next(archive: Archiver) -> None:
    archive.dest.parent.mkdir(parents=True)
    process = module_call.start("ocne_ostree_archive", {**archive.params, "source": SOURCE})
    while not (archive.dest.parent / ".archive.tar.part").exists() and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert archive(SOURCE)["commit"] == COMMIT
    assert archive.left() == FINISHED


_MEASURE = """
import re, sys
from pathlib import Path
from tests import conftest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree_archive import Options, build
source, base, output = (Path(name) for name in sys.argv[1:])
build(read_image(source, source / "blobs"), read_image(base, base / "blobs"), Options(), output)
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("sizes", [(400,), (24,) * 8], ids=["one large file", "files that are compressed at once"])
def test_memory_does_not_grow_with_the_files(tmp_path: Path, base: Path, sizes: tuple[int, ...]) -> None:
    (tmp_path / "tree").mkdir()
    # The middle, by which compressed data is told, can be compressed, and the rest cannot.
    megabyte, middle = os.urandom(1 << 20), bytes(1 << 20)
    for number, size in enumerate(sizes):
        with (tmp_path / f"tree/{number}").open("wb") as file:
            file.write(bytes([number]) + megabyte[1:])
            for at in range(1, size):
                file.write(middle if at == size // 2 else megabyte)
    run(sys.executable, "-m", "tests.support.encapsulate", tmp_path / "tree", tmp_path / "source", cwd=ROOT)
    peak = run(sys.executable, "-c", _MEASURE, tmp_path / "source", base, tmp_path / "out.tar", cwd=ROOT)
    assert int(peak) < 200 << 10, "KiB"
