# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Compute imports: an archive of `output.QCOW2` and `image_metadata.json`, or a bare qcow2 image.

The names and the metadata are those of an exported image ("Image Import/Export"); the private cloud appliance insists on them.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Optional

from .blobs import Blob
from .messages import BLOCK
from .qcow2 import BadImage, check_consistency, read_header

DISK_NAME, METADATA_NAME = "output.QCOW2", "image_metadata.json"
_METADATA_LIMIT = 1 << 20
_VOLUME_TYPES = {"ISCSI", "SCSI", "IDE", "VFIO", "PARAVIRTUALIZED", "NVME"}
_LAUNCH_OPTIONS: dict[str, set[Any]] = {
    "firmware": {"BIOS", "UEFI_64"},
    "networkType": {"E1000", "VFIO", "PARAVIRTUALIZED"},
    "bootVolumeType": _VOLUME_TYPES,
    "remoteDataVolumeType": _VOLUME_TYPES,
    "localDataVolumeType": _VOLUME_TYPES,
    "launchOptionsSource": {"NATIVE", "EMULATED", "PARAVIRTUALIZED", "CUSTOM"},
    "pvAttachmentVersion": {1, 2},
    "pvEncryptionInTransitEnabled": {True, False},
    "consistentVolumeNamingEnabled": {True, False},
}


class BadArtefact(Exception):
    """All that is wrong with an artefact, a message each."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Imported:
    """What an import found. `metadata` is None for a bare disk image."""

    virtual_size: int
    stored_size: int
    metadata: Optional[dict[str, Any]]

    @property
    def launch_options(self) -> dict[str, Any]:
        """The options of instances made from the image, in the names of the API's LaunchOptions."""
        options = (self.metadata or {}).get("externalLaunchOptions") or {}
        return {
            "bootVolumeType": options.get("bootVolumeType", "PARAVIRTUALIZED"),
            "firmware": options.get("firmware", "BIOS"),
            "networkType": options.get("networkType", "PARAVIRTUALIZED"),
            "remoteDataVolumeType": options.get("remoteDataVolumeType", "PARAVIRTUALIZED"),
            "isPvEncryptionInTransitEnabled": options.get("pvEncryptionInTransitEnabled", False),
            "isConsistentVolumeNamingEnabled": options.get("consistentVolumeNamingEnabled", False),
        }


def import_blob(blob: Blob, disk: Path, source_image_type: Optional[str], max_virtual_size: int) -> Imported:
    """Take an object's content apart and check it; the disk image is left at `disk`.

    :param source_image_type: QCOW2 for a bare disk image, None for an archive.
    :raises BadArtefact: it cannot be imported.
    """
    if source_image_type == "QCOW2":
        with blob.open() as source, disk.open("wb") as target:
            _copy(source, target)
        metadata = None
    else:
        metadata = _unpack(blob, disk)
    try:
        header = read_header(disk, max_virtual_size)
        check_consistency(disk)
    except BadImage as error:
        raise BadArtefact(str(error)) from error
    return Imported(header.virtual_size, disk.stat().st_size, metadata)


def _unpack(blob: Blob, disk: Path) -> dict[str, Any]:
    """Read the whole archive, so that truncation and a wrong checksum anywhere in it are seen."""
    found: dict[str, bytes] = {}
    problems = []
    try:
        with _decompressed(blob) as stream, tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK) as archive:
            for member in archive:
                if member.name not in (DISK_NAME, METADATA_NAME) or not member.isreg():
                    problems.append(
                        f"unexpected member {member.name!r}: only the files {DISK_NAME} and {METADATA_NAME} belong into the archive"
                    )
                    continue
                if member.name in found:
                    problems.append(f"{member.name} is there more than once")
                    continue
                content = archive.extractfile(member)
                assert content is not None
                if member.name == METADATA_NAME:
                    found[member.name] = content.read(_METADATA_LIMIT)
                else:
                    found[member.name] = b""
                    with disk.open("wb") as target:
                        _copy(content, target)
            while stream.read(BLOCK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise BadArtefact(f"the object is not a readable tar archive, or is truncated: {error}") from error
    problems.extend(f"{name} is missing" for name in (DISK_NAME, METADATA_NAME) if name not in found)
    if problems:
        raise BadArtefact(*problems)
    return check_metadata(found[METADATA_NAME])


def check_metadata(raw: bytes) -> dict[str, Any]:
    """:raises BadArtefact: naming every field that is wrong."""
    try:
        metadata = json.loads(raw)
    except ValueError as error:
        raise BadArtefact(f"{METADATA_NAME} is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise BadArtefact(f"{METADATA_NAME} is not a JSON object")
    problems = []
    if metadata.get("version") != 2:
        problems.append(f"version must be 2, not {metadata.get('version')!r}")
    options = metadata.get("externalLaunchOptions")
    if not isinstance(options, dict):
        problems.append("externalLaunchOptions must be an object")
    else:
        for name, allowed in _LAUNCH_OPTIONS.items():
            value = options.get(name)
            # True == 1 in Python, so the type counts, too
            if not any(value == one and type(value) is type(one) for one in allowed):
                problems.append(f"externalLaunchOptions.{name} must be one of {sorted(map(str, allowed))}, not {value!r}")
        problems.extend(f"externalLaunchOptions.{name} is not known" for name in options if name not in _LAUNCH_OPTIONS)
    problems.extend(_capability_problems(metadata))
    for name in ("operatingSystem", "operatingSystemVersion"):
        if not isinstance(metadata.get(name), str) or not metadata[name]:
            problems.append(f"{name} must be a string that is not empty")
    problems.extend(_shape_problems(metadata.get("additionalMetadata")))
    if problems:
        raise BadArtefact(*(f"{METADATA_NAME}: {problem}" for problem in problems))
    return metadata


def _capability_problems(metadata: dict[str, Any]) -> list[str]:
    """imageCapabilityData is a JSON document within a string; the private cloud variant has none."""
    data = metadata.get("imageCapabilityData")
    if data is None:
        return []
    if not isinstance(data, str):
        return ["imageCapabilityData must be a string that holds JSON"]
    try:
        capabilities = json.loads(data)
    except ValueError as error:
        return [f"imageCapabilityData does not hold JSON: {error}"]
    if not isinstance(capabilities, dict):
        return ["imageCapabilityData must hold a JSON object"]
    problems = []
    for name, descriptor in capabilities.items():
        if not isinstance(descriptor, dict) or descriptor.get("descriptorType") not in ("enumstring", "enuminteger", "boolean"):
            problems.append(f"imageCapabilityData: {name} has no descriptorType enumstring, enuminteger or boolean")
        elif descriptor["descriptorType"] != "boolean" and descriptor.get("defaultValue") not in (descriptor.get("values") or []):
            problems.append(f"imageCapabilityData: the defaultValue of {name} is not among its values")
    if not metadata.get("imageCapsFormatVersion"):
        problems.append("imageCapsFormatVersion is missing, but there is imageCapabilityData")
    return problems


def _shape_problems(additional: Any) -> list[str]:
    if not isinstance(additional, dict):
        return ["additionalMetadata must be an object"]
    shapes = additional.get("shapeCompatibilities")
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) and shape.get("internalShapeName") for shape in shapes):
        return ["additionalMetadata.shapeCompatibilities must be a list of objects with an internalShapeName"]
    return []


def _decompressed(blob: Blob) -> IO[bytes]:
    # not tarfile's own reader: it knows one gzip member only, and does not look at the checksum
    raw = blob.open()
    return gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw  # type: ignore[return-value]


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while block := source.read(BLOCK):
        target.write(block)
