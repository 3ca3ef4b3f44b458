# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Object Storage: pre-authenticated requests, and what comes in through them without a signature.

The access URI `/p/<token>/n/<namespace>/b/<bucket>/o/<object>` is told once, at the creation ("Using Pre-Authenticated Requests").
"""

from __future__ import annotations

import datetime
import secrets
from typing import Any, Callable, Optional
from urllib.parse import quote, unquote, urlsplit

from .buckets import Bucket, Buckets
from .context import Context, now, timestamp
from .messages import Request, Response, ServiceError, invalid
from .objects import Objects
from .paging import page
from .router import Route, Signing

_OBJECT_ACCESS = ("ObjectRead", "ObjectWrite", "ObjectReadWrite")
_BUCKET_ACCESS = ("AnyObjectRead", "AnyObjectWrite", "AnyObjectReadWrite")
_SHOWN = ("id", "name", "objectName", "bucketListingAction", "accessType", "timeExpires", "timeCreated")


class PreauthenticatedRequests:
    def __init__(self, context: Context, buckets: Buckets, objects: Objects, url: Callable[[], str]) -> None:
        self._context = context
        self._buckets = buckets
        self._objects = objects
        self._url = url

    def routes(self) -> list[Route]:
        managed = "/n/{namespace}/b/{bucket}/p"
        access = "/p/{token}/n/{namespace}/b/{bucket}/o"
        return [
            Route("POST", managed, self._create),
            Route("GET", managed, self._list),
            Route("GET", managed + "/{id*}", self._get),
            Route("DELETE", managed + "/{id*}", self._delete),
            Route("GET", access, self._list_objects, Signing.NONE),
            Route("GET", access + "/{object*}", self._read, Signing.NONE),
            Route("HEAD", access + "/{object*}", self._head, Signing.NONE),
            Route("PUT", access + "/{object*}", self._write, Signing.NONE, streams=True),
        ]

    def readable_bucket(self, token: str, namespace: str, bucket_name: str, object_name: str) -> Bucket:
        """The bucket from which this token may read the object.

        :raises ServiceError: 404, whatever the reason.
        """
        return self._granted(token, namespace, bucket_name, object_name, "Read")

    def _create(self, request: Request) -> Response:
        details = request.json()
        name = request.required(details, "name")
        access = request.required(details, "accessType")
        expires = _moment(request.required(details, "timeExpires"))
        object_name = details.get("objectName")
        if access not in _OBJECT_ACCESS + _BUCKET_ACCESS:
            raise invalid(f"accessType {access!r} is not known")
        if access in _OBJECT_ACCESS and not object_name:
            raise ServiceError(400, "MissingParameter", f"objectName is required for accessType {access}.")
        if expires <= now():
            raise invalid("timeExpires must be in the future")
        with self._context.lock:
            bucket = self._buckets.of(request)
            if access == "ObjectRead":
                bucket.find(str(object_name))
            token = secrets.token_urlsafe(48)
            path = f"/p/{token}/n/{request.params['namespace']}/b/{request.params['bucket']}/o/"
            record = {
                "id": f"{secrets.token_urlsafe(32)}:{object_name or ''}",
                "name": name,
                "objectName": object_name,
                "bucketListingAction": details.get("bucketListingAction") or "Deny",
                "accessType": access,
                "timeExpires": timestamp(expires),
                "timeCreated": timestamp(now()),
                "token": token,
                "expires": expires,
            }
            bucket.access_requests[str(record["id"])] = record
        uri = path + (quote(object_name) if object_name and access in _OBJECT_ACCESS else "")
        return Response.of_json({**_shown(record), "accessUri": uri, "fullPath": self._url() + uri})

    def _list(self, request: Request) -> Response:
        prefix = request.arg("objectNamePrefix") or ""
        with self._context.lock:
            records = self._buckets.of(request).access_requests.values()
            items = [_shown(record) for record in records if (record["objectName"] or "").startswith(prefix)]
        return page(request, items, self._context.settings.page_size)

    def _get(self, request: Request) -> Response:
        with self._context.lock:
            return Response.of_json(_shown(self._find(request)[1]))

    def _delete(self, request: Request) -> Response:
        with self._context.lock:
            bucket, record = self._find(request)
            del bucket.access_requests[record["id"]]
        return Response(204)

    def _find(self, request: Request) -> tuple[Bucket, dict[str, Any]]:
        bucket = self._buckets.of(request)
        record = bucket.access_requests.get(request.params["id"])
        if record is None:
            raise ServiceError(404, "PARNotFound", f"The pre-authenticated request '{request.params['id']}' was not found")
        return bucket, record

    def _granted(self, token: str, namespace: str, bucket_name: str, object_name: Optional[str], right: str) -> Bucket:
        with self._context.lock:
            try:
                bucket = self._buckets.find(namespace, bucket_name)
            except ServiceError as error:
                raise _no_access() from error
            for record in bucket.access_requests.values():
                if not secrets.compare_digest(record["token"], token) or record["expires"] <= now():
                    continue
                if right == "List" and record["bucketListingAction"] == "ListObjects":
                    return bucket
                whole_bucket = record["accessType"] in _BUCKET_ACCESS and (object_name or "").startswith(record["objectName"] or "")
                if right in record["accessType"] and (whole_bucket or record["objectName"] == object_name):
                    return bucket
        raise _no_access()

    def _grant(self, request: Request, right: str) -> Bucket:
        params = request.params
        return self._granted(params["token"], params["namespace"], params["bucket"], params.get("object"), right)

    def _list_objects(self, request: Request) -> Response:
        return self._objects.listing(request, self._grant(request, "List"))

    def _read(self, request: Request) -> Response:
        return self._objects.get(request, self._grant(request, "Read"), request.params["object"])

    def _head(self, request: Request) -> Response:
        return self._objects.head(request, self._grant(request, "Read"), request.params["object"])

    def _write(self, request: Request) -> Response:
        return self._objects.put(request, self._grant(request, "Write"), request.params["object"])


def parse_object_uri(uri: str) -> Optional[tuple[Optional[str], str, str, str]]:
    """Token (None for the plain form), namespace, bucket and object of an object's URI; None when it is not one."""
    parts = urlsplit(uri).path.split("/", 8)
    token: Optional[str] = None
    if parts[:2] == ["", "p"] and len(parts) == 9:
        token = parts[2]
        parts = ["", *parts[3:]]
    else:
        parts = urlsplit(uri).path.split("/", 6)
    if len(parts) != 7 or parts[1] != "n" or parts[3] != "b" or parts[5] != "o" or not parts[6]:
        return None
    return token, unquote(parts[2]), unquote(parts[4]), unquote(parts[6])


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in _SHOWN}


def _no_access() -> ServiceError:
    return ServiceError(404, "NotAuthenticated", "PAR does not exist")


def _moment(text: Any) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError as error:
        raise invalid(f"timeExpires {text!r} is not a date and time of RFC 3339") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
