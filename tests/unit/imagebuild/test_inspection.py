# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a disk: boot entries, deployments, files; on disks that are made in memory."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild import listing
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.deployments import kubernetes_version, os_release
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import open_native
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.inspection import describe, inspect
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.listing import Question
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.gvariant import Variant, encode

from tests.support.tiny_disk import make_gpt, make_qcow2
from tests.support.tiny_fat import FatMaker
from tests.support.tiny_xfs import Maker, make_xfs

KERNEL = "5.15.0-1.el8uek.x86_64"
RELEASE = b'# a comment\nNAME="Oracle Linux Server"\nID=ol\nPRETTY_NAME=\'Oracle "Linux"\'\nbroken="\nVARIANT_ID=ock\n'
ARGUMENTS = "ignition.platform.id=qemu root=UUID=1 ostree=/ostree/boot.1/ock/0/0"


def commit(version: str = "1.33.4", timestamp: int = 1_700_000_000) -> tuple[str, bytes]:
    metadata = [("version", Variant("s", encode("s", version))), ("ostree.linux", Variant("s", encode("s", KERNEL)))]
    data = encode("(a{sv}aya(say)sstayay)", (metadata, b"", [], "a subject", "", timestamp, b"t" * 32, b"m" * 32))
    return hashlib.sha256(data).hexdigest(), data


CHECKSUM, COMMIT = commit()
DEPLOYMENT = f"/ostree/deploy/ock/deploy/{CHECKSUM}.0"


def root_files() -> dict[str, bytes]:
    return {
        f"{DEPLOYMENT}/usr/lib/os-release": RELEASE,
        f"{DEPLOYMENT}/usr/lib/modules/{KERNEL}/vmlinuz": b"kernel",
        f"{DEPLOYMENT}/etc/fstab": b"a table",
        "/ostree/boot/ock/0/bootcsum": b"",
        f"{DEPLOYMENT}.origin": b"[origin]\n",
        f"/ostree/repo/objects/{CHECKSUM[:2]}/{CHECKSUM[2:]}.commit": COMMIT,
    }


DEPLOYED = f"{DEPLOYMENT}/etc/fstab"


def xfs(files: dict[str, bytes], links: dict[str, str]) -> bytes:
    maker = Maker(make_xfs())
    for path, content in files.items():
        maker.write_file(path.encode(), content, 0o644)
    for path, target in links.items():
        maker.symlink(path.encode(), target.encode())
    return bytes(maker.save().data)


def write_disk(path: Path, boot: dict[str, bytes], root: dict[str, bytes], labels: tuple[str, str] = ("boot", "root")) -> Path:
    boot_links = {"/loader": "loader.1", "/boot": "."} if boot else {}
    root_links = {"/ostree/boot.1": "/ostree/boot", "/ostree/boot/ock/0/0": f"../../../..{DEPLOYMENT}"} if DEPLOYED in root else {}
    partitions = {"EFI-SYSTEM": bytes(FatMaker(16, "EFI").make({"EFI": {"grub.cfg": b"set"}})), labels[0]: xfs(boot, boot_links)}
    partitions[labels[1]] = xfs(root, root_links)
    path.write_bytes(make_qcow2(bytes(make_gpt(partitions))))
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    boot = {
        "/loader.1/entries/ostree-1-ock.conf": f"title Nine\nversion 9\noptions {ARGUMENTS}\n".encode(),
        "/loader.1/entries/ostree-2-ock.conf": f"title\tTen\nversion 10\n# remark\nlinux /vmlinuz\noptions {ARGUMENTS}\n".encode(),
        "/loader.1/entries/rescue.conf": b"title Rescue\nversion 0\noptions rescue\n",
        "/loader.1/entries/README": b"no entry",
    }
    return write_disk(tmp_path_factory.mktemp("disk") / "disk.qcow2", boot, root_files())


def told(disk: Path, **question: Any) -> dict[str, Any]:
    return inspect(disk, "native", Question(**question))


def test_the_deployment_that_boots_is_told(image: Path) -> None:
    found = told(image)
    assert {name: found[name] for name in ("commit", "version", "kernel", "architecture", "kubernetes_version", "provider")} == {
        "commit": CHECKSUM,
        "version": "1.33.4",
        "kernel": KERNEL,
        "architecture": "amd64",
        "kubernetes_version": "1.33",
        "provider": "qemu",
    }
    (deployment,) = found["deployments"]
    assert (deployment["partition"], deployment["osname"], deployment["serial"], deployment["path"]) == ("root", "ock", 0, DEPLOYMENT)
    assert deployment["date"] == "2023-11-14T22:13:20Z"
    assert found["os_release"] == {
        "NAME": "Oracle Linux Server",
        "ID": "ol",
        "PRETTY_NAME": 'Oracle "Linux"',
        "broken": '"',
        "VARIANT_ID": "ock",
    }
    assert (found["engine"], found["engine_reason"], found["size"]) == ("native", "", image.stat().st_size)
    assert "files" not in found


def test_entries_are_in_the_order_in_which_they_boot_and_told_once(image: Path) -> None:
    entries = told(image)["boot_entries"]
    assert [(entry["title"], entry["version"], entry["deployment"]) for entry in entries] == [
        ("Ten", "10", DEPLOYMENT),
        ("Nine", "9", DEPLOYMENT),
        ("Rescue", "0", ""),
    ]
    assert entries[0]["linux"] == "/vmlinuz" and entries[0]["initrd"] == ""
    assert entries[0]["kernel_arguments"] == ARGUMENTS.split()
    assert entries[0]["path"] == "/loader/entries/ostree-2-ock.conf"


def test_entries_of_any_kind_are_told(tmp_path: Path) -> None:
    entries = {
        "superscript.conf": "version \u00b2\noptions a",
        "arabic.conf": "version \u0663\noptions b",
        "long.conf": f"version {'9' * 5000}\noptions c",
        "nothing.conf": "",
        "folder.conf/file": "options d",
    }
    boot = {f"/loader.1/entries/{name}": text.encode() for name, text in entries.items()}
    found = told(write_disk(tmp_path / "disk.qcow2", boot, {"/file": b""}))["boot_entries"]
    assert {entry["path"].rpartition("/")[2]: entry["kernel_arguments"] for entry in found} == {
        "superscript.conf": ["a"],
        "arabic.conf": ["b"],
        "long.conf": ["c"],
        "nothing.conf": [],
        "folder.conf": [],
    }


@pytest.mark.parametrize(
    ("boot", "said"),
    [
        ({"/loader.1/entries/a.conf": b"options a\n" * 6554}, "65540 bytes, more than the limit of 65536"),
        ({f"/loader.1/entries/{number}.conf": b"" for number in range(101)}, "has 101 boot entries: no image has"),
    ],
)
def test_entries_have_limits(tmp_path: Path, boot: dict[str, bytes], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        told(write_disk(tmp_path / "disk.qcow2", boot, {"/file": b""}))


def test_partitions_can_be_told_one_by_one(image: Path) -> None:
    assert [each["label"] for each in told(image)["partitions"]] == ["EFI-SYSTEM", "boot", "root"]
    assert [each["type"] for each in told(image)["filesystems"]] == ["vfat", "xfs", "xfs"]
    for name in ("EFI-SYSTEM", "1"):
        found = told(image, partition=name)
        assert [each["number"] for each in found["partitions"]] == [1]
        assert [each["label"] for each in found["filesystems"]] == ["EFI"]
        assert found["commit"] == CHECKSUM
    with pytest.raises(
        BuildError, match=r"no partition data. Choose one of those that there are: 1 \(EFI-SYSTEM\), 2 \(boot\), 3 \(root\)"
    ):
        told(image, partition="data")


def test_a_disk_without_ostree_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    found = told(write_disk(tmp_path / "disk.qcow2", {}, {}))
    assert (found["boot_entries"], found["deployments"], found["commit"], found["provider"], found["os_release"]) == ([], [], "", "", {})
    assert len(found["filesystems"]) == 3


def test_a_deployment_without_its_commit_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    files = {path: content for path, content in root_files().items() if not path.endswith(".commit")}
    files[f"{DEPLOYMENT}/etc/ocne/kubeadm-default.conf"] = b"kind: ClusterConfiguration\nkubernetesVersion: v1.32.1\n"
    (deployment,) = told(write_disk(tmp_path / "disk.qcow2", {}, files))["deployments"]
    assert (deployment["version"], deployment["date"], deployment["kernel"]) == ("", "", KERNEL)
    assert deployment["kubernetes_version"] == "1.32.1"


def test_a_commit_that_is_not_what_its_name_says_is_damage(tmp_path: Path) -> None:
    files = {path: content[:-1] + b"x" if path.endswith(".commit") else content for path, content in root_files().items()}
    with pytest.raises(BuildError, match=r"\.commit is damaged"):
        told(write_disk(tmp_path / "disk.qcow2", {}, files))


@pytest.mark.parametrize(
    ("treefile", "kubeadm", "version", "expected"),
    [
        ('{"packages": ["podman yq", "kubectl-1.30.1 kubelet-1.31.6", 7]}', "kubernetesVersion: 1.31.1\n", "1.31.4", "1.31.6"),
        ('{"packages": ["kubelet"]}', "x: 1\nkubernetesVersion: 1.31.1\n", "1.31.4", "1.31.1"),
        ('{"packages": ["kubelet-1.31.6-1.el8"]}', "", "", "1.31.6"),
        ("[]", " kubernetesVersion: 1.1\n", "1.31.4", "1.31"),
        ("no JSON", "", "1.31", "1.31"),
        ("", "", "2026.11.1", "2026.11"),
        ("", "", "latest", ""),
        ("[" * 100_000, "", "", ""),
    ],
)
def test_the_kubernetes_version_is_that_of_the_most_exact_source(treefile: str, kubeadm: str, version: str, expected: str) -> None:
    assert kubernetes_version(treefile, kubeadm, version) == expected


def test_os_release_takes_what_is_well_formed() -> None:
    assert os_release('A=1\n =2\nB="x y"\nC=a b\nD=\n') == {"A": "1", "B": "x y", "C": "a b", "D": ""}


def test_a_folder_is_listed_with_attributes(image: Path) -> None:
    files = told(image, partition="root", path=f"{DEPLOYMENT}/")["files"]
    assert [(each["path"], each["type"]) for each in files] == [(f"{DEPLOYMENT}/etc", "directory"), (f"{DEPLOYMENT}/usr", "directory")]
    (fstab,) = told(image, path=f"{DEPLOYMENT}/etc")["files"]
    assert fstab == {"partition": "root", "path": f"{DEPLOYMENT}/etc/fstab", "type": "file", "mode": "0644", "uid": 0, "gid": 0, "size": 7}


def test_a_listing_goes_down_in_order_and_not_through_links(image: Path) -> None:
    paths = [each["path"] for each in told(image, partition="boot", path="/", recursive=True)["files"]]
    assert paths == [
        "/boot",
        "/loader",
        "/loader.1",
        "/loader.1/entries",
        "/loader.1/entries/README",
        "/loader.1/entries/ostree-1-ock.conf",
        "/loader.1/entries/ostree-2-ock.conf",
        "/loader.1/entries/rescue.conf",
    ]


def test_paths_are_told_as_they_were_asked_for(image: Path) -> None:
    files = told(image, path="//loader/entries/")["files"]
    assert {each["path"] for each in files} == {
        "/loader/entries/README",
        *(f"/loader/entries/{name}.conf" for name in ("ostree-1-ock", "ostree-2-ock", "rescue")),
    }
    (readme,) = told(image, path="/boot/loader/entries/README")["files"]
    assert (readme["path"], readme["content"], readme["encoding"]) == ("/boot/loader/entries/README", "no entry", "utf-8")


def test_a_path_is_looked_for_on_every_partition(image: Path) -> None:
    assert {each["partition"] for each in told(image, path="/")["files"]} == {"EFI-SYSTEM", "boot", "root"}
    (config,) = told(image, path="/EFI/grub.cfg")["files"]
    assert (config["partition"], config["content"]) == ("EFI-SYSTEM", "set")
    with pytest.raises(BuildError, match="no /nothing on the partitions looked at: EFI-SYSTEM, boot, root"):
        told(image, path="/nothing")
    with pytest.raises(BuildError, match="no /nothing on the partitions looked at: root"):
        told(image, path="/nothing", partition="3")
    with pytest.raises(BuildError, match=r"no /loader\.1/entries/README/x on"):
        told(image, path="/loader.1/entries/README/x")
    with pytest.raises(BuildError, match="etc is not absolute"):
        told(image, path="etc")


def test_partitions_of_one_label_are_told_by_number(image: Path) -> None:
    with open_native(image, False) as disk:
        files = disk.open(disk.partitions[0])
        twins = [replace(each, label="twin") for each in disk.partitions[:2]]
        found = listing.list_files(SimpleNamespace(partitions=twins, open=lambda _partition: files), Question("twin", "/EFI"))
    assert [each["partition"] for each in found] == ["1", "2"]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"text", "utf-8"),
        ("Grüße\n".encode(), "utf-8"),
        (b"", "utf-8"),
        (b"with\0nul", "base64"),
        (b"\xff\xfe", "base64"),
        (b"\x01" * 5000, "base64"),  # JSON would take six bytes for each
    ],
)
def test_content_is_text_where_it_can_be(tmp_path: Path, content: bytes, encoding: str) -> None:
    disk = write_disk(tmp_path / "disk.qcow2", {}, {"/file": content})
    (file,) = told(disk, path="/file")["files"]
    assert file["encoding"] == encoding
    assert (base64.b64decode(file["content"]) if encoding == "base64" else file["content"].encode()) == content


def test_a_file_that_a_result_cannot_hold_is_an_error(tmp_path: Path) -> None:
    disk = write_disk(tmp_path / "disk.qcow2", {}, {"/fits": b"\xff" * 400_000, "/large": b"x" * 400_001})
    assert len(json.dumps(told(disk, path="/fits"))) < 600_000
    with pytest.raises(BuildError, match=r"/large on partition root has 400001 bytes; .*up to 400000.*List the folder"):
        told(disk, path="/large")


def test_a_listing_that_a_result_cannot_hold_is_an_error(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "RESULT_LIMIT", 500)
    with pytest.raises(BuildError, match=r"/ has more in it than a result can hold: \d+ entries take 500 bytes. Choose"):
        told(image, path="/", recursive=True)


def test_a_symlink_that_leads_nowhere_is_told_itself(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(make_qcow2(bytes(make_gpt({"root": xfs({"/etc/hosts": b""}, {"/etc/mtab": "/proc/self/mounts"})}))))
    (link,) = told(path, path="/etc/mtab")["files"]
    assert (link["type"], link["target"]) == ("symlink", "/proc/self/mounts")


def test_what_is_asked_for_does_not_depend_on_the_rest(image: Path) -> None:
    with open_native(image, False) as disk:
        assert describe(disk) == {
            key: value for key, value in told(image).items() if key not in ("format", "size", "engine", "engine_reason")
        }
