# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small artefacts that Compute imports, made without any tool: an empty qcow2 image, the metadata of an image, the archive of both."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from typing import Any

_CLUSTER = 1 << 16
GIB = 1 << 30


def empty_qcow2(virtual_size: int = GIB, backing_file: str = "", incompatible_features: int = 0) -> bytes:
    """A version 3 image without data: header, refcount table, refcount block, L1 table, a cluster each (docs/interop/qcow2 of QEMU)."""
    l1_size = -(-virtual_size // (_CLUSTER * (_CLUSTER // 8)))
    backing = backing_file.encode()
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb",
        3,
        112 if backing else 0,
        len(backing),
        16,
        virtual_size,
        0,
        l1_size,
        3 * _CLUSTER,
        _CLUSTER,
        1,
        0,
        0,
        incompatible_features,
        0,
        0,
        4,
        104,
    )
    first = header.ljust(112, b"\0") + backing
    table = struct.pack(">Q", 2 * _CLUSTER)
    refcounts = struct.pack(">4H", 1, 1, 1, 1)
    return b"".join(cluster.ljust(_CLUSTER, b"\0") for cluster in (first, table, refcounts, b""))


def metadata(**changes: Any) -> dict[str, Any]:
    """The image_metadata.json of an image for UEFI; keyword arguments replace top-level fields."""
    capabilities = {
        "Compute.LaunchMode": {"descriptorType": "enumstring", "values": ["PARAVIRTUALIZED"], "defaultValue": "PARAVIRTUALIZED"},
        "Compute.Firmware": {"descriptorType": "enumstring", "values": ["UEFI_64"], "defaultValue": "UEFI_64"},
    }
    return {
        "version": 2,
        "externalLaunchOptions": {
            "firmware": "UEFI_64",
            "networkType": "VFIO",
            "bootVolumeType": "ISCSI",
            "remoteDataVolumeType": "PARAVIRTUALIZED",
            "localDataVolumeType": "VFIO",
            "launchOptionsSource": "NATIVE",
            "pvAttachmentVersion": 1,
            "pvEncryptionInTransitEnabled": False,
            "consistentVolumeNamingEnabled": False,
        },
        "imageCapabilityData": json.dumps(capabilities),
        "imageCapsFormatVersion": "34dd2cea-aff2-4f45-b8f6-1cb5290bfab2",
        "operatingSystem": "Oracle Linux",
        "operatingSystemVersion": "8",
        "additionalMetadata": {
            "sourcePublicImageId": None,
            "shapeCompatibilities": [{"internalShapeName": "VM.Standard.E5.Flex", "ocpuConstraints": None, "memoryConstraints": None}],
        },
        **changes,
    }


def private_cloud_metadata() -> dict[str, Any]:
    """The same for a private cloud appliance."""
    launch_options = dict.fromkeys(("networkType", "bootVolumeType", "remoteDataVolumeType", "localDataVolumeType"), "PARAVIRTUALIZED")
    document = metadata()
    del document["imageCapabilityData"], document["imageCapsFormatVersion"]
    document["externalLaunchOptions"].update(launch_options, launchOptionsSource="CUSTOM")
    document["additionalMetadata"]["shapeCompatibilities"][0]["internalShapeName"] = "VM.PCAStandard.E5.Flex"
    return document


def artefact(members: dict[str, bytes], compress: bool = True) -> bytes:
    """A tar archive of these members, by default in gzip."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1) if compress else buffer.getvalue()


def good_artefact() -> bytes:
    return artefact({"output.QCOW2": empty_qcow2(), "image_metadata.json": json.dumps(metadata()).encode()})
