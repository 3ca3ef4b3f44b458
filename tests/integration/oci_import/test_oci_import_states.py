# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a file to an image and back, over HTTP: what is made, what is compared, what is removed."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.oci_import import BUCKET, MIB, Importer

READING = {"GET", "HEAD"}


def test_import_makes_an_image_that_can_be_used(importer: Importer, disk: Path) -> None:
    result = importer(kubernetes_version="1.32")

    image = result["image"]
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert result["changed"]
    assert image["lifecycle_state"] == "AVAILABLE"
    assert image["display_name"] == "ock"
    assert image["freeform_tags"] == {"ocne/architecture": "amd64", "ocne/content-digest": f"sha256:{digest}", "ocne/kubernetes": "1.32"}
    assert importer.endpoint.images.by_id[image["id"]].disk.read_bytes() == disk.read_bytes()
    schema = next(iter(importer.endpoint.capability_schemas.by_id.values()))
    assert {name: value["defaultValue"] for name, value in schema["schemaData"].items()} == {
        "Compute.Firmware": "UEFI_64",
        "Compute.LaunchMode": "PARAVIRTUALIZED",
    }
    assert result["object"] is None
    assert importer.objects() == []
    assert result["uploaded_bytes"] == sum(entry.received for entry in importer.endpoint.requests("PUT", "uploadPartNum")) > 4 * MIB
    assert not importer.journals()


def test_second_run_changes_nothing_and_moves_no_byte(importer: Importer) -> None:
    first = importer()
    seen = importer.forget_requests()
    second = importer()

    assert (second["changed"], second["actions"], second["uploaded_bytes"]) == (False, [], 0)
    assert second["image"]["id"] == first["image"]["id"]
    assert set(importer.seen_since(seen)) <= READING
    assert second["diff"]["before"] == second["diff"]["after"]


def test_second_run_with_an_ocid_needs_few_calls(importer: Importer) -> None:
    importer(compartment=importer.compartment)
    seen = importer.forget_requests()
    importer(compartment=importer.compartment)
    assert len(importer.seen_since(seen)) <= 5


def test_check_mode_only_reads_and_foretells(importer: Importer) -> None:
    foretold = importer(check=True)
    assert set(importer.seen_since(0)) <= READING
    assert importer.nothing_is_left()
    assert foretold["image"]["id"] is None
    done = importer()
    assert (done["changed"], done["actions"]) == (foretold["changed"], foretold["actions"])
    assert done["diff"] == foretold["diff"]
    assert foretold["diff"]["after"]["image"]["tags"] == done["image"]["freeform_tags"]
    assert importer(check=True)["changed"] is False


def test_new_file_under_an_old_name_is_a_new_image(importer: Importer, other_disk: Path) -> None:
    old = importer()["image"]["id"]
    result = importer(src=str(other_disk))
    assert result["changed"]
    assert result["image"]["id"] != old
    assert {image["id"] for image in importer.images()} == {old, result["image"]["id"]}


def test_same_file_under_another_path_is_the_same_image(importer: Importer, disk: Path, tmp_path: Path) -> None:
    first = importer()
    copy = Path(shutil.copy(disk, tmp_path / "copy.qcow2"))
    second = importer(src=str(copy))
    assert not second["changed"]
    assert second["image"]["id"] == first["image"]["id"]


def test_same_file_under_another_display_name_is_another_image(importer: Importer) -> None:
    first = importer(keep_object=True)
    second = importer(display_name="ock-test", keep_object=True)
    assert second["image"]["id"] != first["image"]["id"]
    assert second["uploaded_bytes"] == 0, "the object that was kept holds the same content"
    assert not importer(keep_object=True)["changed"]


def test_image_of_the_same_name_without_our_tags_is_left_alone(importer: Importer) -> None:
    foreign = importer()["image"]["id"]
    importer.endpoint.images.by_id[foreign].document["freeformTags"] = {}
    importer.endpoint.images.by_id[foreign].publish()
    assert importer()["image"]["id"] != foreign
    assert foreign in {image["id"] for image in importer.images()}


def test_kept_object_is_reused_and_later_removed(importer: Importer) -> None:
    first = importer(keep_object=True)
    assert first["object"]["object_name"] == "ocne_boot.qcow2"
    assert importer.objects() == ["ocne_boot.qcow2"]
    assert not importer(keep_object=True)["changed"]

    removed = importer(keep_object=False)
    assert removed["actions"] == [f"remove object ocne_boot.qcow2 in bucket {BUCKET}"]
    assert removed["changed"]
    assert importer.objects() == []
    assert not importer(keep_object=False)["changed"]


def test_kept_object_of_an_older_file_is_replaced(importer: Importer, other_disk: Path) -> None:
    importer(keep_object=True, object_name="ock.oci")
    before = importer.endpoint.buckets.by_name[BUCKET].objects["ock.oci"].etag
    result = importer(keep_object=True, object_name="ock.oci", src=str(other_disk))
    assert result["object"]["etag"] != before
    assert result["uploaded_bytes"] > 0


def test_changed_kubernetes_version_changes_the_tag_only(importer: Importer) -> None:
    first = importer(kubernetes_version="1.32")
    second = importer(kubernetes_version="1.33")
    assert second["image"]["id"] == first["image"]["id"]
    assert second["image"]["freeform_tags"]["ocne/kubernetes"] == "1.33"
    assert second["uploaded_bytes"] == 0
    assert not importer(kubernetes_version="1.33")["changed"]


def test_capabilities_that_were_lost_are_set_again(importer: Importer) -> None:
    importer()
    importer.endpoint.capability_schemas.by_id.clear()
    result = importer()
    assert result["actions"] == [f"set capabilities of image {result['image']['id']}"]
    assert not importer()["changed"]


def test_arm_image_runs_on_arm_shapes_only(importer: Importer) -> None:
    result = importer(architecture="aarch64")
    shapes = result["diff"]["after"]["image"]["shapes"]
    assert "VM.Standard.A1.Flex" in shapes
    assert sorted(importer.endpoint.shapes.of_image(result["image"]["id"])) == shapes
    assert not any("Standard.E" in shape or "Standard3" in shape for shape in shapes)
    assert not importer(architecture="arm64")["changed"]


def test_private_cloud_gets_its_own_metadata_and_no_schema(importer: Importer) -> None:
    result = importer(private_cloud=True)
    metadata = importer.endpoint.images.by_id[result["image"]["id"]].metadata
    assert metadata["externalLaunchOptions"]["launchOptionsSource"] == "CUSTOM"
    assert metadata["additionalMetadata"]["shapeCompatibilities"][0]["internalShapeName"] == "VM.PCAStandard.E5.Flex"
    assert not importer.endpoint.capability_schemas.by_id
    assert not importer(private_cloud=True)["changed"]


def test_without_waiting_the_next_run_finishes(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 1.0
    begun = importer(wait=False)
    assert begun["image"]["lifecycle_state"] == "IMPORTING"
    assert importer.objects() == ["ocne_boot.qcow2"], "the import reads it"
    assert not importer(wait=False)["changed"], "there is nothing to do before the import has ended"

    done = importer()
    assert done["changed"]
    assert done["image"]["id"] == begun["image"]["id"]
    assert done["image"]["lifecycle_state"] == "AVAILABLE"
    assert done["uploaded_bytes"] == 0
    assert importer.objects() == []
    assert not importer()["changed"]


def test_compartment_is_found_by_its_path_page_after_page(importer: Importer) -> None:
    for number in range(7):
        importer.endpoint.add_compartment(f"team/a{number}")
    result = importer(compartment="Team/images/")
    assert result["image"]["compartment_id"] == importer.compartment


def test_root_compartment(importer: Importer) -> None:
    assert importer(compartment="/")["image"]["compartment_id"] == importer.endpoint.tenancy


def test_bucket_that_is_there_is_used(importer: Importer) -> None:
    first = importer()
    assert "create bucket ocne-images" in first["actions"]
    importer(state="absent", image_id=first["image"]["id"])
    assert "create bucket ocne-images" not in importer()["actions"]


def test_absent_by_id(importer: Importer) -> None:
    identifier = importer()["image"]["id"]
    wanted = {"state": "absent", "src": None, "image_id": identifier}
    foretold = importer(check=True, **wanted)
    assert importer.images()
    removed = importer(**wanted)
    assert removed["changed"] and foretold["changed"]
    assert removed["diff"] == foretold["diff"]
    assert removed["image"]["id"] == identifier
    assert not importer.images()
    assert not importer.endpoint.capability_schemas.by_id
    assert importer(**wanted)["changed"] is False


def test_absent_by_name_removes_ours_of_that_name(importer: Importer, other_disk: Path) -> None:
    importer()
    importer(src=str(other_disk))
    other = importer(display_name="other")["image"]["id"]
    foreign = importer(src=str(other_disk), display_name="ock", architecture="arm64")["image"]["id"]
    importer.endpoint.images.by_id[foreign].document["freeformTags"] = {}
    importer.endpoint.images.by_id[foreign].publish()

    removed = importer(state="absent", src=None, architecture=None, display_name="ock")
    assert len(removed["actions"]) == 2
    assert {image["id"] for image in importer.images()} == {other, foreign}
    assert not importer(state="absent", src=None, architecture=None, display_name="ock")["changed"]


def test_absent_keeps_the_newest_of_each_architecture_and_version(importer: Importer, disk: Path, other_disk: Path) -> None:
    made = [importer(src=str(path), display_name="ock")["image"]["id"] for path in (disk, other_disk)]
    arm, earlier = (importer(display_name=name, architecture="arm64")["image"]["id"] for name in ("ock", "earlier"))
    document = importer.endpoint.images.by_id[earlier].document
    document.update(displayName="ock", freeformTags={**document["freeformTags"], "ocne/kubernetes": "1.32"})
    importer.endpoint.images.by_id[earlier].publish()
    older = {"state": "absent", "src": None, "architecture": None, "kubernetes_version": None, "display_name": "ock", "keep": 1}

    assert not importer(check=True, **{**older, "keep": 2})["changed"]
    # What is on its way may fail: it does not count.
    newest = importer.endpoint.images.by_id[made[1]]
    newest.document["lifecycleState"] = "IMPORTING"
    newest.publish()
    assert not importer(check=True, **older)["changed"]
    newest.document["lifecycleState"] = "AVAILABLE"
    newest.publish()

    foretold, removed = importer(check=True, **older), importer(**older)
    assert removed["actions"] == foretold["actions"] == [f"delete image {made[0]} (ock)"]
    assert {image["id"] for image in importer.images()} == {made[1], arm, earlier}
    assert not importer(**older)["changed"]
    assert "keep is 0" in importer.message(**{**older, "keep": 0})


def test_absent_by_content_removes_the_object_too(importer: Importer, other_disk: Path) -> None:
    importer(keep_object=True)
    kept = importer(src=str(other_disk))["image"]["id"]
    removed = importer(state="absent")
    assert removed["object"]["object_name"] == "ocne_boot.qcow2"
    assert [image["id"] for image in importer.images()] == [kept]
    assert importer.objects() == []


def test_absent_by_the_folder_that_the_image_is_in(importer: Importer, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(importer.params["src"], folder / "boot.qcow2-1.33-amd64.oci")
    importer(src=str(folder))
    assert importer(state="absent", src=str(folder))["changed"]
    assert not importer.images()


def test_absent_leaves_an_object_that_is_not_ours(importer: Importer) -> None:
    importer(keep_object=True)
    stored = importer.endpoint.buckets.by_name[BUCKET].objects["ocne_boot.qcow2"]
    for name in [name for name in stored.headers if name.startswith("opc-meta-")]:
        del stored.headers[name]
    importer(state="absent")
    assert importer.objects() == ["ocne_boot.qcow2"]
    assert not importer.images()


@pytest.mark.parametrize("missing", ["src", "compartment"])
def test_required_options(importer: Importer, missing: str) -> None:
    assert missing in importer.message(**{missing: None})


def test_absent_wants_to_know_which(importer: Importer) -> None:
    assert "image_id, display_name, src" in importer.message(state="absent", src=None)
