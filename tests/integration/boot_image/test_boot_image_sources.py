# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where boot images come from: every transport, compression and shape of image; fetched once, verified always."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _digests

from tests.integration.boot_image.conftest import Converter
from tests.support import registry
from tests.support.command import run
from tests.support.registry import Registry
from tests.support.sample_disk import SMALL, boot_disk
from tests.support.sample_image import write_layout

BLOBS = "GET /v2/ock/blobs/"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over both architectures, whose disks differ."""
    folder = tmp_path_factory.mktemp("layout") / "ock"
    write_layout(folder, architectures=("amd64", "arm64"))
    return folder


@pytest.fixture
def pushed(layout: Path) -> Iterator[Registry]:
    with registry.serve() as running:
        running.push(f"oci:{layout}:1.33", "ock:1.33")
        yield running


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_every_compression_gives_the_same_disk(convert: Converter, tmp_path: Path, compression: str) -> None:
    write_layout(tmp_path / "ock", compression=compression, index=False)
    result = convert(f"oci:{tmp_path}/ock:1.33")
    assert result["changed"] and result["engine"] == "native"
    assert Path(result["path"]).stat().st_size == result["size"]
    assert f"sha256:{run('sha256sum', result['path']).split()[0]}" == f"sha256:{result['sha256']}"
    run("qemu-img", "check", "-q", result["path"])


def test_the_disk_is_found_in_one_of_several_layers(convert: Converter, tmp_path: Path) -> None:
    write_layout(tmp_path / "ock", more_layers=True)
    assert convert(f"oci:{tmp_path}/ock:1.33")["changed"]


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive", "dir"])
def test_every_transport_gives_the_same_disk(convert: Converter, layout: Path, tmp_path: Path, transport: str) -> None:
    name = f"{transport}:{tmp_path}/copy" + (":ock:1.33" if transport == "docker-archive" else "")
    run("skopeo", "copy", "--quiet", "--override-arch=amd64", f"oci:{layout}:1.33", name)
    result = convert(name)
    reference = Converter(tmp_path / "reference")(boot_disk(SMALL))
    assert result["size"] == reference["size"] and result["changed"]
    assert not convert(name)["changed"]


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_an_architecture_is_picked_from_an_index(convert: Converter, layout: Path, docker: bool) -> None:
    with registry.serve() as running:
        source = running.push(f"oci:{layout}:1.33", "ock:1.33", docker=docker)
        index = json.loads(run("skopeo", "inspect", "--tls-verify=false", "--raw", source))
        digests = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
        for architecture in ("amd64", "arm64"):
            dest = str(convert.dest) + architecture
            assert convert(source, architecture=architecture, dest=dest)["source_digest"] == digests[architecture]


def test_file_without_a_record_is_read_once(convert: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "disk.qcow2"
    shutil.copyfile(boot_disk(SMALL), source)
    time.sleep(2.1)  # what was written a moment ago is not trusted
    made = convert(source)
    monkeypatch.setattr(_digests, "file_sha256", lambda *_arguments: pytest.fail("the file was read again"))
    assert not convert(source)["changed"]
    monkeypatch.undo()

    before = source.stat()
    with source.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert convert(source, check=True)["source_digest"] != made["source_digest"]


def test_nothing_is_fetched_twice(convert: Converter, pushed: Registry) -> None:
    source = pushed.reference("ock:1.33")
    convert(source)
    layers = pushed.request_count(BLOBS)
    assert layers > 0
    second = convert(source)
    assert not second["changed"] and second["actions"] == []
    assert convert(source, provider="olvm", dest=str(convert.dest) + ".olvm")["changed"]
    assert pushed.request_count(BLOBS) == layers


def test_a_damaged_blob_of_the_cache_is_fetched_again(convert: Converter, pushed: Registry) -> None:
    source = pushed.reference("ock:1.33")
    sha256 = convert(source)["sha256"]
    largest = max((convert.cache / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    assert convert(source, force=True)["sha256"] == sha256
    largest.unlink()
    assert convert(source, force=True)["sha256"] == sha256


def test_a_layer_with_a_wrong_digest_at_its_publisher_is_an_error(convert: Converter, tmp_path: Path) -> None:
    write_layout(tmp_path / "ock")
    largest = max((tmp_path / "ock/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    message = convert.message(f"oci:{tmp_path}/ock:1.33")
    assert largest.name in message or "digest" in message
    assert convert.left() == []


def test_a_password_is_asked_for_and_taken_and_never_shown(convert: Converter, layout: Path) -> None:
    with registry.serve(auth=True, tls=True) as running:
        source = running.push(f"oci:{layout}:1.33", "ock:1.33")
        trusted = {"tls_verify": True, "ca_certificates": str(running.ca)}
        denied = convert.message(source, **trusted)
        assert "podman login" in denied and running.host in denied
        wrong = convert.message(source, username=running.username, password="canary-of-a-wrong-password", **trusted)
        assert f"refused the account {running.username}" in wrong and "canary" not in wrong
        assert "certificate" in convert.message(source, username=running.username, password=running.password, tls_verify=True)
        result = convert(source, username=running.username, password=running.password, **trusted)
        assert result["changed"] and running.password not in json.dumps(result)


def test_what_is_not_there_is_named(convert: Converter, pushed: Registry, tmp_path: Path) -> None:
    assert "ock:9.99" in convert.message(pushed.reference("ock:9.99"))
    assert "nothing" in convert.message(pushed.reference("nothing:1.33"))
    assert "connection refused" in convert.message("docker://localhost:1/ock:1.33")
    assert "/no/such/disk.qcow2 is no file" in convert.message("/no/such/disk.qcow2")
    write_layout(tmp_path / "amd64")
    assert "no image for arm64; it has: amd64" in convert.message(f"oci:{tmp_path}/amd64:1.33", architecture="arm64")
    write_layout(tmp_path / "bare", index=False)
    assert "is an image for amd64, not for arm64" in convert.message(f"oci:{tmp_path}/bare:1.33", architecture="arm64")
    assert convert.left() == []


def test_an_image_without_a_disk_and_one_with_two(convert: Converter, tmp_path: Path) -> None:
    from tests.support.container_image import Layout

    for name, files in {"none": {"etc/issue": b"x"}, "two": {"disk/a.qcow2": b"x", "disk/b.qcow2": b"y"}}.items():
        made = Layout(tmp_path / name)
        made.tag("1.33", made.add_image([files], "amd64", "gzip"))
    assert "holds no disk/*.qcow2" in convert.message(f"oci:{tmp_path}/none:1.33")
    assert "several disks: a.qcow2, b.qcow2" in convert.message(f"oci:{tmp_path}/two:1.33")
    assert convert.left() == []


def test_a_new_source_under_the_same_tag_is_converted(convert: Converter, pushed: Registry, tmp_path: Path) -> None:
    source = pushed.reference("ock:1.33")
    first = convert(source)
    write_layout(tmp_path / "newer", dataclasses.replace(SMALL, rescue_entry=True), architectures=("amd64",))
    pushed.push(f"oci:{tmp_path}/newer:1.33", "ock:1.33")
    predicted = convert(source, check=True)
    assert predicted["changed"] and predicted["source_digest"] != first["source_digest"]
    assert convert(source)["source_digest"] == predicted["source_digest"]
