# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to objects by a secret address."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_http import Client


def _create(client: Client, bucket: str, access: str, name: str = "", seconds: int = 60) -> dict[str, Any]:
    expires = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()
    answer = client("POST", f"{bucket}/p", {"name": "par", "accessType": access, "objectName": name, "timeExpires": expires})
    assert answer.status == 200, answer.content
    document: dict[str, Any] = answer.json
    return document


def _anonymous(client: Client, method: str, uri: str, body: bytes = b"") -> tuple[int, bytes]:
    answer = client(method, uri, body, raw=True, signed=())
    return answer.status, answer.content


def test_one_object_can_be_read(client: Client, bucket: str) -> None:
    client.put(bucket, "a%20b", b"content")
    client.put(bucket, "other", b"secret")
    uri = _create(client, bucket, "ObjectRead", "a b")["accessUri"]
    assert _anonymous(client, "GET", uri) == (200, b"content")
    assert _anonymous(client, "HEAD", uri)[0] == 200
    assert _anonymous(client, "PUT", uri, b"x")[0] == 404
    assert _anonymous(client, "GET", uri.replace("a%20b", "other"))[0] == 404
    token = uri.split("/")[2]
    assert _anonymous(client, "GET", uri.replace(token, token[::-1]))[0] == 404


def test_writing(client: Client, bucket: str) -> None:
    uri = _create(client, bucket, "ObjectWrite", "new")["accessUri"]
    assert _anonymous(client, "PUT", uri, b"content")[0] == 200
    assert client("GET", f"{bucket}/o/new").content == b"content"
    assert _anonymous(client, "GET", uri)[0] == 404


def test_any_object_below_a_prefix(client: Client, bucket: str) -> None:
    client.put(bucket, "in/1", b"1")
    client.put(bucket, "out/1", b"2")
    uri = _create(client, bucket, "AnyObjectRead", "in/")["accessUri"]
    assert _anonymous(client, "GET", uri + "in/1") == (200, b"1")
    assert _anonymous(client, "GET", uri + "out/1")[0] == 404
    assert _anonymous(client, "GET", uri)[0] == 404


def test_it_expires(client: Client, bucket: str, endpoint: Endpoint) -> None:
    client.put(bucket, "o", b"content")
    made = _create(client, bucket, "ObjectRead", "o")
    record = endpoint.buckets.by_name[bucket.rpartition("/")[2]].access_requests[made["id"]]
    record["expires"] -= datetime.timedelta(seconds=61)
    assert _anonymous(client, "GET", made["accessUri"])[0] == 404


def test_management(client: Client, bucket: str) -> None:
    client.put(bucket, "o", b"content")
    made = [_create(client, bucket, "ObjectRead", "o") for _turn in range(4)]
    first = client("GET", f"{bucket}/p")
    assert len(first.json) == 3
    assert "accessUri" not in first.json[0]
    assert client("GET", f"{bucket}/p/{made[0]['id']}").json["objectName"] == "o"
    client("DELETE", f"{bucket}/o/o")
    assert client("DELETE", bucket).error == (409, "BucketNotEmpty")
    for one in made:
        assert client("DELETE", f"{bucket}/p/{one['id']}").status == 204
    assert client("DELETE", f"{bucket}/p/{made[0]['id']}").status == 404
    assert _anonymous(client, "GET", made[0]["accessUri"])[0] == 404
    assert client("DELETE", bucket).status == 204


@pytest.mark.parametrize(
    "details",
    [
        {"accessType": "ObjectRead", "objectName": "o", "timeExpires": "2020-01-01T00:00:00Z"},
        {"accessType": "ObjectRead", "objectName": "o", "timeExpires": "tomorrow"},
        {"accessType": "Read", "objectName": "o", "timeExpires": "2999-01-01T00:00:00Z"},
        {"accessType": "ObjectRead", "timeExpires": "2999-01-01T00:00:00Z"},
    ],
)
def test_bad_requests(client: Client, bucket: str, details: dict[str, str]) -> None:
    assert client("POST", f"{bucket}/p", {"name": "par", **details}).status == 400
