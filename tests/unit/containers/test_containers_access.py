# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.access import Access, account, authfile, credentials
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError

TOKEN = base64.b64encode(b"old:secret").decode()
_NO_BASE64 = json.dumps({"auths": {"a.example.com": {"auth": f"!{TOKEN}"}}})


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    path = tmp_path / "auth.json"
    auths = {"a.example.com": {"auth": TOKEN}, "a.example.com/team": {"auth": TOKEN}, "b.example.com": {"auth": TOKEN}}
    path.write_text(json.dumps({"auths": auths, "credHelpers": {"a.example.com": "helper"}}))
    return path


def _content(access: Access, registry: str) -> dict[str, Any]:
    made = authfile(access, registry)
    assert isinstance(made, bytes)
    return dict(json.loads(made))


def test_account_is_put_before_the_authfile_for_its_registry_only(existing: Path) -> None:
    content = _content(Access(existing, "new", "p"), "a.example.com")
    assert content["auths"] == {"a.example.com": {"auth": base64.b64encode(b"new:p").decode()}, "b.example.com": {"auth": TOKEN}}
    assert "credHelpers" not in content


def test_authfile_is_used_as_it_is_without_an_account(existing: Path) -> None:
    assert authfile(Access(existing), "a.example.com") == existing


def test_password_is_not_written_for_what_is_no_registry(existing: Path) -> None:
    assert authfile(Access(existing, "new", "p"), "") == existing


def test_authfile_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OcneError, match=r"authfile .* is not there"):
        authfile(Access(tmp_path / "none"), "a.example.com")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"auths": []}', '{"auths": {"a.example.com": {"auth": "%%%"}}}', _NO_BASE64, "{}"])
def test_authfile_of_another_form_names_no_account(content: str, tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text(content)
    assert account(Access(path), "a.example.com") == ""
    assert _content(Access(path, "new", "p"), "a.example.com")["auths"]["a.example.com"]


def test_account_of_the_authfile(existing: Path) -> None:
    assert account(Access(existing), "a.example.com") == "old"
    assert account(Access(existing), "c.example.com") == ""


def test_a_name_without_a_password_is_no_account(existing: Path) -> None:
    auths = json.loads(credentials(Access(existing, "new"), "a.example.com"))["auths"]
    assert auths == {"a.example.com": {"auth": TOKEN}, "a.example.com/team": {"auth": TOKEN}}


@pytest.mark.parametrize(
    ("key", "registry"), [("https://index.docker.io/v1/", "docker.io"), ("https://a.example.com:5000", "a.example.com:5000")]
)
def test_an_account_that_docker_has_written_is_known(key: str, registry: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {key: {"auth": TOKEN}}}))
    assert account(Access(path), registry) == "old"
    assert json.loads(credentials(Access(path), registry)) == {"auths": {key: {"auth": TOKEN}}}
    assert list(_content(Access(path, "new", "p"), registry)["auths"]) == [registry]
    assert credentials(Access(path), "b.example.com") == b""


def test_password_is_not_shown() -> None:
    assert "canary" not in repr(Access(username="u", password="canary"))
