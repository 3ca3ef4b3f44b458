# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boot images: what the module tells of them, beside what other tools tell."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.image_info.conftest import Info
from tests.support import module_call, registry
from tests.support.command import ROOT, run
from tests.support.ostree_sysroot import KERNEL
from tests.support.registry import Registry
from tests.support.sample_disk import SMALL, DiskSpec, boot_disk
from tests.support.sample_image import write_layout
from tests.support.watching import open_files, wait_until

LARGER = DiskSpec(padding=192)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small disk as other tools want it."""
    path = tmp_path_factory.mktemp("raw") / "disk.raw"
    run("qemu-img", "convert", "-O", "raw", boot_disk(SMALL), path)
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Info(tmp_path_factory.mktemp("info")).image(boot_disk(SMALL))


def blkid(raw: Path, partition: dict[str, Any], tag: str) -> str:
    place = ("--offset", str(partition["start"]), "--size", str(partition["size"]))
    return run("blkid", "--probe", *place, "--match-tag", tag, "--output", "value", raw).strip()


def test_partitions_are_those_of_sfdisk(image: dict[str, Any], raw: Path) -> None:
    table = json.loads(run("sfdisk", "--json", raw))["partitiontable"]
    assert image["partition_table"] == {"type": table["label"], "uuid": table["id"].lower(), "sector_size": table["sectorsize"]}
    assert image["partitions"] == [
        {
            "number": number,
            "label": each["name"],
            "type": each["type"].lower(),
            "uuid": each["uuid"].lower(),
            "start": each["start"] * table["sectorsize"],
            "size": each["size"] * table["sectorsize"],
        }
        for number, each in enumerate(table["partitions"], 1)
    ]
    assert image["virtual_size"] == raw.stat().st_size
    assert image["size"] == boot_disk(SMALL).stat().st_size


def test_filesystems_are_those_of_blkid(image: dict[str, Any], raw: Path) -> None:
    found = zip(image["filesystems"], image["partitions"])
    assert [(each["type"], each["uuid"], each["label"]) for each in image["filesystems"]] == [
        tuple(blkid(raw, partition, tag) for tag in ("TYPE", "UUID", "LABEL")) for _filesystem, partition in found
    ]
    assert [each["partition"] for each in image["filesystems"]] == ["EFI-SYSTEM", "boot", "root"]


def test_the_operating_system_is_that_of_the_deployment(image: dict[str, Any]) -> None:
    (entry,) = image["boot_entries"]
    (deployment,) = image["deployments"]
    assert entry["deployment"] == deployment["path"] and deployment["commit"] == image["commit"]
    assert deployment["path"] == f"/ostree/deploy/ock/deploy/{image['commit']}.0"
    assert (image["version"], image["kubernetes_version"], image["kernel"]) == ("1.33.0", "1.33", f"{KERNEL}.x86_64")
    assert (image["architecture"], image["provider"], image["os_release"]["VARIANT_ID"]) == ("amd64", "qemu", "ock")
    assert f"root=UUID={image['filesystems'][2]['uuid']}" in entry["kernel_arguments"]


def test_of_several_deployments_the_one_that_boots_is_told(info: Info) -> None:
    found = info.image(boot_disk(DiskSpec(deployments=2, rescue_entry=True)))
    assert len(found["deployments"]) == 2
    assert [entry["version"] for entry in found["boot_entries"]] == ["2", "1", "0"]
    assert found["boot_entries"][0]["deployment"].endswith(f"{found['commit']}.0")
    assert found["version"] == "1.33.1"


def test_both_engines_say_the_same(info: Info) -> None:
    native, guestfs = (info.image(boot_disk(SMALL), engine=engine, path="/", recursive=True) for engine in ("native", "guestfs"))
    assert (native.pop("engine"), guestfs.pop("engine")) == ("native", "guestfs")
    assert {each["partition"] for each in native["files"]} == {"EFI-SYSTEM", "boot", "root"} and len(native["files"]) > 500
    assert native == guestfs


def test_folders_are_as_the_kernel_sees_them(info: Info, image: dict[str, Any], raw: Path) -> None:
    """The kernel's view by find(1), in a mount namespace that ends with it."""
    place = image["partitions"][2]
    top = image["deployments"][0]["path"]
    script = (
        f"mount -o loop,ro,norecovery,offset={place['start']},sizelimit={place['size']} {raw} /mnt && cd /mnt{top} && "
        "find . -mindepth 1 -printf '%P\\t%y\\t%04m\\t%U\\t%G\\t%s\\t%l\\n'"
    )
    lines = run("unshare", "--mount", "--propagation", "private", "sh", "-c", script).splitlines()
    kinds = {"f": "file", "d": "directory", "l": "symlink"}
    seen = {}
    for line in lines:
        name, kind, mode, uid, gid, size, target = line.split("\t")
        seen[f"{top}/{name}"] = (kinds[kind], mode, int(uid), int(gid), int(size) if kind == "f" else None, target or None)
    files = info.image(boot_disk(SMALL), partition="root", path=top, recursive=True)["files"]
    assert len(files) > 150
    told = {each["path"]: (each["type"], each["mode"], each["uid"], each["gid"], each.get("size"), each.get("target")) for each in files}
    assert told == seen


def test_the_efi_system_partition_is_as_mtools_sees_it(info: Info, image: dict[str, Any], raw: Path) -> None:
    (program,) = info.image(boot_disk(SMALL), path="/EFI/BOOT/BOOTX64.EFI")["files"]
    place = f"{raw}@@{image['partitions'][0]['start']}"
    judged = subprocess.run(["mtype", "-i", place, "::EFI/BOOT/BOOTX64.EFI"], check=True, capture_output=True).stdout
    assert base64.b64decode(program["content"]) == judged
    assert (program["encoding"], program["size"], program["partition"]) == ("base64", len(judged), "EFI-SYSTEM")


@pytest.mark.parametrize(("width", "sectors"), [(12, 4096), (16, 65536), (32, 204800)])
def test_fat_of_every_width_is_read_as_it_was_written(info: Info, tmp_path: Path, width: int, sectors: int) -> None:
    part, disk = tmp_path / "part", tmp_path / "disk.raw"
    with part.open("wb") as file:
        file.truncate(sectors * 512)
    run("mkfs.vfat", "-F", str(width), "-n", f"WIDTH{width}", part)
    tree = tmp_path / "tree"
    (tree / "Some folder/deeper").mkdir(parents=True)
    for number in range(60):
        (tree / f"Some folder/a file with a long name, number {number}.txt").write_bytes(bytes([number]) * number * 97)
    (tree / "Some folder/deeper/UPPER.TXT").write_text("upper")
    (tree / "Some folder/deeper/lower.txt").write_text("lower")
    run("mcopy", "-s", "-i", part, tree / "Some folder", "::")
    run("mdel", "-i", part, *(f"::Some folder/a file with a long name, number {number}.txt" for number in range(0, 60, 7)))
    (tree / "large").write_bytes(bytes(range(256)) * 1200)  # into the holes
    run("mcopy", "-i", part, tree / "large", "::large")
    with disk.open("wb") as file:
        file.truncate((sectors + 4096) * 512)
    run("sfdisk", "--quiet", disk, stdin=f'label: gpt\nstart=2048, size={sectors}, name="EFI"\n')
    run("dd", f"if={part}", f"of={disk}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
    run("qemu-img", "convert", "-O", "qcow2", disk, tmp_path / "disk.qcow2")
    found = info.image(tmp_path / "disk.qcow2", path="/", recursive=True)
    assert [(each["type"], each["label"]) for each in found["filesystems"]] == [("vfat", f"WIDTH{width}")]
    kept = {f"/Some folder/a file with a long name, number {number}.txt": number * 97 for number in range(60) if number % 7}
    expected = {**kept, "/Some folder/deeper/UPPER.TXT": 5, "/Some folder/deeper/lower.txt": 5, "/large": 307200}
    assert {each["path"]: each["size"] for each in found["files"] if each["type"] == "file"} == expected
    for path in ("/large", "/Some folder/a file with a long name, number 59.txt"):
        (file_told,) = info.image(tmp_path / "disk.qcow2", path=path)["files"]
        content = base64.b64decode(file_told["content"]) if file_told["encoding"] == "base64" else file_told["content"].encode()
        assert content == (tree / path.lstrip("/")).read_bytes()


def test_a_conversion_shows(info: Info, tmp_path: Path) -> None:
    params = {"source": str(boot_disk(SMALL)), "dest": str(tmp_path / "boot.oci"), "kernel_arguments": ["rd.iscsi.firmware=1"]}
    made = module_call.call("ocne_boot_image", params)
    found = info.image(made["path"])
    assert found["provider"] == "oci"
    uuids = {each["partition"]: each["uuid"] for each in found["filesystems"]}
    assert {label: change["after"] for label, change in made["changes"]["uuids"].items()} == {key: uuids[key] for key in ("boot", "root")}
    (entry,) = found["boot_entries"]
    assert " ".join(entry["kernel_arguments"]) == made["changes"]["boot_entries"]["/loader/entries/ostree-1-ock.conf"]["after"]
    (fstab,) = info.image(made["path"], partition="root", path=f"{found['deployments'][0]['path']}/etc/fstab")["files"]
    assert fstab["content"] == made["changes"]["fstab"][fstab["path"]]["after"]
    hook = f"{found['deployments'][0]['path']}/etc/oci-dhclient.sh"
    assert info.image(made["path"], path=hook)["files"][0]["mode"] == "0755"


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout") / "ock"
    write_layout(folder, architectures=("amd64", "arm64"), more_layers=True)
    return folder


@pytest.fixture
def pushed(layout: Path) -> Iterator[Registry]:
    with registry.serve() as running:
        running.push(f"oci:{layout}:1.33", "ock:1.33")
        yield running


def test_an_image_in_a_registry_is_fetched_once_and_nothing_else_is_left(info: Info, pushed: Registry) -> None:
    source = pushed.reference("ock:1.33")
    index = json.loads(run("skopeo", "inspect", "--tls-verify=false", "--raw", source))
    digests = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
    for architecture, machine in (("amd64", "x86_64"), ("arm64", "aarch64")):
        found = info.image(source, architecture=machine)
        assert (found["digest"], found["architecture"], found["kernel"]) == (digests[architecture], architecture, f"{KERNEL}.{machine}")
    fetched = pushed.request_count("GET /v2/ock/blobs/")
    (entry,) = info.image(source, architecture="arm64", partition="boot", path="/loader/entries")["files"]
    assert entry["path"] == "/loader/entries/ostree-1-ock.conf"
    assert fetched > 0 and pushed.request_count("GET /v2/ock/blobs/") - fetched <= 1  # the configuration
    assert info.left() == []


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive", "dir"])
def test_every_transport_is_read(info: Info, layout: Path, tmp_path: Path, image: dict[str, Any], transport: str) -> None:
    name = f"{transport}:{tmp_path}/copy" + (":ock:1.33" if transport == "docker-archive" else "")
    run("skopeo", "copy", "--quiet", "--override-arch=amd64", f"oci:{layout}:1.33", name)
    found = info.image(name)
    assert {key: value for key, value in found.items() if key != "digest"} == image
    if transport == "oci-archive":
        assert info.image(tmp_path / "copy") == found
        run("gzip", tmp_path / "copy")
        assert info.image(tmp_path / "copy.gz") == found
    if transport == "dir":
        assert "dir:" in info.message(tmp_path / "copy")


def test_a_layout_is_read_by_its_folder(info: Info, tmp_path: Path) -> None:
    write_layout(tmp_path / "ock", compression="zstd", index=False)
    assert info.image(tmp_path / "ock")["provider"] == "qemu"
    assert "is an image for amd64, not for arm64" in info.message(tmp_path / "ock", architecture="arm64")


def test_check_mode_says_the_same(info: Info, layout: Path) -> None:
    for source in (boot_disk(SMALL), f"oci:{layout}:1.33"):
        told, checked = info(source, architecture="amd64"), info(source, check=True, architecture="amd64")
        assert told["image"] == checked["image"] and told["changed"] is checked["changed"] is False


def test_an_account_is_asked_for_and_never_shown(info: Info, layout: Path) -> None:
    with registry.serve(auth=True) as running:
        source = running.push(f"oci:{layout}:1.33", "ock:1.33")
        assert "podman login" in info.message(source)
        result = info(source, username=running.username, password=running.password, architecture="amd64")
        assert result["image"]["provider"] == "qemu" and running.password not in json.dumps(result)


_MEASURE = """
import re, sys
from pathlib import Path
from tests.support import module_call
module_call.call("ocne_image_info", {"source": sys.argv[1], "cache_dir": sys.argv[2], "tls_verify": False})
print(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image whose disk is larger than the memory that there may be for it."""
    folder = tmp_path_factory.mktemp("large") / "ock"
    write_layout(folder, LARGER, index=False)
    return folder


def test_memory_does_not_grow_with_the_image(tmp_path: Path, large: Path) -> None:
    for source in (str(boot_disk(LARGER)), f"oci:{large}:1.33"):
        peak = run(sys.executable, "-c", _MEASURE, source, tmp_path / "cache", cwd=ROOT)
        assert int(peak) < 140 << 10, "KiB"


def test_a_killed_run_leaves_no_disk(info: Info, large: Path) -> None:
    process = module_call.start("ocne_image_info", {"source": f"oci:{large}:1.33", "cache_dir": str(info.cache)})
    wait_until(lambda: _unnamed_files(process.pid, info.cache), process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert info.left() == []


def _unnamed_files(pid: int, folder: Path) -> list[str]:
    """Files without a name that the process has open in the folder."""
    unnamed = (name for name in open_files(pid) if "/#" in name or name.endswith("(deleted)"))
    return [name for name in unnamed if name.startswith(f"{folder}/")]


def test_wrong_input_is_told(info: Info, tmp_path: Path, layout: Path) -> None:
    disk = boot_disk(SMALL)
    text, truncated, hostile = tmp_path / "text", tmp_path / "truncated", tmp_path / "hostile"
    text.write_text("no disk")
    with disk.open("rb") as source:
        truncated.write_bytes(source.read(disk.stat().st_size // 2))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", hostile)
    empty = tmp_path / "empty.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", empty, "1G")
    for said, source, options in (
        ("/no/such/file is no file", "/no/such/file", {}),
        ("is a folder, and no OCI layout", tmp_path, {}),
        ("neither a qcow2 disk image nor an OCI archive", text, {}),
        ("it is truncated", truncated, {}),
        ("has a backing file", hostile, {}),
        ("no GUID partition table", empty, {}),
        ("no partition data. Choose one of those that there are: 1 (EFI-SYSTEM), 2 (boot), 3 (root)", disk, {"partition": "data"}),
        ("There is no /no/such on the partitions looked at: boot", disk, {"partition": "boot", "path": "/no/such"}),
        ("There is no /no/such on the partitions looked at: EFI-SYSTEM, boot, root", disk, {"path": "/no/such"}),
        ("etc is not absolute", disk, {"path": "etc"}),
        ("recursive needs path", disk, {"recursive": True}),
        ("connection refused", "docker://localhost:1/ock:1.33", {}),
        ("no image for arm64; it has: amd64", f"oci:{tmp_path}/one:1.33", {"architecture": "arm64"}),
        ("'a b' is not a reference", "a b", {}),
    ):
        if "one:" in str(source):
            write_layout(tmp_path / "one")
        message = info.message(source, **options)
        assert said in message, message
        assert "Traceback" not in message and "/proc/" not in message
    assert info.left() == []


def test_a_damaged_disk_in_an_image_is_told_by_the_images_name(info: Info, tmp_path: Path) -> None:
    from tests.support.container_image import Layout

    broken = Layout(tmp_path / "broken")
    broken.tag("1.33", broken.add_image([{"disk/boot.qcow2": b"QFI\xfb\0\0\0\x09" + bytes(600)}], "amd64", "gzip"))
    message = info.message(f"oci:{tmp_path}/broken:1.33")
    assert f"The disk in oci:{tmp_path}/broken:1.33: qcow2 version 9 is not known" in message


def test_a_log_that_is_dirty_is_told(info: Info) -> None:
    assert "log" in info.message(boot_disk(DiskSpec(flaw="dirty-root-log")))


def test_what_native_does_not_know_is_left_to_guestfs(info: Info, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = boot_disk(DiskSpec(flaw="ext4-boot"))
    found = info.image(disk)
    assert [each["partition"] for each in found["filesystems"]] == ["EFI-SYSTEM", "root"]
    assert (found["boot_entries"], found["engine"]) == ([], "native")
    question = {"partition": "boot", "path": "/loader/entries"}
    assert "only XFS and FAT are" in info.message(disk, engine="native", **question)
    monkeypatch.setenv("PATH", str(tmp_path))  # where there is no guestfish
    message = info.message(disk, **question)
    assert "libguestfs is not installed" in message and "as the engine before it said" in message and "only XFS and FAT are" in message


def test_nothing_is_written_beside_a_file(info: Info, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copyfile(boot_disk(SMALL), folder / "boot.qcow2")
    (folder / "boot.qcow2").chmod(0o400)
    before = hashlib.sha256((folder / "boot.qcow2").read_bytes()).hexdigest()
    stat = (folder / "boot.qcow2").stat()
    info.image(folder / "boot.qcow2", path="/")
    assert [path.name for path in folder.iterdir()] == ["boot.qcow2"] and not info.cache.exists()
    assert hashlib.sha256((folder / "boot.qcow2").read_bytes()).hexdigest() == before
    assert (folder / "boot.qcow2").stat().st_mtime_ns == stat.st_mtime_ns
