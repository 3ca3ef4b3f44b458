# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as users run them, one after the other, on the same variables."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.collection import collections_path
from tests.support.oci_endpoint import Endpoint
from tests.support.sample_disk import SMALL, boot_disk

SERVICES = ("compute", "identity", "object_storage", "work_requests")


def play(name: str, folder: Path, cloud: Endpoint, *options: str, **variables: Any) -> str:
    """What ansible-playbook prints; its last line but one is the recap."""
    everything = {
        "ocne_images_boot_image_source": str(boot_disk(SMALL)),
        "ocne_images_architecture": "amd64",
        "ocne_images_compartment": "team/images",
        "ocne_images_oci_config_file_location": str(cloud.config_file),
        "ocne_images_oci_endpoints": dict.fromkeys(SERVICES, cloud.url),
        **variables,
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), f"ocne.images.{name}", "-e", json.dumps(everything), *options]
    environment = {**os.environ, "HOME": str(folder), "ANSIBLE_COLLECTIONS_PATH": str(collections_path()), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout


def test_upload_takes_what_create_has_made(tmp_path: Path) -> None:
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        for dest in ("", f"{tmp_path}/images/"):
            assert "changed=1 " in play("create_oci_image", tmp_path, cloud, ocne_images_boot_image_dest=dest)
            # The content is the same, so that it is imported once.
            expected = "changed=0 " if dest else "changed=1 "
            assert expected in play("upload_oci_image", tmp_path, cloud, ocne_images_boot_image_dest=dest)


def test_targets_that_share_a_file_are_told_before_one_is_imported(tmp_path: Path) -> None:
    targets = [{"display_name": "plain"}, {"display_name": "metal", "kernel_arguments": ["rd.iscsi.firmware=1"]}]
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        printed = play("create_and_upload_oci_image", tmp_path, cloud, ocne_images_targets=targets)
        assert "Targets share a file" in printed and "Give each a dest of its own" in printed
        assert not cloud.images.by_id


def test_targets_are_made_side_by_side(tmp_path: Path) -> None:
    names = ["c", "a", "b"]
    targets = [{"dest": f"{tmp_path}/{name}", "kernel_arguments": [f"name={name}"], "display_name": name} for name in names]
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        side_by_side = {"ocne_images_targets": targets, "ocne_images_parallel": 2}
        predicted = play("create_oci_image", tmp_path, cloud, "--check", **side_by_side)
        assert "changed=2 " in predicted and not any((tmp_path / name).exists() for name in names)
        assert "changed=2 " in play("create_oci_image", tmp_path, cloud, **side_by_side)
        # One after the other, nothing is left to do: each was made as its target said.
        assert "changed=0 " in play("create_oci_image", tmp_path, cloud, ocne_images_targets=targets)
        assert "changed=1 " in play("create_and_upload_oci_image", tmp_path, cloud, **side_by_side)
        imported = {
            each.document["displayName"]: each.document["freeformTags"]["ocne/content-digest"] for each in cloud.images.by_id.values()
        }
    assert imported == {name: f"sha256:{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}" for name in names}
    assert not list((tmp_path / ".ansible_async").glob("*"))


def test_what_no_role_knows_of_a_target_is_told_before_anything_is_made(tmp_path: Path) -> None:
    targets = [{"display_name": "plain"}, {"kernel_argument": ["rd.iscsi.firmware=1"]}]
    with Endpoint(tmp_path / "cloud") as cloud:
        for playbook in ("create_oci_image", "upload_oci_image"):
            printed = play(playbook, tmp_path, cloud, ocne_images_targets=targets)
            assert "sets kernel_argument, which no role knows" in printed and "kernel_arguments" in printed
    assert not (tmp_path / ".ocne").exists()


def test_superseded_files_and_images_are_removed(tmp_path: Path) -> None:
    images = tmp_path / ".ocne/images"
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        for arguments in ([], ["quiet"]):
            play("create_and_upload_oci_image", tmp_path, cloud, ocne_images_kernel_arguments=arguments)
        play("create_oci_image", tmp_path, cloud, ocne_images_kubernetes_version="1.32", ocne_images_kernel_arguments=["quiet"])
        assert len(cloud.images.by_id) == 2 and len(list(images.glob("*.oci"))) == 2
        kept = {"ocne_images_keep": 1, "ocne_images_kernel_arguments": ["quiet"]}
        # The file of the target is the older one, and stays as what the target asks for.
        assert "changed=1 " in play("create_and_upload_oci_image", tmp_path, cloud, "--check", **kept)
        assert "changed=1 " in play("create_and_upload_oci_image", tmp_path, cloud, **kept)
        assert "changed=0 " in play("create_and_upload_oci_image", tmp_path, cloud, **kept)
        assert len([each for each in cloud.images.by_id.values() if each.document["lifecycleState"] == "AVAILABLE"]) == 1
        assert len(list(images.glob("*.oci"))) == 2
        kept["ocne_images_kubernetes_version"] = "1.32"
        assert "changed=2 " in play("create_and_upload_oci_image", tmp_path, cloud, **kept), "imported; the other file removed"
        assert [path.name for path in images.glob("*.oci")] == ["boot.qcow2-1.32-amd64.oci"]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    with Endpoint(tmp_path / "cloud") as cloud:
        printed = play("create_oci_image", tmp_path, cloud, "-vvv", ocne_images_proxy={"http": "http://user:canary@proxy.example.com"})
        invocation = printed.partition('"invocation"')[2]
        assert invocation and "canary" not in invocation


def test_a_fleet_is_made_and_told_in_a_table(tmp_path: Path) -> None:
    versions, architectures = ["1.33", "1.32"], ["amd64", "arm64"]
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        for options, state in ((("--check",), "changed"), ((), "changed"), ((), "ok")):
            printed = play(
                *("create_fleet", tmp_path, cloud, *options),
                ocne_images_kubernetes_versions=versions,
                ocne_images_architectures=architectures,
                ocne_images_providers=["oci", "olvm"],
            )
            assert "failed=0" in printed, printed[-3000:]
            for version in versions:
                for architecture in architectures:
                    path = f"{tmp_path}/.ocne/images/boot.qcow2-{version}-{architecture}"
                    assert f"{version:8} {architecture:6} olvm  {state:8} {path}.olvm" in printed
                    imported = f"{path}.oci" if options else "ocid1.image."
                    assert f"{version:8} {architecture:6} oci   {state:8} {imported}" in printed
                    assert Path(f"{path}.olvm").exists() is not bool(options)
