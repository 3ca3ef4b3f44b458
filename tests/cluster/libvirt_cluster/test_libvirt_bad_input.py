# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong is told, and leaves nothing: with real libvirt, in an ordinary user's session."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.libvirt_user import Clusters
from tests.support.watching import wait_until


@pytest.fixture
def nothing_left(clusters: Clusters) -> Iterator[None]:
    before = clusters.user.there()
    yield
    assert clusters.user.there() == before


@pytest.mark.usefixtures("nothing_left")
def test_an_image_that_does_not_boot_is_told_by_its_console(clusters: Clusters, empty_disk: Path) -> None:
    message = clusters.message(source=str(empty_disk))
    assert "does not boot by UEFI" in message and "BdsDxe: failed to load" in message


@pytest.mark.usefixtures("nothing_left")
def test_a_disk_without_uefi_boot_is_refused_before_a_machine_is_made(clusters: Clusters, tmp_path: Path) -> None:
    disk = tmp_path / "old.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, "64M")
    assert "No machine can boot from" in clusters.message(source=str(disk))
    (tmp_path / "raw").write_bytes(bytes(1 << 20))
    assert "is not a qcow2 image" in clusters.message(source=str(tmp_path / "raw"))


@pytest.mark.usefixtures("nothing_left")
def test_what_is_not_there_is_told_before_anything_is_made(clusters: Clusters, empty_disk: Path, tmp_path: Path) -> None:
    source = str(empty_disk)
    assert "no storage pool elsewhere; it has: none" in clusters.message(source=source, storage_pool="elsewhere")
    assert "MiB of memory, and libvirt's host has" in clusters.message(source=source, memory=1 << 30)
    assert "GiB left; the boot image and the node's disk may take" in clusters.message(source=source, disk_size=1 << 20)
    assert "no active network elsewhere" in clusters.message(source=source, network="elsewhere")
    assert "is no file" in clusters.message(source=str(tmp_path / "nothing.qcow2"))
    assert "libvirt cannot be reached at qemu:///nowhere" in clusters.message(source=source, connection_uri="qemu:///nowhere")
    assert "libvirt cannot be reached at qemu:///system" in clusters.message(source=source, connection_uri="qemu:///system")
    assert "virsh is not in PATH" in clusters.message({"PATH": str(tmp_path)}, source=source)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("moment", ["pool", "base", "machine"])
def test_what_a_killed_run_left_goes(clusters: Clusters, empty_disk: Path, moment: str) -> None:
    user = clusters.user
    before = user.there()
    process = user.start("ocne_cluster", {**clusters.params, "source": str(empty_disk)})
    receipt = user.home / ".ocne/clusters/c.json"
    reached = {
        "pool": receipt.exists,
        "base": lambda: bool(list(user.home.glob(".local/share/libvirt/images/boot.qcow2-*"))),
        "machine": lambda: clusters.machine in user.virsh("list", "--name"),
    }[moment]
    wait_until(reached, process)
    process.kill()
    process.communicate()
    # The lock of a killed run stays, and holds nobody up.
    assert user.there() != before and json.loads(receipt.read_text())["complete"] is False
    removed = clusters(state="absent")
    assert removed["changed"] and not clusters(state="absent")["changed"]
    for lock in user.home.glob(".ocne/clusters/.*.lock"):
        lock.unlink()


def killed_while_its_machine_runs(clusters: Clusters, name: str, disk: Path) -> Path:
    """The receipt of a run that was killed then."""
    process = clusters.user.start("ocne_cluster", {**clusters.params, "name": name, "source": str(disk)})
    receipt = clusters.user.home / f".ocne/clusters/{name}.json"
    wait_until(lambda: receipt.exists() and "server" in receipt.read_text(), process)
    process.kill()
    process.communicate()
    return receipt


@pytest.mark.usefixtures("nothing_left")
def test_clusters_share_a_boot_image_that_goes_with_the_last_one(clusters: Clusters, empty_disk: Path) -> None:
    images = clusters.user.home / ".local/share/libvirt/images"
    uploaded = []
    for name in ("c", "d"):
        killed_while_its_machine_runs(clusters, name, empty_disk)
        uploaded.append([(path.name, path.stat().st_ino, path.stat().st_mtime_ns) for path in images.glob("boot.qcow2-*")])
    assert len(uploaded[0]) == 1 and uploaded[0] == uploaded[1], "it is uploaded once"
    assert clusters(state="absent", name="c")["changed"]
    assert [path.name for path in images.iterdir() if path.name.startswith("c-")] == []
    assert len(list(images.glob("boot.qcow2-*"))) == 1 and "d-control-plane-1" in clusters.user.virsh("list", "--name")
    assert clusters(state="absent", name="d")["changed"]
    for lock in clusters.user.home.glob(".ocne/clusters/.*.lock"):
        lock.unlink()


@pytest.mark.usefixtures("nothing_left")
def test_a_cluster_that_does_not_work_is_told_and_made_anew_with_force(clusters: Clusters, empty_disk: Path) -> None:
    user = clusters.user
    receipt = killed_while_its_machine_runs(clusters, "c", empty_disk)
    receipt.write_text(json.dumps({**json.loads(receipt.read_text()), "complete": True}))  # it has worked before
    first = user.virsh("domuuid", clusters.machine)

    message = clusters.message(source=str(empty_disk), wait_timeout=5)
    assert "was not ready within 5 s" in message and message.endswith("Set force to make it anew.")
    assert user.virsh("domuuid", clusters.machine) == first, "it is left as it was"
    actions = clusters(check=True, source=str(empty_disk), force=True)["actions"]
    assert "remove the libvirt cluster c: it does not work" in actions[0] and "make the libvirt cluster c" in actions[1]
    assert user.virsh("domuuid", clusters.machine) == first

    process = user.start("ocne_cluster", {**clusters.params, "source": str(empty_disk), "force": True})
    wait_until(lambda: user.virsh("list", "--all", "--uuid").strip() not in ("", first.strip()), process)
    output, _nothing = process.communicate()
    assert "does not boot by UEFI" in json.loads(output)["msg"], "the new one was made of the same disk"
    for lock in user.home.glob(".ocne/clusters/.*.lock"):
        lock.unlink()


@pytest.mark.usefixtures("nothing_left")
def test_a_signal_ends_a_run_without_a_trace(clusters: Clusters, empty_disk: Path) -> None:
    process = clusters.user.start("ocne_cluster", {**clusters.params, "source": str(empty_disk)})
    clusters.user.wait_for("list", "--name", contains=clusters.machine)
    process.terminate()
    output, _nothing = process.communicate()
    assert "Ended by SIGTERM" in json.loads(output)["msg"]


def test_what_others_made_stays(clusters: Clusters, empty_disk: Path) -> None:
    user = clusters.user
    folder = user.home / "pool"
    folder.mkdir()
    user.virsh("pool-create-as", "images", "dir", "--target", str(folder))
    user.virsh("vol-create-as", "images", f"{clusters.machine}.qcow2", "1M")
    before = user.there()
    message = clusters.message(source=str(empty_disk))
    assert f"has {clusters.machine}.qcow2 already, and no receipt" in message
    user.virsh("vol-delete", "--pool", "images", f"{clusters.machine}.qcow2")
    description = user.home / "machine.xml"
    description.write_text(f"<domain type='qemu'><name>{clusters.machine}</name><memory>65536</memory><os><type>hvm</type></os></domain>")
    user.virsh("define", str(description))
    assert "There is a libvirt cluster c already (c-control-plane-1)" in clusters.message(source=str(empty_disk))
    assert not clusters(state="absent")["changed"]
    assert clusters.machine in user.virsh("list", "--all", "--name")
    user.virsh("undefine", clusters.machine)
    assert set(before) - set(user.there()) == {f"volume {clusters.machine}.qcow2", f"pool/{clusters.machine}.qcow2"}
