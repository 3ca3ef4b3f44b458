# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a conversion does to a disk, seen by the kernel: exactly the intended differences, and nothing else."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.integration.boot_image.conftest import Converter
from tests.support.command import run
from tests.support.disk_contents import BOOT, ROOT, contents
from tests.support.listing import Listing
from tests.support.sample_disk import SMALL, DiskSpec, boot_disk

SPECS = {
    "usual": SMALL,
    "compressed": dataclasses.replace(SMALL, compressed=True),
    "several-entries": dataclasses.replace(SMALL, deployments=2, rescue_entry=True),
    "arm64": dataclasses.replace(SMALL, architecture="arm64"),
    "no-machine-id": dataclasses.replace(SMALL, machine_id=False),
}


def changed_paths(before: Listing, after: Listing) -> tuple[set[str], set[str], set[str]]:
    """Paths added, removed, and of files whose content is another."""
    both = before.keys() & after.keys()
    # A folder has other links and sizes when it has other entries; a file that lost a name has fewer links.
    differ = {path for path in both if dataclasses.replace(before[path], links=0) != dataclasses.replace(after[path], links=0)}
    return set(after) - set(before), set(before) - set(after), {path for path in differ if after[path].type != "directory"}


def efi_digest(disk: Path, scratch: Path) -> str:
    raw = scratch / "efi"
    run("qemu-img", "dd", "-O", "raw", f"if={disk}", f"of={raw}", "bs=1M", "count=246")
    digest = hashlib.sha256(raw.read_bytes()).hexdigest()
    raw.unlink()
    return digest


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("provider", ["oci", "olvm"])
def test_exactly_what_the_provider_needs_is_changed(convert: Converter, tmp_path: Path, spec: DiskSpec, provider: str) -> None:
    source = boot_disk(spec)
    result = convert(source, provider=provider, kernel_arguments=["rd.iscsi.firmware=1", "quiet"])
    changes: dict[str, Any] = result["changes"]
    run("qemu-img", "check", "-q", result["path"])
    boot_before, root_before, files_before = contents(source, tmp_path)
    boot_after, root_after, files_after = contents(Path(result["path"]), tmp_path)

    assert changed_paths(boot_before, boot_after) == (set(), set(), {_physical(path, boot_before) for path in changes["boot_entries"]})
    added, removed, changed = changed_paths(root_before, root_after)
    folders = {path for path in added if root_after[path].type == "directory"}
    assert added - folders == set(changes["added"]) and all(any(file.startswith(f"{folder}/") for file in added) for folder in folders)
    assert removed == set(changes["removed"]) and changed == set(changes["fstab"])
    assert len(changes["boot_entries"]) == len(changes["fstab"]) == spec.deployments
    assert bool(removed) == spec.machine_id and bool(added) == (provider == "oci")
    assert efi_digest(source, tmp_path) == efi_digest(Path(result["path"]), tmp_path)

    new = {label: values["after"] for label, values in changes["uuids"].items()}
    for path in changes["boot_entries"]:
        text = files_after[_physical(path, boot_before)].decode()
        platform = {"oci": "oci", "olvm": "openstack"}[provider]
        assert f"ignition.platform.id={platform} " in text and "qemu" not in text
        assert f"root=UUID={new['root']} " in text and "rd.iscsi.firmware=1 quiet" in text
        assert ("console=tty0" in text, "console=ttyS0" in text) == (provider == "olvm", provider == "oci")
        rest = [line for line in text.splitlines() if not line.startswith("options")]
        assert rest == [line for line in files_before[_physical(path, boot_before)].decode().splitlines() if not line.startswith("options")]
    for path in changes["fstab"]:
        for label, values in changes["uuids"].items():
            assert f"UUID={values['after']} {'/boot' if label == 'boot' else '/'} ".encode() in files_after[path]
            assert values["before"].encode() not in files_after[path]
    for path in changes["added"]:
        item = root_after[path]
        assert (item.mode, item.uid, item.gid) == (0o755, 0, 0) and item.selinux
        run("bash", "-n", "/dev/stdin", stdin=files_after[path].decode())


def test_the_filesystems_carry_the_new_uuids(convert: Converter, tmp_path: Path) -> None:
    result = convert(boot_disk(SMALL))
    raw = tmp_path / "raw"
    run("qemu-img", "convert", "-O", "raw", result["path"], raw)
    for (start, _size), label in ((BOOT, "boot"), (ROOT, "root")):
        found = run("blkid", "-p", "-O", str(start), "-s", "UUID", "-o", "value", raw).strip()
        assert found == result["changes"]["uuids"][label]["after"] != result["changes"]["uuids"][label]["before"]


def test_the_same_input_and_options_give_the_same_bytes(convert: Converter, tmp_path: Path) -> None:
    first = convert(boot_disk(SMALL))
    assert Converter(tmp_path / "other")(boot_disk(SMALL))["sha256"] == first["sha256"]
    assert convert(boot_disk(SMALL), kernel_arguments=["quiet"])["sha256"] != first["sha256"]
    platform = convert(boot_disk(SMALL), ignition_provider="oraclecloud")
    assert "ignition.platform.id=oraclecloud" in str(platform["changes"]["boot_entries"])


def test_libguestfs_gives_the_same_contents(convert: Converter, tmp_path: Path) -> None:
    native = convert(boot_disk(SMALL))
    guestfs = Converter(tmp_path / "guestfs")(boot_disk(SMALL), engine="guestfs")
    assert (native["engine"], guestfs["engine"]) == ("native", "guestfs")
    assert native["changes"] == guestfs["changes"]
    seen = [contents(Path(result["path"]), tmp_path) for result in (native, guestfs)]
    assert seen[0] == seen[1]
    run("qemu-img", "check", "-q", guestfs["path"])


def _physical(path: str, boot: Listing) -> str:
    """/loader is a symlink to the folder of the current boot entries."""
    return path.replace("/loader/", f"/{boot['/loader'].content}/", 1)
