# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every transport as source and as destination: copied, found unchanged, changed; judged by skopeo itself."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from tests.support import module_call
from tests.support.command import run
from tests.support.container_image import Layout
from tests.support.image_push import Image, failure, push, tree
from tests.support.registry import Registry

DESTINATIONS = {
    "docker": "docker://{host}/{name}:1",
    "dir": "dir:{folder}/dest",
    "oci": "oci:{folder}/dest:tag",
    "oci-archive": "oci-archive:{folder}/dest.tar:tag",
    "docker-archive": "docker-archive:{folder}/dest.tar:localhost/dest:1",
    "containers-storage": "containers-storage:localhost/dest:1",
    "docker-daemon": "docker-daemon:localhost/{name}:1",
}
#: They write Docker's manifest, which has no type for zstd.
DOCKERS_OWN = ("docker-archive", "docker-daemon")


@pytest.fixture(params=DESTINATIONS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def docker_host(a_docker_daemon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", a_docker_daemon)


@pytest.fixture
def dest(transport: str, tmp_path: Path, a_registry: Registry, request: pytest.FixtureRequest) -> str:
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    return DESTINATIONS[transport].format(host=a_registry.host, name=name, folder=tmp_path / "out")


def _inspect(reference: str, *options: str) -> bytes:
    return run("skopeo", "inspect", "--raw", *options, *_reached(reference), reference).encode()


def _reached(reference: str, side: str = "") -> list[str]:
    """skopeo's options for it."""
    if reference.startswith("docker-daemon:"):
        return [f"--{side}daemon-host={os.environ['DOCKER_HOST']}"]
    return [f"--{side}tls-verify=false"] if reference.startswith("docker:") else []


def _digest(reference: str) -> str:
    return f"sha256:{hashlib.sha256(_inspect(reference)).hexdigest()}"


def _sources(image: Image, registry: Registry, folder: Path) -> dict[str, str]:
    """The same image behind every transport, and in Docker's format."""
    sources = {
        "oci": image.reference,
        "oci-archive": f"oci-archive:{image.archive(folder / 'src.tar')}",
        "docker": registry.push(image.reference, "source:oci"),
        "docker format": registry.push(image.reference, "source:docker", docker=True),
        "dir": f"dir:{folder}/src",
        "docker-archive": f"docker-archive:{folder}/src-docker.tar:localhost/src:1",
        "containers-storage": "containers-storage:localhost/src:1",
        "docker-daemon": "docker-daemon:localhost/src:1",
    }
    for transport in ("dir", "docker-archive", "containers-storage", "docker-daemon"):
        run("skopeo", "copy", "--quiet", *_reached(sources[transport], "dest-"), image.reference, sources[transport])
    return sources


@pytest.mark.parametrize(
    "source", ["oci", "oci-archive", "docker", "docker format", "dir", "docker-archive", "containers-storage", "docker-daemon"]
)
def test_from_any_transport_to_any(source: str, dest: str, transport: str, image: Image, a_registry: Registry, tmp_path: Path) -> None:
    src = _sources(image, a_registry, tmp_path)[source]
    options = {"tls_verify": False, "src_tls_verify": False}

    predicted = push(src, dest, check=True, **options)
    made = push(src, dest, **options)
    again = push(src, dest, **options)

    assert (made["changed"], made["copied"]) == (predicted["changed"], True)
    assert made["digest"] == _digest(dest)
    assert made["diff"]["after"] == predicted["diff"]["after"] == again["diff"]["before"] == again["diff"]["after"]
    assert (again["changed"], again["copied"], again["actions"], again["digest"]) == (False, False, [], made["digest"])
    assert json.loads(_inspect(dest, "--config"))["rootfs"] == json.loads(_inspect(src, "--config"))["rootfs"]
    if predicted.get("digest"):
        assert made["digest"] == predicted["digest"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_layers_are_not_compressed_anew(compression: str, dest: str, transport: str, tmp_path: Path) -> None:
    image = Image(tmp_path / "image", compression=compression)
    if compression == "zstd" and transport in DOCKERS_OWN:
        assert "zstd compression is not supported" in failure(image.reference, dest)["msg"]
        return
    made = push(image.reference, dest, tls_verify=False)
    if transport not in DOCKERS_OWN:
        assert made["digest"] == _digest(dest) == image.digest


def test_another_image_is_copied_over_the_first(dest: str, tmp_path: Path) -> None:
    first, second = Image(tmp_path / "1", 1), Image(tmp_path / "2", 2)
    push(first.reference, dest, tls_verify=False)
    before = push(first.reference, dest, tls_verify=False)

    predicted = push(second.reference, dest, check=True, tls_verify=False)
    assert _digest(dest) == before["digest"]
    made = push(second.reference, dest, tls_verify=False)

    assert (predicted["changed"], predicted["copied"]) == (True, False)
    assert made["copied"]
    assert made["diff"]["before"] == predicted["diff"]["before"] == before["diff"]["after"]
    assert made["diff"]["before"] != made["diff"]["after"] == predicted["diff"]["after"]
    assert _digest(dest) == made["digest"] != before["digest"]
    assert not push(second.reference, dest, tls_verify=False)["changed"]


def test_check_mode_writes_nothing(dest: str, transport: str, image: Image, a_registry: Registry, tmp_path: Path) -> None:
    archive = image.archive(tmp_path / "src.tar")
    before, requests = _outside_storage(tmp_path), a_registry.request_count('"GET')
    result = push(archive, dest, check=True, tls_verify=False)
    assert (result["changed"], result["copied"]) == (True, False)
    assert _outside_storage(tmp_path) == before
    if transport == "docker":
        assert a_registry.request_count('"GET') > requests
        assert f"{dest.rpartition('/')[2].partition(':')[0]}/blobs" not in a_registry.requests.read_text()


def test_unchanged_destination_is_not_touched(dest: str, transport: str, image: Image, a_registry: Registry, tmp_path: Path) -> None:
    began = time.time()
    push(image.reference, dest, tls_verify=False)
    assert _docker_writes(began) == (["load"] if transport == "docker-daemon" else [])

    before, moved, began = tree(tmp_path / "out") if (tmp_path / "out").exists() else {}, _writes(a_registry), time.time()
    push(image.reference, dest, tls_verify=False)
    assert (tree(tmp_path / "out") if (tmp_path / "out").exists() else {}) == before
    assert _writes(a_registry) == moved
    assert _docker_writes(began) == []


def _outside_storage(folder: Path) -> dict[str, tuple[int, int, int]]:
    """podman's storage makes its own folders and locks when it is looked at."""
    return {path: facts for path, facts in tree(folder).items() if not path.startswith(f"{folder}/storage")}


def _docker_writes(began: float) -> list[str]:
    """What the docker daemon has done with images since then, other than read them."""
    writes = ("delete", "import", "load", "pull", "tag", "untag")
    filters = [f"--filter=event={event}" for event in writes]
    return run("docker", "events", f"--since={began:f}", f"--until={time.time():f}", "--format={{.Action}}", *filters).split()


def _writes(registry: Registry) -> int:
    return sum(registry.request_count(f'"{method} ') for method in ("POST", "PUT", "PATCH"))


def test_one_architecture_of_several(dest: str, transport: str, tmp_path: Path, a_registry: Registry) -> None:
    layout = Layout(tmp_path / "several")
    manifests = {each: layout.add_image([{"a": each.encode()}], each, "gzip") for each in ("amd64", "arm64")}
    layout.tag("t", layout.add_index(list(manifests.values())))
    source = a_registry.push(f"oci:{layout.folder}:t", "several:1")
    options = {"tls_verify": False, "src_tls_verify": False, "architecture": "arm64"}
    made = push(source, dest, **options)
    assert json.loads(_inspect(dest, "--config"))["architecture"] == "arm64"
    if transport not in DOCKERS_OWN:
        assert made["digest"] == manifests["arm64"]["digest"]
    assert not push(source, dest, **options)["changed"]
    # From a layout, too.
    assert not push(f"oci:{layout.folder}:t", dest, **options)["changed"]


def test_image_for_one_architecture_is_taken_as_it_is(dest: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "arm")
    layout.tag("t", layout.add_image([{"a": b"arm"}], "arm64", "gzip"))
    assert push(f"oci:{layout.folder}:t", dest, tls_verify=False)["copied"]


def test_gzipped_archive_is_read_by_skopeo(image: Image, tmp_path: Path) -> None:
    archive = image.archive(tmp_path / "a.tar")
    run("gzip", archive)
    made = push(f"{archive}.gz", f"dir:{tmp_path}/d")
    assert made["digest"] == image.digest
    assert not push(f"{archive}.gz", f"dir:{tmp_path}/d")["changed"]


def test_default_source_is_the_archive_that_is_made(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ocne/images").mkdir(parents=True)
    image.archive(tmp_path / ".ocne/images/ock-1.32-arm64-ostree.tar")
    params = {"dest": f"dir:{tmp_path}/d", "kubernetes_version": "1.32", "architecture": "aarch64"}
    assert module_call.call("ocne_image_push", params)["digest"] == image.digest
    assert "ock-1.33-arm64-ostree.tar is not there" in module_call.message("ocne_image_push", {**params, "kubernetes_version": "1.33"})
