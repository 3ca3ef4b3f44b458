# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wrong options, files and places: each is named, nothing is left, and nothing of others is lost."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.oci_endpoint import Fault
from tests.support.oci_http import Client
from tests.support.oci_import import BUCKET, Importer


def test_src_that_does_not_exist(importer: Importer, tmp_path: Path) -> None:
    assert importer.message(src=str(tmp_path / "none.qcow2")) == (
        f"src {tmp_path}/none.qcow2 does not exist. Make it with ocne_boot_image, or name another file."
    )


def test_src_that_is_a_folder_means_the_usual_file_in_it(importer: Importer, tmp_path: Path) -> None:
    usual = tmp_path / "boot.qcow2-1.33-amd64.oci"
    assert f"src {usual} does not exist." in importer.message(src=str(tmp_path))
    usual.mkdir()
    assert f"src {usual} is not a file." in importer.message(src=str(tmp_path))


def test_src_that_is_no_disk_image(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Not a disk image" * 100)
    assert "this is not a qcow2 image" in importer.message(src=str(tmp_path / "text"))
    assert "this is not a qcow2 image" in importer.message(check=True, src=str(tmp_path / "text"))
    assert set(importer.seen_since(0)) <= {"GET", "HEAD"}


def test_src_that_is_truncated(importer: Importer, disk: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.qcow2"
    short.write_bytes(disk.read_bytes()[:3_000_000])
    assert re.search(r"short\.qcow2: .*(end|short|trunc)", importer.message(src=str(short)))
    assert importer.nothing_is_left()


def test_src_with_a_backing_file(importer: Importer, disk: Path, tmp_path: Path) -> None:
    run("qemu-img", "create", "-f", "qcow2", "-b", disk, "-F", "qcow2", tmp_path / "overlay.qcow2")
    assert "has a backing file" in importer.message(src=str(tmp_path / "overlay.qcow2"))


def test_src_that_is_larger_than_an_image_may_be(importer: Importer, tmp_path: Path) -> None:
    run("qemu-img", "create", "-f", "qcow2", tmp_path / "large.qcow2", "401G")
    assert "400" in importer.message(src=str(tmp_path / "large.qcow2"))


def test_unknown_name_on_the_path_of_the_compartment(importer: Importer) -> None:
    importer.endpoint.add_compartment("team/network")
    message = importer.message(compartment="team/imagse")
    assert "There is no active compartment 'imagse' in team (ocid1.compartment." in message
    assert "It holds: images, network." in message


def test_compartment_that_was_deleted(importer: Importer) -> None:
    importer.endpoint.identity.add_compartment("team/old", state="DELETED")
    assert "There is no active compartment 'old'" in importer.message(compartment="team/old")


def test_unknown_ocid_of_a_compartment(importer: Importer) -> None:
    ocid = "ocid1.compartment.oc1..aaaaaaaanone"
    message = importer.message(compartment=ocid)
    assert f"Could not list images of compartment {ocid}" in message
    assert "(404 NotAuthorizedOrNotFound, request " in message
    assert "check name or OCID, region, and policies" in message


def test_ocid_that_is_no_compartment(importer: Importer) -> None:
    assert "is an OCID, but not of a compartment" in importer.message(compartment="ocid1.instance.oc1.iad.aaaa")


@pytest.mark.parametrize("check", [False, True])
def test_bucket_in_another_compartment(importer: Importer, check: bool) -> None:
    other = importer.endpoint.add_compartment("team/other")
    Client(importer.endpoint).make_bucket(BUCKET, other)
    message = importer.message(check=check)
    assert f"Bucket {BUCKET} is in compartment {other}, not in {importer.compartment}." in message
    assert "choose another bucket_name, or the bucket's compartment" in message


def test_unknown_namespace(importer: Importer) -> None:
    assert "(404 NamespaceNotFound" in importer.message(namespace_name="nowhere")


def test_object_that_is_not_ours_is_not_overwritten(importer: Importer) -> None:
    path = Client(importer.endpoint).make_bucket(BUCKET, importer.compartment)
    assert Client(importer.endpoint)("PUT", f"{path}/o/ocne_boot.qcow2", b"precious", raw=True).status == 200
    for check in (True, False):
        assert "was not put there by ocne_oci_import. It is not overwritten" in importer.message(check=check)
    assert importer.endpoint.object_content(BUCKET, "ocne_boot.qcow2") == b"precious"


def test_object_that_appears_during_the_upload_is_not_overwritten(importer: Importer) -> None:
    importer.endpoint.faults.add(Fault("delay", "PUT", "uploadPartNum", seconds=2))
    process = importer.start()
    while not importer.endpoint.uploads(BUCKET):
        assert process.poll() is None
    path = f"/n/{importer.endpoint.settings.namespace}/b/{BUCKET}/o/ocne_boot.qcow2"
    assert Client(importer.endpoint)("PUT", path, b"precious", raw=True).status == 200
    message = json.loads(process.communicate(timeout=50)[0])["msg"]
    assert "The object ocne_boot.qcow2 in bucket ocne-images was not put there by ocne_oci_import." in message
    assert importer.endpoint.object_content(BUCKET, "ocne_boot.qcow2") == b"precious"
    assert importer.endpoint.uploads(BUCKET) == []
    assert not importer.images()


def test_quota_exceeded(importer: Importer) -> None:
    importer.endpoint.settings.image_limit = 0
    message = importer.message()
    assert "Could not import image ock into compartment" in message
    assert "custom-image-count" in message
    assert "(400 LimitExceeded" in message
    assert "ask for a higher service limit" in message
    assert "Removed again: object ocne_boot.qcow2" in message
    assert importer.nothing_is_left()


def test_image_id_that_is_not_ours(importer: Importer) -> None:
    foreign = importer()["image"]["id"]
    importer.endpoint.images.by_id[foreign].document["freeformTags"] = {}
    message = importer.message(state="absent", src=None, image_id=foreign)
    assert f"Image {foreign} (ock) was not imported by ocne_oci_import" in message
    assert importer.images()


def test_image_id_in_another_compartment(importer: Importer) -> None:
    identifier = importer()["image"]["id"]
    importer.endpoint.add_compartment("team/other")
    assert f"Image {identifier} is in compartment" in importer.message(
        state="absent", src=None, image_id=identifier, compartment="team/other"
    )


def test_no_credentials(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    message = importer.message(config_file_location=None)
    assert "The credentials are not complete: fingerprint missing, key_file missing" in message
    assert "~/.oci/config" in message and "OCI_USER_KEY_FILE" in message


def test_configuration_file_that_does_not_exist(importer: Importer, tmp_path: Path) -> None:
    assert f"Could not find config file at {tmp_path}/none" in importer.message(config_file_location=str(tmp_path / "none"))


def test_unknown_profile(importer: Importer) -> None:
    assert "Profile 'NONE' not found" in importer.message(config_profile_name="NONE")


def test_key_that_the_service_does_not_know(importer: Importer) -> None:
    message = importer.message(api_user_fingerprint=":".join(["00"] * 16))
    assert "(401 NotAuthenticated, request " in message
    assert "Check user, fingerprint and key" in message


def test_key_that_is_no_key(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("secret-but-no-key")
    message = importer.message(api_user_key_file=str(tmp_path / "key.pem"))
    assert f"{tmp_path}/key.pem is no private key in PEM format" in message
    assert "secret-but-no-key" not in message


def test_key_that_is_encrypted(importer: Importer, tmp_path: Path) -> None:
    key = importer.endpoint.credentials.api_key.key_file
    run("openssl", "pkcs8", "-topk8", "-in", key, "-out", tmp_path / "key.pem", "-passout", "pass:Fz3kq-right")
    encrypted = str(tmp_path / "key.pem")
    assert "is encrypted. Set api_user_key_pass_phrase." in importer.message(api_user_key_file=encrypted)
    wrong = importer.message(api_user_key_file=encrypted, api_user_key_pass_phrase="Fz3kq-wrong")
    assert "its pass phrase is wrong" in wrong
    assert "Fz3kq" not in wrong
    result = importer(api_user_key_file=encrypted, api_user_key_pass_phrase="Fz3kq-right")
    assert result["changed"]
    assert "Fz3kq" not in json.dumps(result)


def test_endpoint_that_is_no_url(importer: Importer) -> None:
    endpoints = {**importer.params["endpoints"], "identity": "identity.example.com"}
    assert "endpoints: identity is 'identity.example.com', which is no URL." in importer.message(endpoints=endpoints)


def test_endpoint_that_does_not_answer(importer: Importer) -> None:
    endpoints = {**importer.params["endpoints"], "identity": "http://127.0.0.1:9"}
    message = importer.message(endpoints=endpoints)
    assert "Could not list compartments of the tenancy" in message
    assert "no answer from the service" in message and "refused" in message


def test_journal_folder_that_cannot_be_written(importer: Importer, tmp_path: Path) -> None:
    (tmp_path / ".ocne").write_text("a file where a folder has to be")
    message = importer.message()
    assert f"{tmp_path}/.ocne" in message
    assert [path.name for path in tmp_path.iterdir()] == [".ocne"]
    assert not importer.images()
