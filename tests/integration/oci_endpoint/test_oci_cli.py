# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command-line client of Oracle Cloud, as its users run it, against the local endpoint: it is the judge of the endpoint's answers."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from tests.support.oci_endpoint import Endpoint, Fault, Settings
from tests.support.oci_samples import artefact, empty_qcow2, good_artefact, metadata

MIB = 1 << 20


def _client() -> Optional[str]:
    beside = Path(sys.executable).with_name("oci")
    return str(beside) if beside.exists() else shutil.which("oci")


pytestmark = pytest.mark.skipif(_client() is None, reason="the oci command-line client (PyPI oci-cli) is not installed")


class Cli:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """:param environment: further variables; an empty one is removed."""
        variables = {**os.environ, **self.endpoint.client_environment(), **environment}
        variables = {name: value for name, value in variables.items() if value}
        command = [str(_client()), *words]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)

    def __call__(self, *words: str, **environment: str) -> Any:
        """The parsed output of a command that works."""
        done = self.run(*words, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def error(self, *words: str, **environment: str) -> dict[str, Any]:
        """The service's error of a command that fails."""
        done = self.run("--no-retry", *words, **environment)
        assert done.returncode != 0, done.stdout
        document: dict[str, Any] = json.loads(done.stderr[done.stderr.index("{") :])
        return document


@pytest.fixture(scope="module")
def cli() -> Iterator[Cli]:
    # small parts, and two items a page, so that the client has to follow pages everywhere
    with Endpoint(settings=Settings(min_part_size=MIB, page_size=2, delete_while_importing=True)) as endpoint:
        yield Cli(endpoint)


@pytest.fixture(scope="module")
def compartment(cli: Cli) -> str:
    return cli.endpoint.add_compartment("team/images")


@pytest.fixture
def bucket(cli: Cli, compartment: str, request: pytest.FixtureRequest) -> str:
    name = request.node.name
    cli("os", "bucket", "create", "--name", name, "--compartment-id", compartment)
    return str(name)


def test_identity(cli: Cli, compartment: str) -> None:
    tenancy = cli.endpoint.tenancy
    for path in ("b", "c", "d/e"):
        cli.endpoint.add_compartment(path)
    children = cli("iam", "compartment", "list", "--all")["data"]
    assert sorted(item["name"] for item in children) == ["b", "c", "d", "team"]
    subtree = ("--compartment-id", tenancy, "--compartment-id-in-subtree", "true", "--access-level", "ACCESSIBLE", "--all")
    everything = cli("iam", "compartment", "list", *subtree)["data"]
    assert sorted(item["name"] for item in everything) == ["b", "c", "d", "e", "images", "team"]
    assert cli("iam", "compartment", "list", *subtree, "--name", "images")["data"][0]["id"] == compartment
    assert cli("iam", "compartment", "get", "--compartment-id", compartment)["data"]["name"] == "images"
    assert cli("iam", "tenancy", "get", "--tenancy-id", tenancy)["data"]["home-region-key"] == "IAD"
    assert cli("iam", "region-subscription", "list")["data"][0]["region-name"] == "us-ashburn-1"
    missing = cli.error("iam", "compartment", "get", "--compartment-id", compartment + "x")
    assert (missing["status"], missing["code"]) == (404, "NotAuthorizedOrNotFound")


def test_buckets(cli: Cli, compartment: str, bucket: str) -> None:
    namespace = cli("os", "ns", "get")["data"]
    assert namespace == cli.endpoint.settings.namespace
    for name in ("bucket-1", "bucket-2"):
        cli("os", "bucket", "create", "--name", name, "--compartment-id", compartment)
    listed = cli("os", "bucket", "list", "--compartment-id", compartment, "--all")["data"]
    assert {bucket, "bucket-1", "bucket-2"} <= {item["name"] for item in listed}
    assert cli("os", "bucket", "get", "--name", bucket)["data"]["compartment-id"] == compartment
    again = cli.error("os", "bucket", "create", "--name", bucket, "--compartment-id", compartment)
    assert (again["status"], again["code"]) == (409, "BucketAlreadyExists")
    cli("os", "bucket", "delete", "--name", "bucket-1", "--force")
    assert cli.error("os", "bucket", "get", "--name", "bucket-1")["code"] == "BucketNotFound"


def test_small_object(cli: Cli, bucket: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(100_000))
    name = "folder/with space é.bin"
    put = ("os", "object", "put", "--bucket-name", bucket, "--name", name, "--file", str(source))
    md5 = base64.b64encode(hashlib.md5(source.read_bytes()).digest()).decode()
    assert cli(*put, "--metadata", '{"kind": "sample"}')["opc-content-md5"] == md5
    head = cli("os", "object", "head", "--bucket-name", bucket, "--name", name)
    assert (head["content-length"], head["content-md5"], head["opc-meta-kind"]) == ("100000", md5, "sample")
    cli("os", "object", "get", "--bucket-name", bucket, "--name", name, "--file", str(target))
    assert target.read_bytes() == source.read_bytes()
    cli("os", "object", "get", "--bucket-name", bucket, "--name", name, "--file", str(target), "--range", "bytes=10-19")
    assert target.read_bytes() == source.read_bytes()[10:20]
    for other in ("a", "b", "c"):
        cli("os", "object", "put", "--bucket-name", bucket, "--name", other, "--file", str(source))
    listed = cli("os", "object", "list", "--bucket-name", bucket, "--all")["data"]
    assert [item["name"] for item in listed] == ["a", "b", "c", name]
    assert listed[-1]["md5"] == md5
    kept = cli.run(*put, "--no-overwrite")
    assert "already exists and was not overwritten" in kept.stderr
    wrong = cli.error(*put, "--force", "--no-multipart", "--content-md5", base64.b64encode(bytes(16)).decode())
    assert (wrong["status"], wrong["code"]) == (400, "UnmatchedContentMD5")
    full = cli.error("os", "bucket", "delete", "--name", bucket, "--force")
    assert (full["status"], full["code"]) == (409, "BucketNotEmpty")
    cli("os", "object", "delete", "--bucket-name", bucket, "--name", "a", "--force")
    gone = cli.error("os", "object", "head", "--bucket-name", bucket, "--name", "a")
    assert gone["status"] == 404
    cli("os", "object", "bulk-delete", "--bucket-name", bucket, "--force")
    cli("os", "bucket", "delete", "--name", bucket, "--force")


def test_multipart_upload(cli: Cli, bucket: str, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(5 * MIB + 7))
    content = source.read_bytes()
    answer = cli(
        "os", "object", "put", "--bucket-name", bucket, "--file", str(source), "--name", "big", "--part-size", "2", "--verify-checksum"
    )
    sums = b"".join(hashlib.md5(content[at : at + 2 * MIB]).digest() for at in range(0, len(content), 2 * MIB))
    assert answer["opc-multipart-md5"] == base64.b64encode(hashlib.md5(sums).digest()).decode() + "-3"
    cli("os", "object", "get", "--bucket-name", bucket, "--name", "big", "--file", str(target))
    assert target.read_bytes() == content


def test_interrupted_multipart_upload_is_resumed(cli: Cli, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(7 * MIB))
    cli.endpoint.faults.add(
        Fault("status", "PUT", "uploadPartNum=3", times=None, status=400, code="InvalidParameter", message="told to fail")
    )
    put = ("os", "object", "put", "--bucket-name", bucket, "--file", str(source), "--name", "big", "--part-size", "2")
    assert cli.run(*put, "--disable-parallel-uploads").returncode != 0
    cli.endpoint.faults.clear()
    uploads = cli("os", "multipart", "list", "--bucket-name", bucket, "--all")["data"]
    assert [item["object"] for item in uploads] == ["big"]
    blocked = cli.error("os", "bucket", "delete", "--name", bucket, "--force")
    assert (blocked["status"], blocked["code"]) == (409, "BucketNotEmpty")
    upload = uploads[0]["upload-id"]
    cli(
        "os",
        "object",
        "resume-put",
        "--bucket-name",
        bucket,
        "--file",
        str(source),
        "--name",
        "big",
        "--upload-id",
        upload,
        "--part-size",
        "2",
    )
    assert cli.endpoint.object_content(bucket, "big") == source.read_bytes()
    assert cli("os", "multipart", "list", "--bucket-name", bucket, "--all") is None


def test_multipart_upload_is_aborted(cli: Cli, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * MIB))
    cli.endpoint.faults.add(Fault("status", "PUT", "uploadPartNum=2", times=None, status=400, code="InvalidParameter"))
    cli.run("os", "object", "put", "--bucket-name", bucket, "--file", str(source), "--name", "big", "--part-size", "1")
    cli.endpoint.faults.clear()
    (upload,) = cli.endpoint.uploads(bucket)
    cli("os", "multipart", "abort", "--bucket-name", bucket, "--object-name", "big", "--upload-id", upload.id, "--force")
    assert cli.endpoint.uploads(bucket) == []
    cli("os", "bucket", "delete", "--name", bucket, "--force")


def test_preauthenticated_request(cli: Cli, bucket: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    cli("os", "object", "put", "--bucket-name", bucket, "--name", "a b/c", "--file", str(source))
    expires = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    command = ("os", "preauth-request", "create", "--bucket-name", bucket, "--name", "par", "--access-type", "ObjectRead")
    created = cli(*command, "--object-name", "a b/c", "--time-expires", expires)["data"]
    assert created["full-path"] == cli.endpoint.url + created["access-uri"]
    with urllib.request.urlopen(created["full-path"]) as answer:
        assert answer.read() == b"content"
    listed = cli("os", "preauth-request", "list", "--bucket-name", bucket, "--all")["data"]
    assert [item["id"] for item in listed] == [created["id"]]
    assert cli("os", "preauth-request", "get", "--bucket-name", bucket, "--par-id", created["id"])["data"]["object-name"] == "a b/c"
    cli("os", "preauth-request", "delete", "--bucket-name", bucket, "--par-id", created["id"], "--force")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(created["full-path"])
    assert refused.value.code == 404


def _put(cli: Cli, bucket: str, name: str, content: bytes, folder: Path) -> None:
    path = folder / "put"
    path.write_bytes(content)
    cli("os", "object", "put", "--bucket-name", bucket, "--name", name, "--file", str(path), "--force")


def _import(cli: Cli, compartment: str, bucket: str, name: str, *more: str) -> tuple[str, str]:
    """OCIDs of the image and of the work request."""
    namespace = cli.endpoint.settings.namespace
    source = ("--namespace", namespace, "--bucket-name", bucket, "--name", name)
    answer = cli("compute", "image", "import", "from-object", "--compartment-id", compartment, *source, "--display-name", "ock", *more)
    return answer["data"]["id"], answer["opc-work-request-id"]


def test_image_import(cli: Cli, compartment: str, bucket: str, tmp_path: Path) -> None:
    _put(cli, bucket, "image.oci", good_artefact(), tmp_path)
    cli.endpoint.settings.import_seconds = 100.0
    tags = {"ocne/architecture": "amd64", "ocne/kubernetes": "1.33"}
    os_options = ("--operating-system", "Oracle Linux", "--operating-system-version", "8")
    image, work = _import(cli, compartment, bucket, "image.oci", *os_options)
    get = ("work-requests", "work-request", "get", "--work-request-id", work)
    while not (running := cli(*get)["data"])["percent-complete"]:
        assert running["status"] in ("ACCEPTED", "IN_PROGRESS")
    assert running["status"] == "IN_PROGRESS"
    assert 0 < running["percent-complete"] < 100
    assert running["resources"][0]["identifier"] == image
    assert cli("compute", "image", "get", "--image-id", image)["data"]["lifecycle-state"] == "IMPORTING"
    cli.endpoint.settings.import_seconds = 0.0
    cli.endpoint.wait_for_imports()
    assert cli(*get)["data"]["status"] == "SUCCEEDED"
    logs = cli("work-requests", "work-request-log-entry", "list", "--work-request-id", work, "--all")["data"]
    assert logs[-1]["message"] == "The image is available"
    found = cli("work-requests", "work-request", "list", "--compartment-id", compartment, "--resource-id", image, "--all")["data"]
    assert [item["id"] for item in found] == [work]
    document = cli("compute", "image", "update", "--image-id", image, "--freeform-tags", json.dumps(tags), "--force")["data"]
    assert document["lifecycle-state"] == "AVAILABLE"
    assert document["launch-options"]["firmware"] == "UEFI_64"
    assert document["size-in-mbs"] == 1024
    for _turn in range(3):
        _import(cli, compartment, bucket, "image.oci")
    listed = cli("compute", "image", "list", "--compartment-id", compartment, "--display-name", "ock", "--all")["data"]
    assert len(listed) == 4
    assert [item["id"] for item in listed if item["freeform-tags"] == tags] == [image]
    cli("compute", "image", "delete", "--image-id", image, "--force")
    assert cli("compute", "image", "get", "--image-id", image)["data"]["lifecycle-state"] == "DELETED"


def test_image_import_through_preauthenticated_request(cli: Cli, compartment: str, bucket: str, tmp_path: Path) -> None:
    _put(cli, bucket, "disk.qcow2", empty_qcow2(), tmp_path)
    expires = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    command = ("os", "preauth-request", "create", "--bucket-name", bucket, "--name", "par", "--access-type", "ObjectRead")
    uri = cli(*command, "--object-name", "disk.qcow2", "--time-expires", expires)["data"]["full-path"]
    words = ("compute", "image", "import", "from-object-uri", "--compartment-id", compartment, "--uri", uri, "--source-image-type", "QCOW2")
    image = cli(*words)["data"]["id"]
    cli.endpoint.wait_for_imports()
    assert cli("compute", "image", "get", "--image-id", image)["data"]["lifecycle-state"] == "AVAILABLE"
    bad = cli.error(*words[:-4], "--uri", uri.replace("/p/", "/p/x"), *words[-2:])
    assert (bad["status"], bad["code"]) == (400, "InvalidParameter")


def test_failed_import_lists_its_errors(cli: Cli, compartment: str, bucket: str, tmp_path: Path) -> None:
    broken = artefact({"output.QCOW2": b"no disk", "image_metadata.json": json.dumps(metadata()).encode()})
    _put(cli, bucket, "image.oci", broken, tmp_path)
    image, work = _import(cli, compartment, bucket, "image.oci")
    cli.endpoint.wait_for_imports()
    assert cli("work-requests", "work-request", "get", "--work-request-id", work)["data"]["status"] == "FAILED"
    errors = cli("work-requests", "work-request-error", "list", "--work-request-id", work, "--all")["data"]
    assert [item["message"] for item in errors] == ["the disk image is not in qcow2 format"]
    assert cli("compute", "image", "get", "--image-id", image)["data"]["lifecycle-state"] == "DELETED"


def test_canceled_import(cli: Cli, compartment: str, bucket: str, tmp_path: Path) -> None:
    _put(cli, bucket, "image.oci", good_artefact(), tmp_path)
    cli.endpoint.end_next_import("CANCELED")
    _image, work = _import(cli, compartment, bucket, "image.oci")
    cli.endpoint.wait_for_imports()
    assert cli("work-requests", "work-request", "get", "--work-request-id", work)["data"]["status"] == "CANCELED"


def test_capabilities_and_shapes_of_an_image(cli: Cli, compartment: str, bucket: str, tmp_path: Path) -> None:
    _put(cli, bucket, "image.oci", good_artefact(), tmp_path)
    image, _work = _import(cli, compartment, bucket, "image.oci")
    cli.endpoint.wait_for_imports()
    shared = cli("compute", "global-image-capability-schema", "list", "--all")["data"][0]
    assert cli("compute", "global-image-capability-schema", "get", "--global-image-capability-schema-id", shared["id"])["data"] == shared
    group = ("compute", "global-image-capability-schema-version")
    versions = cli(*group, "list", "--global-image-capability-schema-id", shared["id"], "--all")["data"]
    assert shared["current-version-name"] in [item["name"] for item in versions]
    which = (
        "--global-image-capability-schema-id",
        shared["id"],
        "--global-image-capability-schema-version-name",
        shared["current-version-name"],
    )
    assert "Compute.Firmware" in cli(*group, "get", *which)["data"]["schema-data"]
    firmware = {"descriptorType": "enumstring", "source": "IMAGE", "values": ["UEFI_64"], "defaultValue": "UEFI_64"}
    create = ["compute", "image-capability-schema", "create", "--compartment-id", compartment, "--image-id", image]
    create += ["--global-image-capability-schema-version-name", shared["current-version-name"], "--schema-data"]
    schema = cli(*create, json.dumps({"Compute.Firmware": firmware}))["data"]
    assert schema["schema-data"]["Compute.Firmware"]["values"] == ["UEFI_64"]
    twice = cli.error(*create, json.dumps({"Compute.Firmware": firmware}))
    assert (twice["status"], twice["code"]) == (409, "IncorrectState")
    listed = cli("compute", "image-capability-schema", "list", "--image-id", image, "--all")["data"]
    assert [item["id"] for item in listed] == [schema["id"]]
    cli("compute", "image-capability-schema", "get", "--image-capability-schema-id", schema["id"])
    cli("compute", "image-capability-schema", "delete", "--image-capability-schema-id", schema["id"], "--force")

    shapes = cli("compute", "shape", "list", "--compartment-id", compartment, "--all")["data"]
    arm = {item["shape"] for item in shapes if "Ampere" in item["processor-description"]}
    assert "BM.Standard.A1.160" in arm
    entries = ("compute", "image-shape-compatibility-entry")
    before = {item["shape"] for item in cli(*entries, "list", "--image-id", image, "--all")["data"]}
    assert before and not before & arm
    cli(*entries, "add", "--image-id", image, "--shape-name", "BM.Standard.A1.160")
    cli(*entries, "remove", "--image-id", image, "--shape-name", "VM.Standard2.1", "--force")
    after = {item["shape"] for item in cli(*entries, "list", "--image-id", image, "--all")["data"]}
    assert after == before - {"VM.Standard2.1"} | {"BM.Standard.A1.160"}
    assert cli(*entries, "get", "--image-id", image, "--shape-name", "BM.Standard.A1.160")["data"]["image-id"] == image


def test_session_token(cli: Cli) -> None:
    session = {"OCI_CLI_PROFILE": "SESSION", "OCI_CLI_AUTH": "security_token"}
    assert cli("os", "ns", "get", **session)["data"] == cli.endpoint.settings.namespace
    assert cli.endpoint.requests("GET", "^/n")[-1].principal == "session"
    cli.endpoint.credentials.renew_session(lifetime=-10)
    expired = cli.run("os", "ns", "get", **session)
    assert expired.returncode != 0
    assert "This CLI session has expired" in expired.stdout
    cli.endpoint.credentials.renew_session()


def test_instance_principal(cli: Cli) -> None:
    environment = cli.endpoint.instance_environment()
    answer = cli("os", "ns", "get", OCI_CLI_AUTH="instance_principal", OCI_CLI_CONFIG_FILE="", **environment)
    assert answer["data"] == cli.endpoint.settings.namespace
    assert cli.endpoint.requests("GET", "^/n")[-1].principal == "instance"


def test_resource_principal(cli: Cli) -> None:
    environment = cli.endpoint.resource_environment()
    answer = cli("os", "ns", "get", OCI_CLI_AUTH="resource_principal", OCI_CLI_CONFIG_FILE="", **environment)
    assert answer["data"] == cli.endpoint.settings.namespace
    assert cli.endpoint.requests("GET", "^/n")[-1].principal == "resource"


def test_workload_identity(cli: Cli) -> None:
    environment = cli.endpoint.workload_environment("127.0.0.9")
    answer = cli("os", "ns", "get", OCI_CLI_AUTH="oke_workload_identity", OCI_CLI_CONFIG_FILE="", **environment)
    assert answer["data"] == cli.endpoint.settings.namespace
    assert cli.endpoint.requests("GET", "^/n")[-1].principal == "workload"


def test_over_tls(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(3 * MIB))
    with Endpoint(settings=Settings(min_part_size=MIB), tls=True) as endpoint:
        cli = Cli(endpoint)
        cli("os", "bucket", "create", "--name", "b", "--compartment-id", endpoint.tenancy)
        put = ("os", "object", "put", "--bucket-name", "b", "--name", "o", "--file", str(source), "--force")
        cli(*put, "--part-size", "1")
        assert endpoint.object_content("b", "o") == source.read_bytes()
        endpoint.faults.add(Fault("status", "PUT", "/o/", times=None, status=400, code="InvalidParameter", message="told to fail"))
        assert cli.error(*put, "--no-multipart")["message"] == "told to fail"
        assert cli.run("--no-retry", "os", "ns", "get", REQUESTS_CA_BUNDLE="").returncode != 0


def test_wrong_key_is_refused(cli: Cli, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes((cli.endpoint.folder / "session_key.pem").read_bytes())
    key.chmod(0o600)
    refused = cli.error("os", "ns", "get", OCI_CLI_KEY_FILE=str(key))
    assert (refused["status"], refused["code"]) == (401, "NotAuthenticated")
    assert "signature does not match" in cli.endpoint.requests("GET", "^/n")[-1].note
