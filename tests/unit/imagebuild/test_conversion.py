# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a conversion, on disks in memory. What it does to real ones is seen in tests/integration/boot_image."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.conversion import Conversion, Options, plan_conversion
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.disk.interface import (
    Edit,
    Entry,
    FileStat,
    Partition,
    RemoveFile,
    SetUuid,
    WriteFile,
)
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.errors import BuildError

BOOT, ROOT = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
DEPLOY = "/ostree/deploy/ock/deploy/c0ffee.0"
ENTRY = f"title OCK\noptions ignition.platform.id=qemu console=ttyS0 root=UUID={ROOT} ostree=/ostree/boot.1/ock/0/0\n"
FSTAB = f"UUID={ROOT} / xfs defaults 0 0\nUUID={BOOT} /boot xfs defaults 0 0\n"


@dataclass
class MemoryFilesystem:
    """Files by path; links: paths that resolve() leads elsewhere."""

    partition: Partition
    files: dict[str, bytes]
    links: dict[str, str] = field(default_factory=dict)

    def stat(self, path: str) -> FileStat:
        raise NotImplementedError

    def list(self, path: str) -> Sequence[Entry]:
        names = {each[len(path) + 1 :].partition("/")[0] for each in self.files if each.startswith(f"{path}/")}
        if not names:
            raise FileNotFoundError(path)
        return [Entry(name, "file") for name in sorted(names)]

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def resolve(self, path: str) -> str:
        if path not in self.links:
            raise FileNotFoundError(path)
        return self.links[path]

    def find(self, path: str, name: str) -> Sequence[str]:
        return sorted(each for each in self.files if each.startswith(f"{path}/") and each.endswith(f"/{name}"))


class MemoryDisk:
    engine = "memory"
    partitions: Sequence[Partition] = ()

    def __init__(self, boot: dict[str, bytes], root: dict[str, bytes], boot_uuid: str = BOOT) -> None:
        self.boot = MemoryFilesystem(Partition(2, "boot", 0, 0, "xfs", boot_uuid), boot)
        links = {"/ostree/boot.1/ock/0/0": DEPLOY, "/ostree/boot.1/ock/0/1": f"{DEPLOY[:-1]}1"}
        self.root = MemoryFilesystem(Partition(3, "root", 0, 0, "xfs", ROOT), root, links)

    def filesystem(self, label: str) -> MemoryFilesystem:
        return {"boot": self.boot, "root": self.root}[label]

    def apply(self, edits: Sequence[Edit], timestamp: int) -> None:
        """Nothing to do."""

    def check(self, edits: Sequence[Edit], timestamp: int) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def __enter__(self) -> MemoryDisk:
        return self

    def __exit__(self, *exc: object) -> None:
        """close()."""


def disk(entry: str = ENTRY, **more: bytes) -> MemoryDisk:
    return MemoryDisk(
        {"/loader/entries/ostree-1-ock.conf": entry.encode("utf-8", "surrogateescape"), **more}, {f"{DEPLOY}/etc/fstab": FSTAB.encode()}
    )


def plan(on: MemoryDisk, options: Options | None = None, source: str = "sha256:1") -> Conversion:
    return plan_conversion(on, options or Options("oci"), source)


def writes(conversion: Conversion) -> dict[str, WriteFile]:
    return {edit.path: edit for edit in conversion.edits if isinstance(edit, WriteFile)}


def test_both_providers_change_what_the_table_says() -> None:
    oci, olvm = plan(disk()), plan(disk(), Options("olvm"))
    assert [path.rpartition("/etc/")[2] for path in oci.changes["added"]] == [
        "oci-dhclient.sh",
        "dhcp/dhclient.d/oci.sh",
        "NetworkManager/dispatcher.d/11-dhclient",
    ]
    assert all(writes(oci)[path].mode == 0o755 for path in oci.changes["added"])
    assert olvm.changes["added"] == []
    entry = "/loader/entries/ostree-1-ock.conf"
    assert "ignition.platform.id=oci console=ttyS0 " in oci.changes["boot_entries"][entry]["after"]
    assert "ignition.platform.id=openstack console=tty0 " in olvm.changes["boot_entries"][entry]["after"]


def test_the_uuids_come_from_source_provider_and_options_alone() -> None:
    def uuids(options: Options, source: str = "sha256:1") -> dict[str, str]:
        return {edit.partition: edit.uuid for edit in plan(disk(), options, source).edits if isinstance(edit, SetUuid)}

    first = uuids(Options("oci"))
    assert first == uuids(Options("oci")) and first["boot"] != first["root"]
    assert all(uuid.UUID(value).version == 5 for value in first.values())
    others = [
        uuids(Options("olvm")),
        uuids(Options("oci", "metal")),
        uuids(Options("oci", "", ("quiet",))),
        uuids(Options("oci"), "sha256:2"),
    ]
    everything = [value for each in (first, *others) for value in each.values()]
    assert len(set(everything)) == len(everything)


def test_uuids_agree_wherever_they_are_named() -> None:
    conversion = plan(disk())
    after = {label: values["after"] for label, values in conversion.changes["uuids"].items()}
    assert f"root=UUID={after['root']}" in writes(conversion)["/loader/entries/ostree-1-ock.conf"].content.decode()
    assert writes(conversion)[f"{DEPLOY}/etc/fstab"].content.decode() == FSTAB.replace(ROOT, after["root"]).replace(BOOT, after["boot"])


def test_every_entry_that_starts_a_deployment_is_changed_and_no_other() -> None:
    second = ENTRY.replace("/0/0", "/0/1").encode()
    both = disk(**{"/loader/entries/ostree-2-ock.conf": second, "/loader/entries/memtest.conf": b"title memory test\noptions quiet\n"})
    both.root.files[f"{DEPLOY[:-1]}1/etc/fstab"] = FSTAB.encode()
    changes = plan(both).changes
    assert sorted(changes["boot_entries"]) == ["/loader/entries/ostree-1-ock.conf", "/loader/entries/ostree-2-ock.conf"]
    assert len(changes["fstab"]) == 2 and len(changes["added"]) == 6


def test_machine_ids_of_all_deployments_go() -> None:
    on = disk()
    old = "/ostree/deploy/ock/deploy/older.0/etc/machine-id"
    on.root.files.update({old: b"1", f"{DEPLOY}/usr/etc/machine-id": b"2", "/ostree/deploy/ock/var/machine-id": b"stays"})
    removed = [edit.path for edit in plan(on).edits if isinstance(edit, RemoveFile)]
    assert removed == [f"{DEPLOY}/usr/etc/machine-id", old] == plan(on).changes["removed"]


def test_bytes_that_are_no_text_survive() -> None:
    on = disk()
    on.root.files[f"{DEPLOY}/etc/fstab"] = b"# caf\xe9\n" + FSTAB.encode()
    assert writes(plan(on))[f"{DEPLOY}/etc/fstab"].content.startswith(b"# caf\xe9\n")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ENTRY.replace(f"root=UUID={ROOT} ", ""), "has no argument root="),
        (ENTRY.replace(ROOT, BOOT), f"says root=UUID={BOOT}, the root filesystem's is UUID={ROOT}"),
        (ENTRY.replace("ignition.platform.id=qemu ", ""), "has no argument ignition.platform.id="),
        (ENTRY.replace("/0/0", "/9/9"), "leads to no deployment"),
        (ENTRY.replace("ostree=", "nothing="), "none of ostree-1-ock.conf has the argument ostree="),
    ],
)
def test_entries_that_are_not_as_they_must_be(entry: str, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        plan(disk(entry))


def test_disks_that_cannot_be_told_apart_from_their_source() -> None:
    with pytest.raises(BuildError, match="have the same UUID"):
        plan(MemoryDisk({"/loader/entries/a.conf": ENTRY.encode()}, {}, boot_uuid=ROOT))
    with pytest.raises(BuildError, match="no boot entry"):
        plan(MemoryDisk({}, {}))


def test_more_boot_entries_than_any_image_has_are_refused() -> None:
    entries = {f"/loader/entries/{number}.conf": ENTRY.encode() for number in range(101)}
    with pytest.raises(BuildError, match="/loader/entries on partition boot has 101 boot entries: no image has"):
        plan(MemoryDisk(entries, {f"{DEPLOY}/etc/fstab": b""}))


def test_more_machine_ids_than_any_image_has_are_refused() -> None:
    on = disk()
    on.root.files.update({f"{DEPLOY}/{number}/machine-id": b"" for number in range(1001)})
    with pytest.raises(BuildError, match="has 1001 files machine-id: no image has"):
        plan(on)


@pytest.mark.parametrize(
    "options",
    [
        "console=ttyS0 " * 5000,
        " ".join(f"console=tty{number}" for number in range(5000)),
        'a="' * 20_000,
        '""' * 30_000,
        "\0\x1b[2J\r",
        "\udcff\udcfe",
        "x" * 60_000,
        " ignition.platform.id=" * 2000,
    ],
    ids=["a console again", "consoles", "open quotes", "quotes", "control characters", "no text", "one word", "platforms"],
)
def test_arguments_of_any_kind_are_kept_or_changed(options: str) -> None:
    on = disk(f"options {options}\n" + ENTRY)
    assert b"ignition.platform.id=oci" in writes(plan(on))["/loader/entries/ostree-1-ock.conf"].content
