# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the credential types make of their fields, by AWX's own code, and what becomes of it in the modules."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from awx_plugins.interfaces._temporary_private_container_api import CONTAINER_ROOT

from tests.support import module_call
from tests.support.awx.jobs import inject
from tests.support.awx.rules import check_credential_type
from tests.support.command import ROOT
from tests.support.oci_endpoint import Endpoint


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]
TYPES: dict[str, dict[str, Any]] = yaml.load((ROOT / "roles/awx/vars/main/credential_types.yml").read_text(), Loader=_Loader)[
    "ocne_images_awx_credential_types"
]


def injected(kind: str, folder: Path, **inputs: str) -> dict[str, str]:
    """The environment of a job with a credential of that kind."""
    (folder / "env").mkdir()
    environment: dict[str, Any] = {}
    arguments: list[str] = []
    inject(TYPES[kind], inputs, environment, arguments, folder)
    assert not arguments  # no extra variables
    return {name: value.replace(CONTAINER_ROOT, str(folder)) for name, value in environment.items()}


@pytest.mark.parametrize("kind", TYPES)
def test_awx_takes_the_type(kind: str) -> None:
    check_credential_type({**TYPES[kind], "kind": "cloud"})


@pytest.mark.parametrize("kind", TYPES)
def test_secrets_go_into_files_only(kind: str, tmp_path: Path) -> None:
    fields = TYPES[kind]["inputs"]["fields"]
    inputs = {field["id"]: field.get("choices", [f"canary-{field['id']}"])[0] for field in fields}
    environment = injected(kind, tmp_path, **inputs)
    written = "".join(path.read_text() for path in (tmp_path / "env").iterdir())
    for field in fields:
        if field.get("secret"):
            assert inputs[field["id"]] not in "".join(environment.values())
    assert "canary-" in written


@pytest.mark.parametrize("password", ["", "a", "ab", "abc", "pass:word+/=%&<>'\"", "pässwörd €"])
def test_account_is_what_skopeo_reads(password: str, tmp_path: Path) -> None:
    environment = injected("registry", tmp_path, host="registry.example.com:5000", username="account", password=password)
    content = json.loads(Path(environment["OCNE_IMAGES_AUTHFILE"]).read_text())
    expected = base64.b64encode(f"account:{password}".encode()).decode()
    assert content == {"auths": {"registry.example.com:5000": {"auth": expected}}}


def test_file_of_accounts_is_taken_as_it_is(tmp_path: Path) -> None:
    given = '{"auths": {"a.example.com": {"auth": "YTpi"}, "b.example.com": {"auth": "YTpi"}}}'
    environment = injected("registry", tmp_path, authfile=given)
    assert json.loads(Path(environment["OCNE_IMAGES_AUTHFILE"]).read_text()) == json.loads(given)


def test_kubeconfig_reaches_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "canary-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    for name, value in injected("kubernetes", tmp_path, kubeconfig=yaml.safe_dump(kubeconfig)).items():
        monkeypatch.setenv(name, value)
    said = module_call.message("ocne_cluster", {"provider": "existing"})
    assert "127.0.0.1:1" in said
    assert "canary-token" not in said


def test_instance_principal_needs_no_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Endpoint(tmp_path / "cloud") as cloud:
        for name, value in {**cloud.instance_environment(), **injected("oci", tmp_path, auth_type="instance_principal")}.items():
            monkeypatch.setenv(name, value)
        services = ("auth", "compute", "identity", "object_storage", "work_requests")
        params = {
            "state": "absent",
            "compartment": cloud.add_compartment("team"),
            "display_name": "ock",
            "endpoints": dict.fromkeys(services, cloud.url),
        }
        assert module_call.call("ocne_oci_import", params)["changed"] is False
        assert cloud.requests("GET", "/images")
