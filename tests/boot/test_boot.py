# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converted images boot: firmware, GRUB, kernel, Ignition, an ostree deployment and NetworkManager, all real, in emulated machines.

Two disks are good, and two are spoilt on purpose, which shows that a failed boot is seen. They boot once, two side by
side; each test looks at what came of them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import Edit, WriteFile
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.native import open_native

from tests.support import disk_contents, module_call, sample_image
from tests.support.boot import machine, metadata
from tests.support.boot.machine import Boot
from tests.support.command import run
from tests.support.ostree_sysroot import MACHINE_ID
from tests.support.sample_disk import BOOTABLE, boot_disk

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the bootable disk is made with GRUB for x86_64")

#: Where the search for a host name begins, and that of the whole network.
SUBNET, NETWORK = machine.DOMAIN, machine.DOMAIN.partition(".")[2]
NO_UUID = str(uuid.UUID(int=0xDEAD))


@dataclass(frozen=True)
class Image:
    """:param result: what the module returned."""

    path: Path
    result: dict[str, Any]
    boot: Boot

    @property
    def uuids(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = self.result["changes"]["uuids"]
        return found


@dataclass(frozen=True)
class Boots:
    """:param tokens: what the user data of each metadata service lets Ignition write, by the provider that has such a service."""

    images: dict[str, Image]
    spoilt: dict[str, Boot]
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def boots(tmp_path_factory: pytest.TempPathFactory) -> Boots:
    folder = tmp_path_factory.mktemp("boot")
    digest = sample_image.write_layout(folder / "layout", BOOTABLE, compression="none")
    assert digest.startswith("sha256:")
    sources = {"oci": f"oci:{folder / 'layout'}:{BOOTABLE.version}", "olvm": str(boot_disk(BOOTABLE))}
    # On OLVM the console is a screen, which nobody can read here: it is on the serial line, too.
    arguments = {"oci": ["rd.iscsi.firmware=1"], "olvm": ["console=ttyS0"]}
    results = {
        provider: module_call.call(
            "ocne_boot_image",
            {
                "source": source,
                "provider": provider,
                "kernel_arguments": arguments[provider],
                "dest": str(folder / provider),
                "engine": "native",
                "architecture": BOOTABLE.architecture,
            },
        )
        for provider, source in sources.items()
    }
    shutil.rmtree(folder / "layout")
    disks = {provider: Path(result["path"]) for provider, result in results.items()}
    disks |= {name: _spoilt(disks["oci"], results["oci"]["changes"], name, folder) for name in ("root", "boot")}
    tokens = {"oci": secrets.token_hex(8), "olvm": secrets.token_hex(8)}

    def start(disk: Path) -> Boot:
        return machine.boot(disk, for_oracle=_user_data(tokens["oci"]), for_openstack=_user_data(tokens["olvm"]))

    with ThreadPoolExecutor(2) as pool:
        came = dict(zip(disks, pool.map(start, disks.values()), strict=True))
    images = {provider: Image(disks[provider], results[provider], came.pop(provider)) for provider in sources}
    for name, boot in {**{provider: image.boot for provider, image in images.items()}, **came}.items():
        # pytest shows it where a test fails.
        print(f"==== {name}: {boot.ended} after {boot.seconds:.0f} s\n{boot.console}\n{json.dumps(boot.facts, indent=1)}")
    return Boots(images, came, tokens)


def _user_data(token: str) -> str:
    file = {"path": "/etc/ignition-token", "contents": {"source": f"data:,{token}"}, "mode": 0o644}
    return json.dumps({"ignition": {"version": "3.4.0"}, "storage": {"files": [file]}})


def _spoilt(disk: Path, changes: dict[str, Any], label: str, folder: Path) -> Path:
    """A copy of the converted disk in which only the reference to one filesystem is wrong: root's in the boot entry, or boot's in fstab."""
    spoilt = folder / f"spoilt-{label}"
    shutil.copy(disk, spoilt)
    right = changes["uuids"][label]["after"]
    # What waits for the filesystem need not be patient: it never comes.
    wrong = {
        "root": [(right, NO_UUID)],
        "boot": [(right, NO_UUID), ("/boot xfs defaults", "/boot xfs x-systemd.device-timeout=5")],
    }
    (path,) = changes["boot_entries" if label == "root" else "fstab"]
    partition = "boot" if label == "root" else "root"
    with open_native(spoilt, writable=True) as opened:
        text = opened.filesystem(partition).read(path).decode()
        for old, new in wrong[label]:
            assert text.count(old) == 1, text
            text = text.replace(old, new)
        edits: list[Edit] = [WriteFile(partition, path, text.encode())]
        opened.apply(edits, 0)
    return spoilt


def _filesystem_uuid(disk: Path, start: int, scratch: Path) -> str:
    """The UUID of the filesystem at that byte of the disk, as blkid reads it."""
    part = scratch / "part"
    run(
        "qemu-img",
        "dd",
        "-f",
        "qcow2",
        "-O",
        "raw",
        "bs=1M",
        f"skip={start >> 20}",
        f"count={(start >> 20) + 64}",
        f"if={disk}",
        f"of={part}",
    )
    return run("blkid", "--probe", "--match-tag", "UUID", "--output", "value", part).strip()


@pytest.fixture(params=["oci", "olvm"])
def image(request: pytest.FixtureRequest, boots: Boots) -> Image:
    return boots.images[request.param]


def test_nothing_goes_wrong_by_the_console_and_by_systemd(image: Image) -> None:
    assert image.result["engine"] == "native"
    assert image.boot.failures == {} and image.boot.ended == "powered off"
    assert "Linux version " in image.boot.console and "Reached target" in image.boot.console
    facts = image.boot.facts
    assert (facts["state"], facts["failed_units"], facts["end"]) == ("running", "", "yes")


def test_root_and_boot_are_those_with_the_new_uuids(image: Image, tmp_path: Path) -> None:
    for label, (start, _size) in {"root": disk_contents.ROOT, "boot": disk_contents.BOOT}.items():
        there = _filesystem_uuid(image.path, start, tmp_path)
        assert image.boot.facts[label].split()[:2] == [there, "xfs"]
        assert there == image.uuids[label]["after"] != image.uuids[label]["before"]
    assert f" root=UUID={image.uuids['root']['after']} " in image.boot.facts["arguments"]
    assert image.boot.facts["boot_unit"] == "/etc/fstab"


def test_the_deployment_that_the_entry_names_is_the_one_that_runs(image: Image) -> None:
    (fstab,) = image.result["changes"]["fstab"]
    deployment = fstab.removesuffix("/etc/fstab")
    (entry,) = image.result["changes"]["boot_entries"].values()
    assert image.boot.facts["root"].endswith(f"[{deployment}]")
    assert image.boot.facts["deployment"] == f"ock {deployment.rpartition('/')[2]}"
    # GRUB puts the kernel's file before the arguments.
    assert image.boot.facts["arguments"].partition(" ")[2] == entry["after"] != entry["before"]


def test_the_machine_id_is_a_new_one(image: Image, boots: Boots) -> None:
    assert re.fullmatch("[0-9a-f]{32}", image.boot.facts["machine_id"])
    assert len({MACHINE_ID, *(each.boot.facts["machine_id"] for each in boots.images.values())}) == 3


def test_the_platform_is_the_one_asked_for_and_ignition_finds_its_user_data(boots: Boots) -> None:
    for provider, platform, path in (("oci", "oci", metadata.ORACLE), ("olvm", "openstack", metadata.OPENSTACK)):
        boot = boots.images[provider].boot
        assert re.findall(r"ignition\.platform\.id=(\S+)", boot.facts["arguments"]) == [platform]
        assert boot.facts["ignition"] == boots.tokens[provider]
        assert [request.status for request in boot.requests if request.path == path] == [200]
        services = {request.path.lstrip("/").partition("/")[0] for request in boot.requests}
        assert services == {path.lstrip("/").partition("/")[0]}


def test_the_hooks_take_the_name_from_the_lease_in_oracle_cloud(boots: Boots) -> None:
    facts = boots.images["oci"].boot.facts
    assert facts["host_name"] == facts["static_host_name"] == machine.HOST_NAME
    assert f"|{machine.HOST_ADDRESS} {machine.HOST_NAME}.{machine.DOMAIN} {machine.HOST_NAME}|" in facts["hosts"]
    assert f"search {SUBNET} {NETWORK}|" in facts["resolver"] and f"nameserver {metadata.ADDRESS}|" in facts["resolver"]


def test_on_olvm_the_same_lease_changes_neither_hosts_nor_the_search_list(boots: Boots) -> None:
    facts = boots.images["olvm"].boot.facts
    assert facts["address"] == boots.images["oci"].boot.facts["address"] == f"{machine.HOST_ADDRESS}/24"
    assert facts["static_host_name"] == "" and machine.HOST_NAME not in facts["hosts"]
    assert f"search {SUBNET}|" in facts["resolver"]


def test_the_consoles_are_the_providers(boots: Boots) -> None:
    assert boots.images["oci"].boot.facts["consoles"] == "ttyS0"
    assert set(boots.images["olvm"].boot.facts["consoles"].split()) == {"tty0", "ttyS0"}


def test_a_wrong_root_in_the_boot_entry_is_seen_as_a_boot_that_failed(boots: Boots) -> None:
    boot = boots.spoilt["root"]
    assert boot.ended == "failed" and boot.facts == {} and boot.requests == []
    assert NO_UUID in boot.failures["no root file system"]


def test_a_wrong_boot_in_fstab_is_seen_as_a_boot_that_failed(boots: Boots) -> None:
    boot = boots.spoilt["boot"]
    assert boot.ended == "failed" and boot.facts == {}
    assert "unit waits for what is not there" in boot.failures
