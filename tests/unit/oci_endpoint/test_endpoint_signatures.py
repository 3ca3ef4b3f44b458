# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that are not signed as the service wants it are refused."""

from __future__ import annotations

import base64
import json
import time
from email.utils import formatdate

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_endpoint.credentials import new_key
from tests.support.oci_endpoint.messages import Principal
from tests.support.oci_http import BODY, GENERIC, Answer, Client


def _refused(answer: Answer, endpoint: Endpoint, reason: str) -> None:
    assert answer.error == (401, "NotAuthenticated")
    assert reason in endpoint.requests()[-1].note


def test_a_signed_request_is_answered_with_request_ids(client: Client, endpoint: Endpoint) -> None:
    answer = client("GET", "/n", headers={"opc-request-id": "MINE", "opc-client-request-id": "traced"})
    assert answer.status == 200
    assert answer.json == endpoint.settings.namespace
    assert answer.headers["opc-request-id"].startswith("MINE/")
    assert answer.headers["opc-client-request-id"] == "traced"
    assert endpoint.requests()[-1].principal == "user"


def test_an_error_bears_a_request_id(client: Client) -> None:
    assert client("GET", "/20160918/images/none").headers["opc-request-id"].count("/") == 2


def test_no_signature(client: Client, endpoint: Endpoint) -> None:
    _refused(client("GET", "/n", signed=()), endpoint, "no Authorization header")


@pytest.mark.parametrize("left_out", GENERIC)
def test_each_generic_header_must_be_signed(client: Client, endpoint: Endpoint, left_out: str) -> None:
    _refused(client("GET", "/n", signed=[name for name in GENERIC if name != left_out]), endpoint, f"not signed: {left_out}")


@pytest.mark.parametrize("left_out", BODY)
def test_each_header_of_the_body_must_be_signed(client: Client, endpoint: Endpoint, left_out: str) -> None:
    signed = [name for name in GENERIC + BODY if name != left_out]
    _refused(client("POST", client.path, {"name": "b"}, signed=signed), endpoint, f"not signed: {left_out}")


def test_x_date_stands_for_date(client: Client) -> None:
    headers = {"x-date": formatdate(usegmt=True), "date": formatdate(0, usegmt=True)}
    assert client("GET", "/n", headers=headers, signed=("x-date", "(request-target)", "host")).status == 200


@pytest.mark.parametrize("shift", [-310, 310])
def test_clock_skew(client: Client, shift: int) -> None:
    answer = client("GET", "/n", headers={"date": formatdate(time.time() + shift, usegmt=True)})
    assert answer.error == (401, "NotAuthenticated")
    assert "is not within allowed clock skew" in answer.json["message"]


def test_a_date_within_five_minutes(client: Client) -> None:
    assert client("GET", "/n", headers={"date": formatdate(time.time() - 280, usegmt=True)}).status == 200


def test_another_target_than_the_signed_one(client: Client, endpoint: Endpoint) -> None:
    headers = {"host": client.address, "date": formatdate(usegmt=True)}
    headers["authorization"] = client.sign("GET", "/n", headers, GENERIC)
    _refused(client.send("GET", "/20160918/images?compartmentId=c", headers), endpoint, "does not match")


def test_another_body_than_the_signed_one(client: Client, endpoint: Endpoint) -> None:
    wrong = {"x-content-sha256": base64.b64encode(bytes(32)).decode()}
    _refused(client("POST", client.path, {"name": "b"}, headers=wrong), endpoint, "x-content-sha256")


def test_an_object_is_put_without_a_signed_body(client: Client, bucket: str) -> None:
    assert client("PUT", f"{bucket}/o/name", b"content", raw=True, signed=GENERIC).status == 200


def test_unknown_key(endpoint: Endpoint) -> None:
    _refused(Client(endpoint, key_id="ocid1.tenancy.oc1..x/ocid1.user.oc1..y/00:11")("GET", "/n"), endpoint, "is not known")


def test_wrong_private_key(endpoint: Endpoint) -> None:
    _refused(Client(endpoint, key=new_key())("GET", "/n"), endpoint, "does not match")


def test_security_token(endpoint: Endpoint) -> None:
    key = new_key()
    owner = Principal("session", endpoint.tenancy, endpoint.credentials.user)
    token = endpoint.credentials.tokens.issue(owner, key.public_key())
    assert Client(endpoint, f"ST${token}", key)("GET", "/n").status == 200
    _refused(Client(endpoint, f"ST${token}", new_key())("GET", "/n"), endpoint, "does not match")
    expired = endpoint.credentials.tokens.issue(owner, key.public_key(), lifetime=-1)
    _refused(Client(endpoint, f"ST${expired}", key)("GET", "/n"), endpoint, "expired")
    head, _separator, rest = token.partition(".")
    payload, _separator, signature = rest.partition(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps({**claims, "exp": claims["exp"] + 9999}).encode()).decode().rstrip("=")
    _refused(Client(endpoint, f"ST${head}.{forged}.{signature}", key)("GET", "/n"), endpoint, "not one of this service")


def test_metadata_service_wants_its_header(client: Client) -> None:
    assert client.send("GET", "/opc/v2/instance/region", {"host": client.address}).status == 403
    answer = client.send("GET", "/opc/v2/instance/region", {"host": client.address, "authorization": "Bearer Oracle"})
    assert answer.content == b"us-ashburn-1"


def test_an_api_key_is_no_instance(client: Client, endpoint: Endpoint) -> None:
    _refused(client("POST", "/v1/x509", {}), endpoint, "not that of the instance")


def test_files_with_keys_are_private(endpoint: Endpoint) -> None:
    names = ("config", "oci_api_key.pem", "session_key.pem", "session_token")
    assert {(endpoint.folder / name).stat().st_mode & 0o777 for name in names} == {0o600}
    assert endpoint.folder.stat().st_mode & 0o777 == 0o700


def test_the_fingerprint_is_that_of_the_public_key(endpoint: Endpoint) -> None:
    # the form that SDK and command-line client check: 16 bytes in hex with colons
    assert len(endpoint.credentials.api_key.fingerprint.split(":")) == 16
    loaded = serialization.load_pem_private_key(endpoint.credentials.api_key.key_file.read_bytes(), None)
    assert loaded.public_key() == endpoint.credentials.api_key.public_key
