# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts, certificates, and what is said when they are missing."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.image_push import Image, failure, push
from tests.support.module_call import start
from tests.support.registry import PASSWORD, USER, Registry
from tests.support.watching import wait_until


@pytest.fixture
def dest(secured: Registry, tmp_path: Path) -> str:
    return f"docker://{secured.host}/{tmp_path.name.lower().replace('_', '-')}:1"


@pytest.fixture
def account(secured: Registry) -> dict[str, Any]:
    return {"username": USER, "password": PASSWORD, "ca_certificates": str(secured.ca)}


def _authfile(path: Path, registry: Registry, password: str) -> str:
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {registry.host: {"auth": token}}}))
    return str(path)


def test_account_given(image: Image, dest: str, account: dict[str, Any]) -> None:
    assert push(image.reference, dest, **account)["digest"] == image.digest
    assert not push(image.reference, dest, **account)["changed"]


def test_account_of_the_authfile(image: Image, dest: str, secured: Registry, tmp_path: Path) -> None:
    options = {"authfile": _authfile(tmp_path / "auth.json", secured, PASSWORD), "ca_certificates": str(secured.ca)}
    assert push(image.reference, dest, **options)["copied"]


def test_account_of_the_users_own_authfile(
    image: Image, dest: str, secured: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_AUTH_FILE", _authfile(tmp_path / "auth.json", secured, PASSWORD))
    assert push(image.reference, dest, ca_certificates=str(secured.ca))["copied"]


def test_no_account(image: Image, dest: str, secured: Registry) -> None:
    result = failure(image.reference, dest, ca_certificates=str(secured.ca))
    assert (result["reason"], result["registry"]) == ("unauthorized", secured.host)
    assert f"The registry {secured.host} wants an account" in result["msg"]
    assert f"podman login {secured.host}" in result["msg"]


def test_wrong_password(image: Image, dest: str, account: dict[str, Any], secured: Registry) -> None:
    result = failure(image.reference, dest, **{**account, "password": "wrong-canary"})
    assert (result["reason"], result["registry"]) == ("unauthorized", secured.host)
    assert f"The registry {secured.host} refused the account {USER}" in result["msg"]
    assert "wrong-canary" not in json.dumps(result)


def test_wrong_password_in_the_authfile(image: Image, dest: str, secured: Registry, tmp_path: Path) -> None:
    authfile = _authfile(tmp_path / "auth.json", secured, "wrong-canary")
    result = failure(image.reference, dest, authfile=authfile, ca_certificates=str(secured.ca))
    assert f"refused the account {USER}" in result["msg"]
    assert "wrong-canary" not in json.dumps(result)


def test_refusal_shows_in_check_mode(image: Image, dest: str, account: dict[str, Any]) -> None:
    assert failure(image.reference, dest, check=True, **{**account, "password": "x"})["reason"] == "unauthorized"


def test_certificate_authorities_that_are_missing(image: Image, dest: str, account: dict[str, Any], tmp_path: Path) -> None:
    result = failure(image.reference, dest, **{**account, "ca_certificates": str(tmp_path / "none.pem")})
    assert f"ca_certificates {tmp_path}/none.pem is not there" in result["msg"]


def test_killed_run_leaves_no_password(
    image: Image, dest: str, account: dict[str, Any], secured: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with secured.paused():
        process = start("ocne_image_push", {"src": image.reference, "dest": dest, **account})
        wait_until(lambda: _skopeo(process.pid), process)
        skopeo = _skopeo(process.pid)
        options = Path(f"/proc/{skopeo}/cmdline").read_text().split("\0")
        (authfile,) = (option.partition("=")[2] for option in options if "authfile" in option)
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        assert token in Path(authfile.replace("self", str(skopeo))).read_text()
        process.kill()
        process.communicate()
        os.kill(skopeo, signal.SIGKILL)
    assert token not in "".join(path.read_text() for path in tmp_path.glob("ocne-*/*"))


def _skopeo(parent: int) -> int:
    """The child that runs this program by now; 0 where none does."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() == "skopeo\n":
                return int(child)
    return 0


def test_source_with_an_account_of_its_own(
    image: Image, dest: str, account: dict[str, Any], a_registry: Registry, tmp_path: Path, secured: Registry
) -> None:
    push(image.reference, dest, **account)
    source = {f"src_{name}": account[name] for name in ("username", "password")}
    options = {"ca_certificates": str(secured.ca), "tls_verify": False}
    copy = f"docker://{a_registry.host}/{tmp_path.name.lower().replace('_', '-')}:copy"
    assert push(dest, copy, **source, **options)["digest"] == image.digest
    refused = failure(dest, copy, **options)
    assert (refused["reason"], refused["registry"]) == ("unauthorized", secured.host)


def test_account_of_the_destination_is_not_sent_to_the_source(
    image: Image, a_registry: Registry, secured: Registry, account: dict[str, Any]
) -> None:
    source = f"docker://{secured.host}/only-here:1"
    push(image.reference, source, **account)
    options = {**account, "tls_verify": False}
    assert failure(source, f"docker://{a_registry.host}/copy:1", **options)["registry"] == secured.host


def test_account_serves_both_sides_in_one_registry(image: Image, dest: str, account: dict[str, Any]) -> None:
    push(image.reference, dest, **account)
    assert push(dest, f"{dest}-copy", **account)["digest"] == image.digest


def test_unknown_certificate(image: Image, dest: str, account: dict[str, Any]) -> None:
    result = failure(image.reference, dest, **{**account, "ca_certificates": None})
    assert result["reason"] == "untrusted"
    assert "ca_certificates" in result["msg"]


def test_unknown_certificate_accepted(image: Image, dest: str, account: dict[str, Any]) -> None:
    assert push(image.reference, dest, **{**account, "ca_certificates": None, "tls_verify": False})["copied"]


def test_plain_http(image: Image, a_registry: Registry) -> None:
    result = failure(image.reference, f"docker://{a_registry.host}/plain:1")
    assert "tls_verify: false" in result["msg"]


def test_repository_with_docker_format_keeps_its_digest(image: Image, a_registry: Registry) -> None:
    source = a_registry.push(image.reference, "docker-format:1", docker=True)
    options = {"tls_verify": False, "src_tls_verify": False}
    made = push(source, f"docker://{a_registry.host}/docker-format-copy:1", **options)
    blobs = made["digest"].replace(":", "/")
    assert (a_registry.storage / "docker/registry/v2/repositories/docker-format-copy/_manifests/revisions" / blobs).is_dir()
    assert (a_registry.storage / "docker/registry/v2/repositories/docker-format/_manifests/revisions" / blobs).is_dir()
