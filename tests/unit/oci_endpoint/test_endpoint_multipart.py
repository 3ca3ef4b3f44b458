# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Multipart uploads, with the service's rules. The least size of a part is 100 bytes here."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

import pytest

from tests.support.oci_endpoint import Endpoint
from tests.support.oci_http import Answer, Client


def _begin(client: Client, bucket: str, name: str = "big", **headers: str) -> str:
    answer = client("POST", f"{bucket}/u", {"object": name, "metadata": {"digest": "abc"}}, headers)
    assert answer.status == 200, answer.content
    return str(answer.json["uploadId"])


def _part(client: Client, bucket: str, upload: str, number: int, content: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client("PUT", f"{bucket}/u/big?uploadId={upload}&uploadPartNum={number}", content, named, raw=True)


def _commit(client: Client, bucket: str, upload: str, etags: dict[int, str], **more: Any) -> Answer:
    parts = [{"partNum": number, "etag": etag} for number, etag in etags.items()]
    return client("POST", f"{bucket}/u/big?uploadId={upload}", {"partsToCommit": parts, **more})


def test_parts_become_an_object(client: Client, bucket: str) -> None:
    upload = _begin(client, bucket)
    contents = {number: os.urandom(150) for number in (3, 1, 7, 10_000)}
    etags = {number: _part(client, bucket, upload, number, content).headers["etag"] for number, content in contents.items()}
    answer = _commit(client, bucket, upload, etags)
    digests = b"".join(hashlib.md5(contents[number]).digest() for number in sorted(contents))
    assert answer.headers["opc-multipart-md5"] == base64.b64encode(hashlib.md5(digests).digest()).decode() + "-4"
    got = client("GET", f"{bucket}/o/big")
    assert got.content == b"".join(contents[number] for number in sorted(contents))
    assert got.headers["opc-multipart-md5"] == answer.headers["opc-multipart-md5"]
    assert "content-md5" not in got.headers
    assert got.headers["opc-meta-digest"] == "abc"
    across = client("GET", f"{bucket}/o/big", headers={"range": "bytes=140-320"})
    assert across.content == got.content[140:321]
    assert _commit(client, bucket, upload, etags).error == (404, "NoSuchUpload")


def test_a_part_sent_again_replaces_the_first(client: Client, bucket: str, endpoint: Endpoint) -> None:
    upload = _begin(client, bucket)
    old = _part(client, bucket, upload, 1, b"old").headers["etag"]
    new = _part(client, bucket, upload, 1, b"new").headers["etag"]
    assert _commit(client, bucket, upload, {1: old}).error == (400, "InvalidUploadPart")
    assert _commit(client, bucket, upload, {1: new}).status == 200
    assert client("GET", f"{bucket}/o/big").content == b"new"


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x"])
def test_part_numbers(client: Client, bucket: str, number: str) -> None:
    upload = _begin(client, bucket)
    target = f"{bucket}/u/big?uploadId={upload}&uploadPartNum={number}"
    assert client("PUT", target, b"x", raw=True).error == (400, "InvalidParameter")


def test_only_the_last_part_may_be_small(client: Client, bucket: str) -> None:
    upload = _begin(client, bucket)
    etags = {number: _part(client, bucket, upload, number, bytes(size)).headers["etag"] for number, size in ((1, 100), (2, 99), (3, 1))}
    refused = _commit(client, bucket, upload, etags)
    assert refused.error == (400, "InvalidUploadPart")
    assert "part 2 has 99 bytes" in refused.json["message"]
    etags[2] = _part(client, bucket, upload, 2, bytes(100)).headers["etag"]
    assert _commit(client, bucket, upload, etags).status == 200


def test_each_part_is_committed_or_excluded(client: Client, bucket: str, endpoint: Endpoint) -> None:
    files = len(list((endpoint.folder / "objects").iterdir()))
    upload = _begin(client, bucket)
    etags = {number: _part(client, bucket, upload, number, bytes(100)).headers["etag"] for number in (1, 2, 3)}
    two = {number: etags[number] for number in (1, 2)}
    unnamed = _commit(client, bucket, upload, two)
    assert unnamed.error == (400, "InvalidUploadPart")
    assert "3" in unnamed.json["message"]
    assert _commit(client, bucket, upload, etags, partsToExclude=[3]).error == (400, "InvalidUploadPart")
    assert _commit(client, bucket, upload, {**etags, 4: "none"}).error == (400, "InvalidUploadPart")
    assert _commit(client, bucket, upload, {}).error == (400, "InvalidParameter")
    assert _commit(client, bucket, upload, two, partsToExclude=[3]).status == 200
    assert len(list((endpoint.folder / "objects").iterdir())) == files + 2


def test_a_part_with_a_wrong_md5_is_not_kept(client: Client, bucket: str) -> None:
    upload = _begin(client, bucket)
    wrong = base64.b64encode(bytes(16)).decode()
    assert _part(client, bucket, upload, 1, b"x", content_md5=wrong).error == (400, "UnmatchedContentMD5")
    assert client("GET", f"{bucket}/u/big?uploadId={upload}").json == []


def test_parts_and_uploads_are_listed(client: Client, bucket: str) -> None:
    upload = _begin(client, bucket)
    for number in (1, 2, 3, 4):
        _part(client, bucket, upload, number, b"%d" % number)
    first = client("GET", f"{bucket}/u/big?uploadId={upload}")
    second = client("GET", f"{bucket}/u/big?uploadId={upload}&page={first.headers['opc-next-page']}")
    parts = first.json + second.json
    assert [part["partNumber"] for part in parts] == [1, 2, 3, 4]
    assert parts[3]["md5"] == base64.b64encode(hashlib.md5(b"4").digest()).decode()
    uploads = client("GET", f"{bucket}/u").json
    assert [(item["object"], item["uploadId"]) for item in uploads] == [("big", upload)]


def test_an_upload_keeps_its_bucket_until_it_is_aborted(client: Client, bucket: str, endpoint: Endpoint) -> None:
    files = len(list((endpoint.folder / "objects").iterdir()))
    upload = _begin(client, bucket)
    _part(client, bucket, upload, 1, b"x")
    assert client("DELETE", bucket).error == (409, "BucketNotEmpty")
    assert client("DELETE", f"{bucket}/u/other?uploadId={upload}").error == (404, "NoSuchUpload")
    assert client("DELETE", f"{bucket}/u/big?uploadId={upload}").status == 204
    assert client("DELETE", f"{bucket}/u/big?uploadId={upload}").error == (404, "NoSuchUpload")
    assert _part(client, bucket, upload, 2, b"x").error == (404, "NoSuchUpload")
    assert len(list((endpoint.folder / "objects").iterdir())) == files
    assert client("DELETE", bucket).status == 204


def test_conditions_of_creation_and_commit(client: Client, bucket: str) -> None:
    upload = _begin(client, bucket, **{"if-none-match": "*"})
    etag = _part(client, bucket, upload, 1, b"x").headers["etag"]
    client.put(bucket, "big", b"meanwhile")
    parts = {"partsToCommit": [{"partNum": 1, "etag": etag}]}
    late = client("POST", f"{bucket}/u/big?uploadId={upload}", parts, {"if-none-match": "*"})
    assert late.error == (412, "IfNoneMatchFailed")
    assert client("POST", f"{bucket}/u", {"object": "big"}, {"if-none-match": "*"}).error == (412, "IfNoneMatchFailed")
    assert client("GET", f"{bucket}/o/big").content == b"meanwhile"


def test_the_size_of_a_part_is_bounded(client: Client, bucket: str, endpoint: Endpoint) -> None:
    endpoint.settings.max_part_size = 1000
    upload = _begin(client, bucket)
    assert _part(client, bucket, upload, 1, bytes(1001)).error == (413, "EntityTooLarge")
