# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Object Storage: multipart uploads, with the service's rules.

Parts have the numbers 1 to 10,000, in any order and with gaps; a part sent again replaces the earlier one. Every part but the last has
a least size, checked at the commit. A commit names each part with its etag; each uploaded part is in partsToCommit or in
partsToExclude. The object's MD5 is base64(MD5 of the parts' MD5s)-N ("Using Multipart Uploads"; API reference CommitMultipartUpload).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Any

from .blobs import Blob, receive
from .buckets import Bucket, Buckets, StoredObject, Upload, check_match
from .context import Context, http_date, new_etag, now
from .messages import Request, Response, ServiceError, invalid
from .objects import Objects, store
from .paging import page
from .router import Route, Signing

MAX_PART_NUMBER = 10_000
_DETAIL_HEADERS = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentEncoding": "content-encoding",
    "contentDisposition": "content-disposition",
    "cacheControl": "cache-control",
}


class MultipartUploads:
    def __init__(self, context: Context, buckets: Buckets, objects: Objects) -> None:
        self._context = context
        self._buckets = buckets
        self._folder = objects.folder

    def routes(self) -> list[Route]:
        uploads = "/n/{namespace}/b/{bucket}/u"
        return [
            Route("POST", uploads, self._create),
            Route("GET", uploads, self._list),
            Route("PUT", uploads + "/{object*}", self._upload_part, Signing.HEADERS, streams=True),
            Route("GET", uploads + "/{object*}", self._list_parts),
            Route("POST", uploads + "/{object*}", self._commit),
            Route("DELETE", uploads + "/{object*}", self._abort),
        ]

    def _create(self, request: Request) -> Response:
        details = request.json()
        name = request.required(details, "object")
        headers = {header: details[field] for field, header in _DETAIL_HEADERS.items() if details.get(field)}
        for key, value in (details.get("metadata") or {}).items():
            key = key.lower()
            headers[key if key.startswith("opc-meta-") else f"opc-meta-{key}"] = value
        with self._context.lock:
            bucket = self._buckets.of(request)
            existing = bucket.objects.get(name)
            check_match(request, existing.etag if existing else None)
            upload = Upload(secrets.token_hex(16), name, headers)
            bucket.uploads[upload.id] = upload
            return Response.of_json(
                _upload_document(bucket, upload), location=f"/n/{request.params['namespace']}/b/{request.params['bucket']}/u/{name}"
            )

    def _list(self, request: Request) -> Response:
        with self._context.lock:
            bucket = self._buckets.of(request)
            uploads = sorted(bucket.uploads.values(), key=lambda item: (item.object_name, item.created, item.id))
            return page(request, [_upload_document(bucket, upload) for upload in uploads], self._context.settings.page_size)

    def _upload_part(self, request: Request) -> Response:
        number = _part_number(request.required_arg("uploadPartNum"))
        if request.headers.get("content-length") is None:
            raise ServiceError(411, "MissingContentLength", "The Content-Length header is required.")
        largest = self._context.settings.max_part_size
        if request.body.length > largest:
            raise ServiceError(413, "EntityTooLarge", f"A part has at most {largest} bytes.")
        with self._context.lock:
            _bucket, upload = self._find(request)
            existing = upload.parts.get(number)
            check_match(request, existing[0] if existing else None)
        segment = receive(request.body, self._folder, request.headers.get("content-md5"))
        etag = new_etag()
        with self._context.lock:
            try:
                _bucket, upload = self._find(request)  # it may have been committed or aborted meanwhile
            except ServiceError:
                segment.path.unlink()
                raise
            replaced = upload.parts.get(number)
            upload.parts[number] = (etag, segment)
            if replaced:
                replaced[1].path.unlink(missing_ok=True)
        return Response(200, {"etag": etag, "opc-content-md5": segment.md5_base64})

    def _list_parts(self, request: Request) -> Response:
        with self._context.lock:
            _bucket, upload = self._find(request)
            parts = [
                {"partNumber": number, "etag": etag, "md5": segment.md5_base64, "size": segment.size}
                for number, (etag, segment) in sorted(upload.parts.items())
            ]
        return page(request, parts, self._context.settings.page_size)

    def _commit(self, request: Request) -> Response:
        details = request.json()
        with self._context.lock:
            bucket, upload = self._find(request)
            existing = bucket.objects.get(upload.object_name)
            check_match(request, existing.etag if existing else None)
            numbers = self._check_commit(upload, details)
            segments = tuple(upload.parts[number][1] for number in numbers)
            digest = hashlib.md5(b"".join(segment.md5 for segment in segments)).digest()
            md5 = f"{base64.b64encode(digest).decode()}-{len(segments)}"
            stored = StoredObject(upload.object_name, Blob(segments), md5, upload.headers)
            store(bucket, stored)
            del bucket.uploads[upload.id]
            Blob(tuple(segment for number, (_part, segment) in upload.parts.items() if number not in numbers)).discard()
        return Response(200, {"etag": stored.etag, "opc-multipart-md5": md5, "last-modified": http_date(now())})

    def _check_commit(self, upload: Upload, details: dict[str, Any]) -> list[int]:
        """The part numbers to commit, ascending."""
        try:
            wanted = {int(part["partNum"]): str(part["etag"]) for part in details["partsToCommit"]}
            excluded = {int(number) for number in details.get("partsToExclude") or ()}
        except (KeyError, TypeError, ValueError) as error:
            raise invalid("partsToCommit must be a list of {partNum, etag}, partsToExclude a list of part numbers") from error
        if not wanted:
            raise invalid("partsToCommit must not be empty")
        if len(wanted) != len(details["partsToCommit"]) or wanted.keys() & excluded:
            raise _invalid_part(upload, "a part is named twice")
        for number, etag in wanted.items():
            if number not in upload.parts or upload.parts[number][0] != etag:
                raise _invalid_part(upload, f"part {number} was not uploaded with the etag {etag}")
        unnamed = sorted(upload.parts.keys() - wanted.keys() - excluded)
        if unnamed:
            raise _invalid_part(upload, f"uploaded, but neither committed nor excluded: {', '.join(map(str, unnamed))}")
        numbers = sorted(wanted)
        for number in numbers[:-1]:
            size = upload.parts[number][1].size
            if size < self._context.settings.min_part_size:
                raise _invalid_part(upload, f"part {number} has {size} bytes, less than {self._context.settings.min_part_size}")
        return numbers

    def _abort(self, request: Request) -> Response:
        with self._context.lock:
            bucket, upload = self._find(request)
            del bucket.uploads[upload.id]
            Blob(tuple(segment for _part, segment in upload.parts.values())).discard()
        return Response(204)

    def _find(self, request: Request) -> tuple[Bucket, Upload]:
        """The upload that the query names; it must be of the object in the path."""
        bucket = self._buckets.of(request)
        upload = bucket.uploads.get(request.required_arg("uploadId"))
        if upload is None or upload.object_name != request.params["object"]:
            raise ServiceError(404, "NoSuchUpload", f"The upload '{request.arg('uploadId')}' does not exist")
        return bucket, upload


def _part_number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_PART_NUMBER:
        raise invalid(f"uploadPartNum must be from 1 to {MAX_PART_NUMBER}, not {text!r}")
    return int(text)


def _invalid_part(upload: Upload, reason: str) -> ServiceError:
    message = f"There were some invalid part (partNum/etag) combination for the upload {upload.id}: {reason}"
    return ServiceError(400, "InvalidUploadPart", message)


def _upload_document(bucket: Bucket, upload: Upload) -> dict[str, Any]:
    return {
        "namespace": bucket.details["namespace"],
        "bucket": bucket.details["name"],
        "object": upload.object_name,
        "uploadId": upload.id,
        "timeCreated": upload.created,
        "storageTier": "Standard",
    }
