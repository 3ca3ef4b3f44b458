# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an image is to the service, as data: launch options, capabilities, operating system, shapes.

Written into image_metadata.json of the artefact (the format of exported images, version 2) and, after the import,
into the image's capability schema and shape compatibility.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

OPERATING_SYSTEM = "Oracle Linux"
OPERATING_SYSTEM_VERSION = "8"

#: What an OCK image asks of an instance: capability name to the one value that it supports.
CAPABILITIES: Mapping[str, str] = {"Compute.Firmware": "UEFI_64", "Compute.LaunchMode": "PARAVIRTUALIZED"}

#: How ListShapes describes processors of an architecture: a part of the description, in lower case.
PROCESSORS: Mapping[str, tuple[str, ...]] = {"arm64": ("ampere", "altra", "arm")}

_CAPABILITY_FORMAT = "34dd2cea-aff2-4f45-b8f6-1cb5290bfab2"

_LAUNCH_OPTIONS: Mapping[str, Any] = {
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

_PRIVATE_CLOUD_LAUNCH_OPTIONS: Mapping[str, Any] = {
    **_LAUNCH_OPTIONS,
    "networkType": "PARAVIRTUALIZED",
    "bootVolumeType": "PARAVIRTUALIZED",
    "localDataVolumeType": "PARAVIRTUALIZED",
    "launchOptionsSource": "CUSTOM",
}

#: Internal names of the shapes that an artefact names; amd64 in the public cloud takes what the service gives.
_PRIVATE_CLOUD_SHAPES = ("VM.PCAStandard.E5.Flex",)
_SHAPES: Mapping[str, tuple[str, ...]] = {"arm64": ("VM.Standard.A1.Flex", "VM.Standard.A2.Flex", "a1-2c.160.1024")}


def image_metadata(architecture: str, private_cloud: bool) -> bytes:
    """The content of image_metadata.json; the same bytes for the same arguments.

    :param architecture: amd64 or arm64.
    :param private_cloud: for Private Cloud Appliance and Compute Cloud@Customer instead of the public cloud.
    """
    shapes = _PRIVATE_CLOUD_SHAPES if private_cloud else _SHAPES.get(architecture, ())
    value = {
        "version": 2,
        "externalLaunchOptions": dict(_PRIVATE_CLOUD_LAUNCH_OPTIONS if private_cloud else _LAUNCH_OPTIONS),
        "imageCapabilityData": None if private_cloud else json.dumps(_capability_data(), sort_keys=True),
        "imageCapsFormatVersion": None if private_cloud else _CAPABILITY_FORMAT,
        "operatingSystem": OPERATING_SYSTEM,
        "operatingSystemVersion": OPERATING_SYSTEM_VERSION,
        "additionalMetadata": {
            "sourcePublicImageId": None,
            "shapeCompatibilities": [{"internalShapeName": name, "ocpuConstraints": None, "memoryConstraints": None} for name in shapes],
        },
    }
    return json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"


def _capability_data() -> dict[str, Any]:
    return {name: {"descriptorType": "enumstring", "values": [value], "defaultValue": value} for name, value in CAPABILITIES.items()}
