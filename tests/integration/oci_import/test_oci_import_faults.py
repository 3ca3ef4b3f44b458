# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service that misbehaves: calls are tried again, failures are named, and what was half done is removed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.oci_endpoint import Fault
from tests.support.oci_import import BUCKET, Importer

PART = "uploadPartNum"
REQUEST_ID = re.compile(r"request [0-9A-F]{32}")
#: Calls of an import, each by method and target.
CALLS = {
    "compartments": ("GET", "/compartments"),
    "namespace": ("GET", "/n$"),
    "bucket": ("POST", "/b$"),
    "begin": ("POST", "/u$"),
    "part": ("PUT", PART),
    "commit": ("POST", "/u/.*uploadId"),
    "import": ("POST", "/images$"),
    "work request": ("GET", "/workRequests"),
    "image": ("GET", "/images/"),
    "schema": ("POST", "/computeImageCapabilitySchemas"),
    "object": ("DELETE", "/o/"),
}


def _fault(action: str, call: str, **more: object) -> Fault:
    return Fault(action, *CALLS[call], **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("call", CALLS)
def test_call_is_tried_again_after_an_error_of_the_service(importer: Importer, call: str) -> None:
    importer.endpoint.faults.add(_fault("status", call, times=2, status=503, code="ServiceUnavailable"))
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"
    assert not importer.endpoint.faults.pending()
    assert len(importer.images()) == 1
    assert importer.objects() == []


@pytest.mark.parametrize("call", ["compartments", "part", "work request"])
def test_call_is_tried_again_when_the_rate_is_limited(importer: Importer, call: str) -> None:
    importer.endpoint.faults.add(_fault("status", call, times=2, status=429, code="TooManyRequests"))
    assert importer()["changed"]


@pytest.mark.parametrize("call", ["namespace", "part", "work request"])
def test_call_is_tried_again_after_a_reset(importer: Importer, call: str) -> None:
    importer.endpoint.faults.add(_fault("reset", call, times=2, bytes=1000))
    assert importer()["changed"]


@pytest.mark.parametrize("call", ["bucket", "part", "commit", "import", "schema", "object"])
def test_answer_that_got_lost_does_no_harm(importer: Importer, call: str) -> None:
    importer.endpoint.faults.add(_fault("lost-answer", call))
    result = importer()
    assert result["image"]["lifecycle_state"] == "AVAILABLE"
    assert len(importer.images()) == 1
    assert len(importer.endpoint.capability_schemas.by_id) == 1
    assert importer.objects() == []
    assert importer.endpoint.uploads(BUCKET) == []
    assert not importer()["changed"]


def test_image_that_lists_do_not_show_at_once(importer: Importer) -> None:
    importer.endpoint.settings.list_delay = 2.0
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"
    assert len(importer.images()) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
def test_upload_is_kept_when_the_service_stays_in_trouble(importer: Importer, status: int) -> None:
    importer.endpoint.faults.add(_fault("status", "part", skip=2, times=None, status=status, code="Trouble", message="Come again"))
    message = importer.message()
    assert re.search(rf"Could not upload part \d of object ocne_boot.qcow2 in bucket {BUCKET}: Come again \({status} Trouble", message)
    assert REQUEST_ID.search(message)
    assert "What was uploaded is kept: the next run goes on from there." in message
    assert len(importer.endpoint.uploads(BUCKET)) == 1

    importer.endpoint.faults.clear()
    stored = importer.puts()
    result = importer()
    assert result["changed"]
    assert importer.puts() == sorted(set(importer.puts())) and set(stored) < set(importer.puts()), "no part was sent twice"


def test_upload_is_removed_when_no_other_try_can_help(importer: Importer) -> None:
    importer.endpoint.faults.add(_fault("status", "part", skip=1, times=None, status=403, code="NotAllowed", message="No"))
    message = importer.message()
    assert "(403 NotAllowed" in message
    assert importer.nothing_is_left()


def test_part_that_is_replaced_during_the_upload_is_noticed(importer: Importer) -> None:
    importer.endpoint.faults.add(_fault("status", "commit", status=400, code="InvalidUploadPart", message="The part has another ETag"))
    assert "Could not commit the upload" in importer.message()
    assert importer.nothing_is_left()


def test_source_that_changes_during_the_upload_is_noticed(importer: Importer, tmp_path: Path) -> None:
    source = tmp_path / "boot.qcow2"
    source.write_bytes(Path(importer.params["src"]).read_bytes())
    importer.endpoint.faults.add(_fault("delay", "part", seconds=1))
    process = importer.start(src=str(source))
    while not importer.endpoint.uploads(BUCKET):
        assert process.poll() is None
    with source.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
    assert process.stdout is not None
    assert f"{source} was changed while it was being uploaded." in process.stdout.read()
    assert process.wait() == 1
    assert importer.nothing_is_left()


def test_failed_import_says_why_and_leaves_nothing(importer: Importer) -> None:
    importer.endpoint.end_next_import("FAILED", ("ImageInvalid", "The image has no boot sector"))
    message = importer.message()
    assert "FAILED" in message
    assert "ImageInvalid: The image has no boot sector" in message
    assert "work request ocid1.coreservicesworkrequest" in message
    assert "Removed again: image ocid1.image" in message
    assert importer.nothing_is_left()


def test_cancelled_import_ends_the_run(importer: Importer) -> None:
    importer.endpoint.end_next_import("CANCELED")
    message = importer.message()
    assert re.search(
        r"Import of image ocid1\.image\.\S+ \(ock\) ended CANCELED at \d+ % \(the service gives no reason; work request ocid1", message
    )
    assert "The service cancelled it: run again." in message
    assert importer.nothing_is_left()


def test_failed_import_keeps_the_object_when_asked_to(importer: Importer) -> None:
    importer.endpoint.end_next_import("FAILED")
    importer.message(keep_object=True)
    assert importer.objects() == ["ocne_boot.qcow2"]
    assert not importer.images()
    assert importer(keep_object=True)["uploaded_bytes"] == 0


def test_deadline_leaves_nothing(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 30
    message = importer.message(wait_timeout=1)
    assert re.search(r"Import of image ocid1\.image\.\S+ \(ock\) was IN_PROGRESS at \d+ % when 1 s had passed", message)
    assert "Raise wait_timeout." in message
    assert importer.nothing_is_left()


def test_deadline_of_an_import_that_cannot_be_stopped(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 3
    importer.endpoint.settings.delete_while_importing = False
    message = importer.message(wait_timeout=1)
    assert "it cannot be deleted while it is imported. Run again to take it over, or with state=absent to remove it." in message
    assert importer.objects() == ["ocne_boot.qcow2"], "the import still reads it"
    image = importer.images()[0]["id"]
    assert importer()["image"]["id"] == image
    assert importer.objects() == []


def test_absent_waits_for_an_import_that_cannot_be_stopped(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 2
    importer.endpoint.settings.delete_while_importing = False
    importer(wait=False)
    assert importer(state="absent")["changed"]
    assert importer.nothing_is_left()


@pytest.mark.parametrize("call", ["schema", "image"])
def test_later_step_that_fails_removes_the_image(importer: Importer, call: str) -> None:
    importer.endpoint.faults.add(_fault("status", call, times=None, status=403, code="NotAllowed", message="No"))
    message = importer.message()
    assert "(403 NotAllowed" in message
    assert "Removed again: image ocid1.image" in message
    importer.endpoint.faults.clear()
    assert importer.nothing_is_left()


def test_work_requests_that_may_not_be_listed_are_done_without(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 1.0
    importer(wait=False)
    importer.endpoint.faults.add(Fault("status", "GET", "/workRequests", times=None, status=404, code="NotAuthorizedOrNotFound"))
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"


def test_shapes_that_cannot_be_set_remove_the_image(importer: Importer) -> None:
    importer.endpoint.faults.add(Fault("status", "PUT", "/shapes/", times=None, status=400, code="InvalidParameter", message="No"))
    assert "Could not add shape BM.Standard.A1.160 to image" in importer.message(architecture="arm64")
    assert importer.nothing_is_left()
    assert not importer.endpoint.capability_schemas.by_id


def test_image_of_another_run_is_not_removed_with_a_failure(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 20
    importer(wait=False)
    assert "when 1 s had passed" in importer.message(wait_timeout=1)
    assert len(importer.images()) == 1
    assert importer.objects() == ["ocne_boot.qcow2"]
