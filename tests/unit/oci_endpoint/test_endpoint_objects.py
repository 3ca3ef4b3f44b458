# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Buckets and objects, by the rules of Object Storage."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_http import Client


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def test_bucket_names_are_unique_in_the_namespace(client: Client, endpoint: Endpoint, bucket: str) -> None:
    other = endpoint.add_compartment("other")
    name = bucket.rpartition("/")[2]
    assert client("POST", client.path, {"name": name, "compartmentId": other}).error == (409, "BucketAlreadyExists")


@pytest.mark.parametrize(
    ("details", "error"),
    [
        ({"name": "b"}, (400, "MissingParameter")),
        ({"name": "no space", "compartmentId": "team"}, (400, "InvalidBucketName")),
        ({"name": "b", "compartmentId": "ocid1.compartment.oc1..none"}, (404, "NotAuthorizedOrNotFound")),
    ],
)
def test_bad_buckets(client: Client, details: dict[str, str], error: tuple[int, str]) -> None:
    assert client("POST", client.path, details).error == error


def test_what_is_not_there(client: Client, bucket: str) -> None:
    assert client("GET", f"{client.path}/none").error == (404, "BucketNotFound")
    assert client("GET", "/n/other/b/none").error == (404, "NamespaceNotFound")
    assert client("GET", f"{bucket}/o/none").error == (404, "ObjectNotFound")
    head = client("HEAD", f"{bucket}/o/none")
    assert (head.status, head.content) == (404, b"")


def test_an_object_comes_back_as_it_was_put(client: Client, bucket: str) -> None:
    content = os.urandom(3_000_000)
    headers = {"content-md5": _md5(content), "opc-meta-digest": "abc"}
    put = client("PUT", f"{bucket}/o/a%20b/c", content, headers, raw=True)
    assert (put.status, put.headers["opc-content-md5"]) == (200, _md5(content))
    got = client("GET", f"{bucket}/o/a%20b/c")
    assert got.content == content
    assert (got.headers["content-md5"], got.headers["opc-meta-digest"], got.headers["etag"]) == (_md5(content), "abc", put.headers["etag"])


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [("0-0", 0, 1), ("5-9", 5, 10), ("990-", 990, 1000), ("-7", 993, 1000), ("998-5000", 998, 1000)],
)
def test_ranges(client: Client, bucket: str, interval: str, start: int, end: int) -> None:
    content = os.urandom(1000)
    client.put(bucket, "o", content)
    answer = client("GET", f"{bucket}/o/o", headers={"range": f"bytes={interval}"})
    assert (answer.status, answer.content) == (206, content[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1000"


def test_a_range_beyond_the_end(client: Client, bucket: str) -> None:
    client.put(bucket, "o", b"short")
    assert client("GET", f"{bucket}/o/o", headers={"range": "bytes=5-9"}).error == (416, "InvalidRange")


def test_a_wrong_md5_keeps_nothing(client: Client, endpoint: Endpoint, bucket: str) -> None:
    before = set((endpoint.folder / "objects").iterdir())
    answer = client("PUT", f"{bucket}/o/o", b"content", {"content-md5": _md5(b"other")}, raw=True)
    assert answer.error == (400, "UnmatchedContentMD5")
    assert _md5(b"content") in answer.json["message"]
    assert client("GET", f"{bucket}/o/o").error == (404, "ObjectNotFound")
    assert set((endpoint.folder / "objects").iterdir()) == before


def test_conditions(client: Client, bucket: str) -> None:
    first = client.put(bucket, "o", b"1").headers["etag"]
    assert client("PUT", f"{bucket}/o/o", b"2", {"if-none-match": "*"}, raw=True).error == (412, "IfNoneMatchFailed")
    assert client("PUT", f"{bucket}/o/o", b"2", {"if-match": "other"}, raw=True).error == (412, "IfMatchFailed")
    assert client("PUT", f"{bucket}/o/new", b"2", {"if-match": first}, raw=True).error == (412, "IfMatchFailed")
    second = client("PUT", f"{bucket}/o/o", b"2", {"if-match": first}, raw=True).headers["etag"]
    assert client("DELETE", f"{bucket}/o/o", headers={"if-match": first}).error == (412, "IfMatchFailed")
    assert client("DELETE", f"{bucket}/o/o", headers={"if-match": second}).status == 204
    assert client("PUT", f"{bucket}/o/o", b"2", {"if-none-match": "*"}, raw=True).status == 200


def test_replaced_and_deleted_bytes_leave_the_disk(client: Client, endpoint: Endpoint, bucket: str) -> None:
    folder = endpoint.folder / "objects"
    before = len(list(folder.iterdir()))
    client.put(bucket, "o", b"1")
    client.put(bucket, "o", b"2")
    assert len(list(folder.iterdir())) == before + 1
    client("DELETE", f"{bucket}/o/o")
    assert len(list(folder.iterdir())) == before


def test_lists_go_on_where_they_stopped(client: Client, bucket: str) -> None:
    for name in ("a", "b/1", "b/2", "b/3", "c"):
        client.put(bucket, name, b"x")
    first = client("GET", f"{bucket}/o?fields=name,size,md5").json
    assert [item["name"] for item in first["objects"]] == ["a", "b/1", "b/2"]
    assert first["objects"][0] == {"name": "a", "size": 1, "md5": _md5(b"x")}
    rest = client("GET", f"{bucket}/o?start={first['nextStartWith']}").json
    assert ([item["name"] for item in rest["objects"]], rest["nextStartWith"]) == (["b/3", "c"], None)
    folders = client("GET", f"{bucket}/o?delimiter=/").json
    assert ([item["name"] for item in folders["objects"]], folders["prefixes"]) == (["a", "c"], ["b/"])
    assert [item["name"] for item in client("GET", f"{bucket}/o?prefix=b/&limit=2").json["objects"]] == ["b/1", "b/2"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "fields=name,colour"])
def test_bad_lists(client: Client, bucket: str, query: str) -> None:
    client.put(bucket, "o", b"x")
    assert client("GET", f"{bucket}/o?{query}").error == (400, "InvalidParameter")


def test_a_body_of_unknown_length_is_refused(client: Client, bucket: str) -> None:
    answer = client("PUT", f"{bucket}/o/o", b"", {"transfer-encoding": "chunked"}, raw=True)
    assert answer.error == (411, "MissingContentLength")


def test_a_bucket_with_objects_stays(client: Client, bucket: str) -> None:
    client.put(bucket, "o", b"1")
    assert client("DELETE", bucket).error == (409, "BucketNotEmpty")
    client("DELETE", f"{bucket}/o/o")
    assert client("DELETE", bucket).status == 204
    assert client("GET", bucket).error == (404, "BucketNotFound")


def test_buckets_are_listed_by_compartment(client: Client, endpoint: Endpoint) -> None:
    here, there = endpoint.add_compartment("here"), endpoint.add_compartment("there")
    for name in ("list-1", "list-2", "list-3", "list-4"):
        client.make_bucket(name, here)
    client.make_bucket("list-5", there)
    first = client("GET", f"{client.path}?compartmentId={here}")
    assert [item["name"] for item in first.json] == ["list-1", "list-2", "list-3"]
    second = client("GET", f"{client.path}?compartmentId={here}&page={first.headers['opc-next-page']}")
    assert [item["name"] for item in second.json] == ["list-4"]
