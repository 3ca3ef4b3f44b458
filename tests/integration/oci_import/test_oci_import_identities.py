# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every way to say who asks, and the import through a pre-authenticated request."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from tests.support.oci_endpoint import Endpoint, Settings
from tests.support.oci_import import BUCKET, Importer


def _principals(importer: Importer) -> set[str]:
    return {str(entry.principal).partition(" ")[0] for entry in importer.endpoint.requests() if entry.status == 200}


def _profile(importer: Importer) -> dict[str, str]:
    parser = configparser.ConfigParser()
    parser.read(importer.endpoint.config_file)
    return dict(parser["DEFAULT"])


def test_options_alone(importer: Importer) -> None:
    profile = _profile(importer)
    options = {
        "config_file_location": None,
        "api_user": profile["user"],
        "api_user_fingerprint": profile["fingerprint"],
        "api_user_key_file": profile["key_file"],
        "tenancy": profile["tenancy"],
        "region": profile["region"],
    }
    assert importer(**options)["changed"]


def test_environment_alone(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = _profile(importer)
    monkeypatch.setenv("OCI_USER_ID", profile["user"])
    monkeypatch.setenv("OCI_USER_FINGERPRINT", profile["fingerprint"])
    monkeypatch.setenv("OCI_USER_KEY_FILE", profile["key_file"])
    monkeypatch.setenv("OCI_TENANCY", profile["tenancy"])
    monkeypatch.setenv("OCI_REGION", profile["region"])
    assert importer(config_file_location=None)["changed"]


def test_configuration_file_by_the_environment(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_CONFIG_FILE", str(importer.endpoint.config_file))
    assert importer(config_file_location=None)["changed"]


def test_transport_is_encrypted_and_trusts_the_bundle_that_is_given(disk: Path, importer: Importer) -> None:
    assert importer
    with Endpoint(settings=Settings(min_part_size=100), tls=True) as endpoint:
        encrypted = Importer(endpoint, disk)
        assert "certificate verify failed" in encrypted.message(), "the usual authorities do not know it"
        assert encrypted(cert_bundle=str(endpoint.ca_file))["changed"]
        assert len(encrypted.puts()) >= 4
        assert encrypted(cert_bundle=str(endpoint.ca_file))["uploaded_bytes"] == 0


def test_session_token(importer: Importer) -> None:
    assert importer(auth_type="security_token", config_profile_name="SESSION")["changed"]
    assert all("session" in principal for principal in _principals(importer))


def test_session_token_that_has_expired(importer: Importer) -> None:
    importer.endpoint.credentials.renew_session(lifetime=-10)
    message = importer.message(auth_type="security_token", config_profile_name="SESSION")
    assert "(401 NotAuthenticated" in message
    assert "session token has not expired" in message


def test_profile_without_a_session_token(importer: Importer) -> None:
    assert "Make a session with 'oci session authenticate'." in importer.message(auth_type="security_token")


@pytest.fixture
def on_an_instance(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> Importer:
    for name, value in importer.endpoint.instance_environment().items():
        monkeypatch.setenv(name, value)
    return importer


def test_instance_principal(on_an_instance: Importer) -> None:
    endpoints = {**on_an_instance.params["endpoints"], "auth": on_an_instance.endpoint.url}
    result = on_an_instance(auth_type="instance_principal", config_file_location=None, endpoints=endpoints)
    assert result["changed"]
    assert {entry.principal for entry in on_an_instance.endpoint.requests("GET", "/images")} == {"instance"}


def test_resource_principal(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in importer.endpoint.resource_environment().items():
        monkeypatch.setenv(name, value)
    assert importer(auth_type="resource_principal", config_file_location=None)["changed"]
    assert {entry.principal for entry in importer.endpoint.requests("GET", "/images")} == {"resource"}


def test_workload_identity(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in importer.endpoint.workload_environment("127.0.0.2").items():
        monkeypatch.setenv(name, value)
    assert importer(auth_type="oke_workload_identity", config_file_location=None, compartment=importer.compartment)["changed"]


def test_import_that_is_refused_by_name_goes_through_a_preauthenticated_request(importer: Importer) -> None:
    importer.endpoint.settings.uri_only_kinds = ["session"]
    result = importer(auth_type="security_token", config_profile_name="SESSION")
    assert result["image"]["lifecycle_state"] == "AVAILABLE"
    assert len(importer.endpoint.requests("POST", "/images$")) == 2
    assert importer.endpoint.buckets.by_name[BUCKET].access_requests == {}
    assert importer.objects() == []
    assert not importer.journals()
    assert "/p/" not in json.dumps(result), "the URL is a secret"


def test_import_through_a_preauthenticated_request_when_asked_for(importer: Importer) -> None:
    assert importer(import_through="preauthenticated_request")["changed"]
    assert len(importer.endpoint.requests("POST", "/images$")) == 1
    assert importer.endpoint.buckets.by_name[BUCKET].access_requests == {}


def test_import_by_name_only_when_asked_for(importer: Importer) -> None:
    importer.endpoint.settings.uri_only_kinds = ["user"]
    message = importer.message(import_through="object")
    assert "Could not import image ock" in message
    assert importer.nothing_is_left()


def test_preauthenticated_request_is_removed_when_the_import_fails(importer: Importer) -> None:
    importer.endpoint.end_next_import("FAILED")
    message = importer.message(import_through="preauthenticated_request")
    assert "the pre-authenticated request" in message
    assert "/p/" not in message
    assert importer.nothing_is_left()


def test_preauthenticated_request_of_a_run_that_did_not_wait_is_removed_by_the_next(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 1.0
    importer(import_through="preauthenticated_request", wait=False)
    assert len(importer.endpoint.buckets.by_name[BUCKET].access_requests) == 1
    assert "/p/" not in importer.journals()[0].read_text()
    importer()
    assert importer.endpoint.buckets.by_name[BUCKET].access_requests == {}
    assert not importer.journals()


def test_instance_principal_where_there_is_no_instance(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2")
    message = importer.message(auth_type="instance_principal", config_file_location=None)
    assert "This host gives no instance_principal" in message


def test_resource_principal_where_there_is_none(importer: Importer) -> None:
    message = importer.message(auth_type="resource_principal", config_file_location=None)
    assert "This host gives no resource_principal" in message


def test_workload_identity_where_there_is_none(importer: Importer) -> None:
    message = importer.message(auth_type="oke_workload_identity", config_file_location=None)
    assert "This host gives no oke_workload_identity" in message
