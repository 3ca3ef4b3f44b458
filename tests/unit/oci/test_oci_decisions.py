# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there and what is wanted decide what is done: as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._oci.artefact import Source
from ansible_collections.ocne.images.plugins.module_utils._oci.capabilities import missing_capabilities, shapes_with
from ansible_collections.ocne.images.plugins.module_utils._oci.importing import Observed, Wanted, decide
from ansible_collections.ocne.images.plugins.module_utils._oci.journal import Journal
from ansible_collections.ocne.images.plugins.module_utils._oci.metadata import PROCESSORS, image_metadata
from ansible_collections.ocne.images.plugins.module_utils._oci.objects import StoredObject

CONTENT = "sha256:" + "a" * 64
WANTED = Wanted(
    source=Source(Path("/disk"), "a" * 64, 1, ()),
    metadata=b"{}",
    architecture="amd64",
    display_name="ock",
    tags={"ocne/content-digest": CONTENT, "ocne/architecture": "amd64"},
    more_tags={"ocne/kubernetes": "1.33"},
    keep_object=False,
    private_cloud=False,
    wait=True,
)
OURS = StoredObject("etag", 1, "", WANTED.object_metadata)
OLDER = StoredObject("etag", 1, "", {**WANTED.object_metadata, "ocne-content-digest": "sha256:" + "b" * 64})
OTHER_PACKAGING = StoredObject("etag", 1, "", {**WANTED.object_metadata, "ocne-metadata-digest": "sha256:" + "b" * 64})


def _image(state: str, version: str = "1.33") -> Any:
    return SimpleNamespace(lifecycle_state=state, freeform_tags={**WANTED.tags, "ocne/kubernetes": version})


AVAILABLE, IMPORTING = _image("AVAILABLE"), _image("IMPORTING")
NOTHING = Observed("ocid1", None, False, None, False, frozenset(), None, Journal(Path("/journal")))
READY = replace(NOTHING, image=AVAILABLE, bucket=None, capable=True)
BEGUN = replace(NOTHING, image=IMPORTING, bucket=None)
LEFT = Journal(Path("/journal"), {}, "upload", [])
LEFT_REQUEST = Journal(Path("/journal"), {}, "", [], ["request"])
ARM = frozenset({"VM.Standard.A1.Flex"})
KEEP, NO_WAIT = replace(WANTED, keep_object=True), replace(WANTED, wait=False)
PRIVATE = replace(WANTED, private_cloud=True)
NEW = {"upload", "import_image", "wait", "set_capabilities", "remove_object"}


@pytest.mark.parametrize(
    ("seen", "want", "expected"),
    [
        (NOTHING, WANTED, NEW | {"create_bucket"}),
        (replace(NOTHING, bucket=True), WANTED, NEW),
        (replace(NOTHING, bucket=True), KEEP, NEW - {"remove_object"}),
        (replace(NOTHING, bucket=True), NO_WAIT, {"upload", "import_image"}),
        (replace(NOTHING, bucket=True), PRIVATE, NEW - {"set_capabilities"}),
        (replace(NOTHING, bucket=True, wanted_shapes=ARM), WANTED, NEW | {"set_shapes"}),
        (replace(NOTHING, bucket=True, stored=OURS), WANTED, NEW - {"upload"}),
        (replace(NOTHING, bucket=True, stored=OLDER), WANTED, NEW),
        (replace(NOTHING, bucket=True, stored=OTHER_PACKAGING), WANTED, NEW),
        (replace(NOTHING, bucket=True, journal=LEFT), WANTED, NEW),
        (replace(NOTHING, bucket=True, journal=LEFT_REQUEST), WANTED, NEW | {"remove_leftovers"}),
        (READY, WANTED, set()),
        (READY, NO_WAIT, set()),
        (replace(READY, image=_image("EXPORTING")), WANTED, set()),
        (replace(READY, stored=OURS), WANTED, {"remove_object"}),
        (replace(READY, stored=OURS), KEEP, set()),
        (replace(READY, stored=OLDER), WANTED, set()),
        (replace(READY, journal=LEFT), WANTED, {"remove_leftovers"}),
        (replace(READY, journal=LEFT_REQUEST), WANTED, {"remove_leftovers"}),
        (replace(READY, image=_image("AVAILABLE", "1.32")), WANTED, {"set_tags"}),
        (replace(READY, capable=False), WANTED, {"set_capabilities"}),
        (replace(READY, capable=False), PRIVATE, set()),
        (replace(READY, wanted_shapes=ARM, shapes=ARM), WANTED, set()),
        (replace(READY, wanted_shapes=ARM, shapes=ARM | {"VM.Standard.E5.Flex"}), WANTED, {"set_shapes"}),
        (BEGUN, WANTED, {"wait", "set_capabilities"}),
        (BEGUN, NO_WAIT, set()),
        (replace(BEGUN, stored=OURS), WANTED, {"wait", "set_capabilities", "remove_object"}),
        (replace(BEGUN, stored=OURS, journal=LEFT_REQUEST), NO_WAIT, set()),
    ],
)
def test_decision(seen: Observed, want: Wanted, expected: set[str]) -> None:
    assert {name for name, applies in asdict(decide(seen, want)).items() if applies} == expected


def test_metadata_is_that_of_an_exported_image() -> None:
    value = json.loads(image_metadata("amd64", private_cloud=False))
    assert value["version"] == 2
    assert value["externalLaunchOptions"] == {
        "firmware": "UEFI_64",
        "networkType": "VFIO",
        "bootVolumeType": "ISCSI",
        "remoteDataVolumeType": "PARAVIRTUALIZED",
        "localDataVolumeType": "VFIO",
        "launchOptionsSource": "NATIVE",
        "pvAttachmentVersion": 1,
        "pvEncryptionInTransitEnabled": False,
        "consistentVolumeNamingEnabled": False,
    }
    assert json.loads(value["imageCapabilityData"]) == {
        "Compute.Firmware": {"descriptorType": "enumstring", "values": ["UEFI_64"], "defaultValue": "UEFI_64"},
        "Compute.LaunchMode": {"descriptorType": "enumstring", "values": ["PARAVIRTUALIZED"], "defaultValue": "PARAVIRTUALIZED"},
    }
    assert value["imageCapsFormatVersion"] == "34dd2cea-aff2-4f45-b8f6-1cb5290bfab2"
    assert (value["operatingSystem"], value["operatingSystemVersion"]) == ("Oracle Linux", "8")
    assert value["additionalMetadata"] == {"sourcePublicImageId": None, "shapeCompatibilities": []}


def test_metadata_of_arm_names_arm_shapes_only() -> None:
    shapes = json.loads(image_metadata("arm64", private_cloud=False))["additionalMetadata"]["shapeCompatibilities"]
    assert {shape["internalShapeName"] for shape in shapes} == {"VM.Standard.A1.Flex", "VM.Standard.A2.Flex", "a1-2c.160.1024"}
    assert all(shape["ocpuConstraints"] is shape["memoryConstraints"] is None for shape in shapes)


def test_metadata_of_a_private_cloud() -> None:
    value = json.loads(image_metadata("amd64", private_cloud=True))
    options = value["externalLaunchOptions"]
    assert {options[name] for name in options if name.endswith("Type")} == {"PARAVIRTUALIZED"}
    assert options["launchOptionsSource"] == "CUSTOM"
    assert value["imageCapabilityData"] is None
    assert [shape["internalShapeName"] for shape in value["additionalMetadata"]["shapeCompatibilities"]] == ["VM.PCAStandard.E5.Flex"]


def test_arm_shapes_are_told_by_their_processor() -> None:
    described = {
        "VM.Standard.A1.Flex": "3.0 GHz Ampere® Altra™",
        "VM.Standard.A2.Flex": "3.0 GHz AmpereOne™",
        "VM.Standard.E5.Flex": "2.4 GHz AMD EPYC™ 9J14 (Genoa)",
        "VM.Standard3.Flex": "2.6 GHz Intel® Xeon® Platinum 8358 (Ice Lake)",
        "VM.Unknown": None,
    }
    shapes = [SimpleNamespace(shape=name, processor_description=text) for name, text in described.items()]
    assert shapes_with(shapes, PROCESSORS["arm64"]) == {"VM.Standard.A1.Flex", "VM.Standard.A2.Flex"}


def test_schema_that_lacks_a_capability_or_says_something_else() -> None:
    def schema(**values: str) -> Any:
        return SimpleNamespace(
            schema_data={f"Compute.{name}": SimpleNamespace(default_value=value, values=[value]) for name, value in values.items()}
        )

    assert missing_capabilities([])
    assert missing_capabilities([SimpleNamespace(schema_data=None)])
    assert missing_capabilities([schema(Firmware="UEFI_64")])
    assert missing_capabilities([schema(Firmware="BIOS", LaunchMode="PARAVIRTUALIZED")])
    assert not missing_capabilities([schema(Firmware="UEFI_64", LaunchMode="PARAVIRTUALIZED")])
