# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be imported, and what is said of the rest."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.oci_endpoint.artefact import BadArtefact, Imported, check_metadata, import_blob
from tests.support.oci_endpoint.blobs import Blob, Segment
from tests.support.oci_samples import GIB, artefact, empty_qcow2, good_artefact, metadata, private_cloud_metadata

LIMIT = 400 * 10**9
METADATA = json.dumps(metadata()).encode()


def _import(content: bytes, folder: Path, image_type: str = "", pieces: int = 1) -> Imported:
    step = -(-len(content) // pieces)
    segments = []
    for at in range(0, len(content), step):
        path = folder / f"segment-{at}"
        path.write_bytes(content[at : at + step])
        segments.append(Segment(path, path.stat().st_size, b""))
    return import_blob(Blob(tuple(segments)), folder / "disk", image_type or None, LIMIT)


def _problems(content: bytes, folder: Path, image_type: str = "") -> str:
    with pytest.raises(BadArtefact) as bad:
        _import(content, folder, image_type)
    return str(bad.value)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("names", [("output.QCOW2", "image_metadata.json"), ("image_metadata.json", "output.QCOW2")])
def test_a_good_archive(tmp_path: Path, compress: bool, names: tuple[str, str]) -> None:
    contents = {"output.QCOW2": empty_qcow2(), "image_metadata.json": METADATA}
    imported = _import(artefact({name: contents[name] for name in names}, compress), tmp_path, pieces=7)
    assert imported.virtual_size == GIB
    assert imported.launch_options["firmware"] == "UEFI_64"
    assert (tmp_path / "disk").read_bytes() == contents["output.QCOW2"]


def test_an_archive_of_several_gzip_members(tmp_path: Path) -> None:
    plain = artefact({"output.QCOW2": empty_qcow2(), "image_metadata.json": METADATA}, compress=False)
    joined = b"".join(gzip.compress(plain[at : at + 50_000]) for at in range(0, len(plain), 50_000))
    assert _import(joined, tmp_path).virtual_size == GIB


def test_a_bare_disk_image(tmp_path: Path) -> None:
    assert _import(empty_qcow2(), tmp_path, "QCOW2").metadata is None
    assert "not in qcow2 format" in _problems(good_artefact(), tmp_path, "QCOW2")
    assert "not a readable tar archive" in _problems(empty_qcow2(), tmp_path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("compress", [True, False])
def test_truncated(tmp_path: Path, keep: float, compress: bool) -> None:
    whole = artefact({"image_metadata.json": METADATA, "output.QCOW2": empty_qcow2()}, compress)
    if not compress:
        whole = whole[: -10 * 512]  # the end of a plain archive is padding
    assert _problems(whole[: int(len(whole) * keep)], tmp_path)


def test_a_damaged_byte_in_the_last_block(tmp_path: Path) -> None:
    damaged = bytearray(good_artefact())
    damaged[-6] ^= 1  # in the checksum of the gzip trailer
    assert "not a readable tar archive" in _problems(bytes(damaged), tmp_path)


@pytest.mark.parametrize("name", ["disk.qcow2", "./output.QCOW2", "../output.QCOW2", "/output.QCOW2", "OUTPUT.qcow2"])
def test_other_names(tmp_path: Path, name: str) -> None:
    said = _problems(artefact({name: empty_qcow2(), "image_metadata.json": METADATA}), tmp_path)
    assert "unexpected member" in said
    assert "output.QCOW2 is missing" in said


def test_a_link_instead_of_the_disk(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("output.QCOW2")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "unexpected member 'output.QCOW2'" in _problems(buffer.getvalue(), tmp_path)


def test_an_extra_member(tmp_path: Path) -> None:
    members = {"output.QCOW2": empty_qcow2(), "image_metadata.json": METADATA, "README": b""}
    assert "unexpected member 'README'" in _problems(artefact(members), tmp_path)


@pytest.mark.parametrize(
    ("disk", "said"),
    [
        (b"no disk", "not in qcow2 format"),
        (empty_qcow2(backing_file="/etc/passwd"), "backing file"),
        (empty_qcow2(incompatible_features=1 << 2), "external data file"),
        (empty_qcow2(incompatible_features=1 << 1), "marked as corrupt"),
        (empty_qcow2(incompatible_features=1 << 60), "unknown incompatible"),
        (empty_qcow2(LIMIT + 1), "virtual size"),
        (empty_qcow2()[:100_000], "L1 table"),
        (empty_qcow2()[:50], "not in qcow2 format"),
    ],
)
def test_bad_disks(tmp_path: Path, disk: bytes, said: str) -> None:
    assert said in _problems(artefact({"output.QCOW2": disk, "image_metadata.json": METADATA}), tmp_path)


def test_the_private_cloud_variant() -> None:
    document = private_cloud_metadata()
    assert check_metadata(json.dumps(document).encode()) == document


def _launch_option(**changes: Any) -> dict[str, Any]:
    document = metadata()
    document["externalLaunchOptions"].update(changes)
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (metadata(version=1), "version must be 2"),
        (metadata(externalLaunchOptions=None), "externalLaunchOptions must be an object"),
        (_launch_option(firmware="UEFI"), "externalLaunchOptions.firmware"),
        (_launch_option(pvAttachmentVersion=True), "externalLaunchOptions.pvAttachmentVersion"),
        (_launch_option(pvEncryptionInTransitEnabled=0), "externalLaunchOptions.pvEncryptionInTransitEnabled"),
        (_launch_option(consistentVolumeNamingEnabled=None), "externalLaunchOptions.consistentVolumeNamingEnabled"),
        (_launch_option(speed="fast"), "externalLaunchOptions.speed is not known"),
        (metadata(imageCapabilityData={}), "imageCapabilityData must be a string"),
        (metadata(imageCapabilityData="{"), "imageCapabilityData does not hold JSON"),
        (metadata(imageCapabilityData='{"Compute.Firmware": {"descriptorType": "text"}}'), "Compute.Firmware has no descriptorType"),
        (
            metadata(imageCapabilityData='{"F": {"descriptorType": "enumstring", "values": ["A"], "defaultValue": "B"}}'),
            "the defaultValue of F is not among its values",
        ),
        (metadata(imageCapsFormatVersion=None), "imageCapsFormatVersion is missing"),
        (metadata(operatingSystem=""), "operatingSystem must be"),
        (metadata(operatingSystemVersion=8), "operatingSystemVersion must be"),
        (metadata(additionalMetadata=None), "additionalMetadata must be"),
        (metadata(additionalMetadata={"shapeCompatibilities": [{}]}), "internalShapeName"),
    ],
)
def test_bad_metadata(document: dict[str, Any], said: str) -> None:
    with pytest.raises(BadArtefact) as bad:
        check_metadata(json.dumps(document).encode())
    assert said in str(bad.value)


def test_every_problem_is_told() -> None:
    with pytest.raises(BadArtefact) as bad:
        check_metadata(json.dumps(metadata(version=1, operatingSystem="")).encode())
    assert len(bad.value.problems) == 2
