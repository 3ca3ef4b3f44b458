# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Object Storage: objects. Bodies go from the socket to a file and back; their size is only bounded by the disk."""

from __future__ import annotations

import re
from typing import Any, Optional

from .blobs import Blob, receive
from .buckets import Bucket, Buckets, StoredObject, check_match
from .context import Context, http_date, now
from .messages import Request, Response, ServiceError, Stream, invalid
from .paging import limit_of
from .router import Route, Signing

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_KEPT_HEADERS = ("content-type", "content-language", "content-encoding", "content-disposition", "cache-control")


class Objects:
    def __init__(self, context: Context, buckets: Buckets) -> None:
        self._context = context
        self._buckets = buckets
        self.folder = context.folder / "objects"
        self.folder.mkdir()

    def routes(self) -> list[Route]:
        path = "/n/{namespace}/b/{bucket}/o/{object*}"
        return [
            Route("GET", "/n/{namespace}/b/{bucket}/o", self._list),
            Route("PUT", path, self._put, Signing.HEADERS, streams=True),
            Route("GET", path, self._get),
            Route("HEAD", path, self._head),
            Route("DELETE", path, self._delete),
        ]

    def put(self, request: Request, bucket: Bucket, name: str) -> Response:
        """PutObject: the object appears whole, once all bytes are there and their MD5 is right."""
        if request.headers.get("content-length") is None:
            raise ServiceError(411, "MissingContentLength", "The Content-Length header is required.")
        _check_name(name)
        with self._context.lock:
            check_match(request, _etag(bucket, name))
        segment = receive(request.body, self.folder, request.headers.get("content-md5"))
        stored = StoredObject(name, Blob((segment,)), segment.md5_base64, kept_headers(request))
        with self._context.lock:
            try:
                check_match(request, _etag(bucket, name))
            except ServiceError:
                stored.content.discard()
                raise
            store(bucket, stored)
        return Response(200, {"etag": stored.etag, "opc-content-md5": stored.md5, "last-modified": http_date(now())})

    def get(self, request: Request, bucket: Bucket, name: str) -> Response:
        """GetObject, whole or one range of bytes (RFC 9110, 14.1.2)."""
        with self._context.lock:
            stored = bucket.find(name)
        check_match(request, stored.etag)
        size = stored.content.size
        headers = _object_headers(stored)
        interval = _range(request.headers.get("range"), size)
        if interval is None:
            return Response(200, headers, Stream(size, stored.content.blocks))
        start, end = interval
        headers["content-range"] = f"bytes {start}-{end}/{size}"
        headers.pop("content-md5", None)
        return Response(206, headers, Stream(end - start + 1, lambda: stored.content.blocks(start, end - start + 1)))

    def head(self, request: Request, bucket: Bucket, name: str) -> Response:
        with self._context.lock:
            stored = bucket.find(name)
        check_match(request, stored.etag)
        return Response(200, _object_headers(stored), Stream(stored.content.size, stored.content.blocks))

    def listing(self, request: Request, bucket: Bucket) -> Response:
        """ListObjects: sorted by name; `nextStartWith` goes into `start` of the next request; no opc-next-page here."""
        prefix, start, end = request.arg("prefix") or "", request.arg("start") or "", request.arg("end")
        after, delimiter = request.arg("startAfter"), request.arg("delimiter")
        limit = limit_of(request, self._context.settings.page_size)
        fields = [name for name in (request.arg("fields") or "name").split(",") if name]
        with self._context.lock:
            names = sorted(name for name in bucket.objects if name.startswith(prefix) and name >= start)
            if end is not None:
                names = [name for name in names if name < end]
            if after is not None:
                names = [name for name in names if name > after]
            prefixes: list[str] = []
            if delimiter:
                folders = {name: name[len(prefix) :].partition(delimiter) for name in names}
                prefixes = sorted({prefix + head + mark for head, mark, _name in folders.values() if mark})
                names = [name for name in names if not folders[name][1]]
            objects = [_summary(bucket.objects[name], fields) for name in names[:limit]]
        following = names[limit] if len(names) > limit else None
        return Response.of_json({"objects": objects, "prefixes": prefixes, "nextStartWith": following})

    def _put(self, request: Request) -> Response:
        with self._context.lock:
            bucket = self._buckets.of(request)
        return self.put(request, bucket, request.params["object"])

    def _get(self, request: Request) -> Response:
        return self.get(request, self._buckets.of(request), request.params["object"])

    def _head(self, request: Request) -> Response:
        return self.head(request, self._buckets.of(request), request.params["object"])

    def _list(self, request: Request) -> Response:
        return self.listing(request, self._buckets.of(request))

    def _delete(self, request: Request) -> Response:
        with self._context.lock:
            bucket = self._buckets.of(request)
            stored = bucket.find(request.params["object"])
            check_match(request, stored.etag)
            del bucket.objects[stored.name]
            # a download that is under way breaks off at the next part
            stored.content.discard()
        return Response(204, {"last-modified": http_date(now())})


def store(bucket: Bucket, stored: StoredObject) -> None:
    """Put the object in its place; the caller holds the lock."""
    replaced = bucket.objects.get(stored.name)
    bucket.objects[stored.name] = stored
    if replaced is not None:
        replaced.content.discard()


def kept_headers(request: Request) -> dict[str, str]:
    """The headers that come back with the object: content headers and user metadata."""
    return {
        name.lower(): value
        for name, value in request.headers.items()
        if name.lower() in _KEPT_HEADERS or name.lower().startswith("opc-meta-")
    }


def _check_name(name: str) -> None:
    if len(name.encode()) > 1024 or any(bad in name for bad in "\0\r\n"):
        raise ServiceError(400, "InvalidObjectName", f"The object name {name!r} is not valid.")


def _etag(bucket: Bucket, name: str) -> Optional[str]:
    stored = bucket.objects.get(name)
    return stored.etag if stored else None


def _object_headers(stored: StoredObject) -> dict[str, str]:
    headers = {"content-type": "application/octet-stream", **stored.headers}
    headers["opc-multipart-md5" if stored.is_multipart else "content-md5"] = stored.md5
    return {**headers, "etag": stored.etag, "accept-ranges": "bytes", "storage-tier": "Standard"}


def _range(text: Optional[str], size: int) -> Optional[tuple[int, int]]:
    """First and last byte of a Range header; None without one."""
    if text is None:
        return None
    found = _RANGE.fullmatch(text.strip())
    if not found or found[0] == "bytes=-":
        raise invalid(f"the Range header {text!r} is not supported")
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size - 1, int(last)) if first and last else size - 1
    if start > end:
        raise ServiceError(416, "InvalidRange", f"The range {text} is not within {size} bytes.", {"content-range": f"bytes */{size}"})
    return start, end


def _summary(stored: StoredObject, fields: list[str]) -> dict[str, Any]:
    known = {
        "name": stored.name,
        "size": stored.content.size,
        "md5": stored.md5,
        "etag": stored.etag,
        "timeCreated": stored.created,
        "timeModified": stored.created,
        "storageTier": "Standard",
        "archivalState": None,
    }
    unknown = [name for name in fields if name not in known]
    if unknown:
        raise invalid(f"fields has unknown names: {', '.join(unknown)}")
    return {name: value for name, value in known.items() if name == "name" or name in fields}
