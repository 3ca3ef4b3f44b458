# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images from their import to their deletion."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_endpoint.credentials import new_key
from tests.support.oci_endpoint.messages import Principal
from tests.support.oci_http import Answer, Client
from tests.support.oci_samples import artefact, empty_qcow2, good_artefact

BASE = "/20160918"


def _details(endpoint: Endpoint, compartment: str, bucket: str, **more: Any) -> dict[str, Any]:
    source = {
        "sourceType": "objectStorageTuple",
        "namespaceName": endpoint.settings.namespace,
        "bucketName": bucket.rpartition("/")[2],
        "objectName": "image.oci",
        "operatingSystem": "Oracle Linux",
    }
    return {"compartmentId": compartment, "displayName": "ock", "imageSourceDetails": source, **more}


def _work(client: Client, answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = client("GET", f"{BASE}/workRequests/{answer.headers['opc-work-request-id']}").json
    return document


def _state(client: Client, answer: Answer) -> str:
    return str(client("GET", f"{BASE}/images/{answer.json['id']}").json["lifecycleState"])


@pytest.fixture
def imported(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> Answer:
    """The answer of CreateImage for an image that is AVAILABLE by now."""
    client.put(bucket, "image.oci", good_artefact())
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    assert answer.status == 200, answer.content
    endpoint.wait_for_imports()
    return answer


def test_import(client: Client, endpoint: Endpoint, imported: Answer, compartment: str) -> None:
    assert imported.json["lifecycleState"] == "IMPORTING"
    image = client("GET", f"{BASE}/images/{imported.json['id']}").json
    assert (image["lifecycleState"], image["sizeInMBs"], image["operatingSystem"]) == ("AVAILABLE", 1024, "Oracle Linux")
    assert image["launchOptions"]["firmware"] == "UEFI_64"
    work = _work(client, imported)
    assert (work["status"], work["percentComplete"], work["operationType"]) == ("SUCCEEDED", 100.0, "ImportImage")
    assert work["resources"][0]["identifier"] == image["id"]
    disk = endpoint.images.by_id[image["id"]].disk
    assert disk is not None
    assert disk.read_bytes() == empty_qcow2()
    assert client("DELETE", f"{BASE}/images/{image['id']}").status == 204
    assert not disk.exists()
    assert _state(client, imported) == "DELETED"
    assert image["id"] not in [item["id"] for item in client("GET", f"{BASE}/images?compartmentId={compartment}&limit=1000").json]
    assert client("DELETE", f"{BASE}/images/{image['id']}").error == (404, "NotAuthorizedOrNotFound")


def test_create_image_tells_of_the_moment_it_was_accepted(
    client: Client, endpoint: Endpoint, compartment: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = endpoint.importer.start

    def start_and_wait(*image_and_source: Any) -> None:
        start(*image_and_source)
        endpoint.wait_for_imports()

    monkeypatch.setattr(endpoint.importer, "start", start_and_wait)
    client.put(bucket, "image.oci", good_artefact())
    assert client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket)).json["lifecycleState"] == "IMPORTING"


def test_progress(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> None:
    client.put(bucket, "image.oci", good_artefact())
    endpoint.settings.import_seconds = 3600.0
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    work = endpoint.work_requests.by_id[answer.headers["opc-work-request-id"]]
    while work.status == "ACCEPTED":
        time.sleep(0.01)
    assert _work(client, answer)["status"] == "IN_PROGRESS"
    assert client("DELETE", f"{BASE}/images/{answer.json['id']}").error == (409, "IncorrectState")
    endpoint.settings.delete_while_importing = True
    assert client("DELETE", f"{BASE}/images/{answer.json['id']}").status == 204
    endpoint.wait_for_imports()
    assert _work(client, answer)["status"] == "CANCELED"


@pytest.mark.parametrize(("status", "errors"), [("FAILED", [("LimitExceeded", "no space")]), ("CANCELED", [])])
def test_imports_that_are_told_how_to_end(
    client: Client, endpoint: Endpoint, compartment: str, bucket: str, status: str, errors: list[tuple[str, str]]
) -> None:
    client.put(bucket, "image.oci", good_artefact())
    endpoint.end_next_import(status, *errors)
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    endpoint.wait_for_imports()
    work = _work(client, answer)
    assert work["status"] == status
    assert work["timeFinished"]
    listed = client("GET", f"{BASE}/workRequests/{work['id']}/errors").json
    assert [(item["code"], item["message"]) for item in listed] == errors
    assert _state(client, answer) == "DELETED"
    again = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    endpoint.wait_for_imports()
    assert _state(client, again) == "AVAILABLE"


def test_bad_content_fails_the_work_request(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> None:
    client.put(bucket, "image.oci", artefact({"output.QCOW2": empty_qcow2()}))
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    endpoint.wait_for_imports()
    work = _work(client, answer)
    assert work["status"] == "FAILED"
    errors = client("GET", f"{BASE}/workRequests/{work['id']}/errors").json
    assert [item["message"] for item in errors] == ["image_metadata.json is missing"]
    assert _state(client, answer) == "DELETED"


def test_the_object_must_stay_until_the_end(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> None:
    client.put(bucket, "image.oci", good_artefact())
    endpoint.settings.import_seconds = 3600.0
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    client("DELETE", f"{bucket}/o/image.oci")
    endpoint.settings.import_seconds = 0.0
    endpoint.wait_for_imports()
    assert _work(client, answer)["status"] == "FAILED"


def test_a_retry_token_makes_one_image(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> None:
    client.put(bucket, "image.oci", good_artefact())
    details, token = _details(endpoint, compartment, bucket), {"opc-retry-token": "token-1"}
    first = client("POST", f"{BASE}/images", details, token)
    second = client("POST", f"{BASE}/images", details, token)
    assert first.json["id"] == second.json["id"]
    assert first.headers["opc-work-request-id"] == second.headers["opc-work-request-id"]
    other = client("POST", f"{BASE}/images", {**details, "displayName": "other"}, token)
    assert other.error == (409, "InvalidatedRetryToken")
    assert client("POST", f"{BASE}/images", details, {"opc-retry-token": "token-2"}).json["id"] != first.json["id"]
    endpoint.wait_for_imports()
    client("DELETE", f"{BASE}/images/{first.json['id']}")
    assert client("POST", f"{BASE}/images", details, token).error == (409, "InvalidatedRetryToken")


def test_lists_lag_behind(client: Client, endpoint: Endpoint, imported: Answer, compartment: str) -> None:
    endpoint.settings.list_delay = 3600.0
    target = f"{BASE}/images?compartmentId={compartment}&limit=1000"
    assert client("GET", target).json == []
    assert _state(client, imported) == "AVAILABLE"
    endpoint.settings.list_delay = 0.0
    client("PUT", f"{BASE}/images/{imported.json['id']}", {"freeformTags": {"ocne/digest": "abc"}})
    listed = {item["id"]: item for item in client("GET", target).json}
    assert listed[imported.json["id"]]["freeformTags"] == {"ocne/digest": "abc"}


def test_updates_are_guarded_by_the_etag(client: Client, imported: Answer) -> None:
    path = f"{BASE}/images/{imported.json['id']}"
    etag = client("GET", path).headers["etag"]
    assert client("PUT", path, {"displayName": "new"}, {"if-match": etag}).json["displayName"] == "new"
    assert client("PUT", path, {"displayName": "newer"}, {"if-match": etag}).error == (412, "NoEtagMatch")
    assert client("DELETE", path, headers={"if-match": etag}).error == (412, "NoEtagMatch")


def test_filters_and_pages(client: Client, endpoint: Endpoint, bucket: str) -> None:
    compartment = endpoint.add_compartment("filters")
    client.put(bucket, "image.oci", good_artefact())
    for name in ("a", "b", "b", "b", "b"):
        client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket, displayName=name))
    endpoint.wait_for_imports()
    target = f"{BASE}/images?compartmentId={compartment}&displayName=b&lifecycleState=AVAILABLE"
    first = client("GET", target)
    assert len(first.json) == 3
    assert len(client("GET", f"{target}&page={first.headers['opc-next-page']}").json) == 1
    assert client("GET", f"{BASE}/images?compartmentId={compartment}&lifecycleState=IMPORTING").json == []


def test_the_service_limit(client: Client, endpoint: Endpoint, compartment: str, imported: Answer, bucket: str) -> None:
    endpoint.settings.image_limit = 1
    answer = client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket))
    assert answer.error == (400, "LimitExceeded")
    assert "custom-image-count" in answer.json["message"]


@pytest.mark.parametrize("change", [{"bucketName": "none"}, {"objectName": "none"}, {"namespaceName": "none"}])
def test_no_such_object(client: Client, endpoint: Endpoint, compartment: str, bucket: str, change: dict[str, str]) -> None:
    client.put(bucket, "image.oci", good_artefact())
    details = _details(endpoint, compartment, bucket)
    details["imageSourceDetails"].update(change)
    answer = client("POST", f"{BASE}/images", details)
    assert answer.error == (400, "InvalidParameter")
    assert "Specified object or bucket or namespace to import image from does not exist" in answer.json["message"]


@pytest.mark.parametrize(
    "more",
    [
        {"compartmentId": None},
        {"launchMode": "FAST"},
        {"freeformTags": {"a": 1}},
        {"freeformTags": {"a": "x" * 257}},
        {"freeformTags": {str(number): "" for number in range(11)}},
        {"imageSourceDetails": None},
        {"imageSourceDetails": {"sourceType": "tuple"}},
        {"imageSourceDetails": {"sourceType": "objectStorageUri", "sourceUri": "http://host/file"}},
    ],
)
def test_bad_details(client: Client, endpoint: Endpoint, compartment: str, bucket: str, more: dict[str, Any]) -> None:
    client.put(bucket, "image.oci", good_artefact())
    assert client("POST", f"{BASE}/images", _details(endpoint, compartment, bucket, **more)).status == 400


def _session(endpoint: Endpoint, kind: str) -> tuple[str, rsa.RSAPrivateKey]:
    key = new_key()
    return "ST$" + endpoint.credentials.tokens.issue(Principal(kind, endpoint.tenancy, "someone"), key.public_key()), key


def test_some_principals_need_a_preauthenticated_request(client: Client, endpoint: Endpoint, compartment: str, bucket: str) -> None:
    client.put(bucket, "image.oci", good_artefact())
    instance = Client(endpoint, *_session(endpoint, "instance"))
    details = _details(endpoint, compartment, bucket)
    endpoint.settings.uri_only_kinds = ["instance"]
    assert instance("POST", f"{BASE}/images", details).error == (400, "InvalidParameter")
    expires = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    access = {"name": "par", "accessType": "ObjectRead", "objectName": "image.oci", "timeExpires": expires}
    made = instance("POST", f"{bucket}/p", access).json
    uri = {"sourceType": "objectStorageUri", "sourceUri": made["fullPath"]}
    answer = instance("POST", f"{BASE}/images", {**details, "imageSourceDetails": uri})
    endpoint.wait_for_imports()
    assert _state(client, answer) == "AVAILABLE"
    plain = {"sourceType": "objectStorageUri", "sourceUri": f"{endpoint.url}{bucket}/o/image.oci"}
    assert instance("POST", f"{BASE}/images", {**details, "imageSourceDetails": plain}).error == (400, "InvalidParameter")
    client("DELETE", f"{bucket}/p/{made['id']}")
    assert instance("POST", f"{BASE}/images", {**details, "imageSourceDetails": uri}).error == (400, "InvalidParameter")


def test_shapes(client: Client, compartment: str, imported: Answer) -> None:
    shapes = client("GET", f"{BASE}/shapes?compartmentId={compartment}&limit=1000").json
    names = [shape["shape"] for shape in shapes]
    assert names.count("BM.Standard.A1.160") == 3  # once for each availability domain
    assert len(client("GET", f"{BASE}/shapes?compartmentId={compartment}&availabilityDomain=AD-1&limit=1000").json) == len(names) // 3
    path = f"{BASE}/images/{imported.json['id']}/shapes"
    entries = [entry["shape"] for entry in client("GET", f"{path}?limit=1000").json]
    assert not any(".A1." in name or ".A2." in name for name in entries)
    assert client("PUT", f"{path}/BM.Standard.A1.160", {}).status == 200
    assert client("PUT", f"{path}/VM.None", {}).error == (400, "InvalidParameter")
    assert client("DELETE", f"{path}/{entries[0]}").status == 204
    assert client("DELETE", f"{path}/{entries[0]}").error == (404, "NotAuthorizedOrNotFound")
    compatible = client("GET", f"{BASE}/shapes?compartmentId={compartment}&imageId={imported.json['id']}&limit=1000").json
    assert {shape["shape"] for shape in compatible} == {*entries[1:], "BM.Standard.A1.160"}


def _schema(client: Client, compartment: str, image: str, **more: Any) -> dict[str, Any]:
    version = client("GET", f"{BASE}/computeGlobalImageCapabilitySchemas").json[0]["currentVersionName"]
    firmware = {"descriptorType": "enumstring", "source": "IMAGE", "values": ["UEFI_64"], "defaultValue": "UEFI_64"}
    details = {"compartmentId": compartment, "imageId": image, "computeGlobalImageCapabilitySchemaVersionName": version}
    return {**details, "schemaData": {"Compute.Firmware": {**firmware, **more}}}


def test_capability_schema(client: Client, compartment: str, imported: Answer) -> None:
    path, image = f"{BASE}/computeImageCapabilitySchemas", imported.json["id"]
    made = client("POST", path, _schema(client, compartment, image), {"opc-retry-token": "schema"})
    assert made.status == 200
    again = client("POST", path, _schema(client, compartment, image), {"opc-retry-token": "schema"})
    assert again.json["id"] == made.json["id"]
    assert client("POST", path, _schema(client, compartment, image)).error == (409, "IncorrectState")
    (listed,) = client("GET", f"{path}?imageId={image}").json
    assert (listed["id"], "schemaData" in listed) == (made.json["id"], False)
    assert client("DELETE", f"{path}/{made.json['id']}").status == 204
    assert client("GET", f"{path}/{made.json['id']}").error == (404, "NotAuthorizedOrNotFound")


@pytest.mark.parametrize("more", [{"source": "GLOBAL"}, {"values": ["EFI"]}, {"defaultValue": "BIOS"}, {"descriptorType": "boolean"}])
def test_bad_capability_schemas(client: Client, compartment: str, imported: Answer, more: dict[str, Any]) -> None:
    details = _schema(client, compartment, imported.json["id"], **more)
    assert client("POST", f"{BASE}/computeImageCapabilitySchemas", details).error == (400, "InvalidParameter")


def test_capability_schemas_of_nothing(client: Client, compartment: str, imported: Answer) -> None:
    path = f"{BASE}/computeImageCapabilitySchemas"
    assert client("POST", path, _schema(client, compartment, "ocid1.image.none")).error == (404, "NotAuthorizedOrNotFound")
    details = _schema(client, compartment, imported.json["id"])
    details["computeGlobalImageCapabilitySchemaVersionName"] = "none"
    assert client("POST", path, details).error == (400, "InvalidParameter")
