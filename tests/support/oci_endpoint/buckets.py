# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Object Storage: namespace and buckets (API reference "Object Storage Service API", version 20160918)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Optional

from .blobs import Blob, Segment
from .context import Context, new_etag, now, timestamp
from .identity import Identity
from .messages import Request, Response, ServiceError, invalid
from .paging import page
from .router import Route

_NAME = re.compile(r"[A-Za-z0-9._-]{1,256}")
CLIENT_REQUEST_ID = "opc-client-request-id"


@dataclass
class StoredObject:
    """An object. `md5` is base64(MD5), for a multipart object base64(MD5 of the parts' MD5s)-N."""

    name: str
    content: Blob
    md5: str
    headers: dict[str, str]
    etag: str = field(default_factory=new_etag)
    created: str = field(default_factory=lambda: timestamp(now()))

    @property
    def is_multipart(self) -> bool:
        return "-" in self.md5


@dataclass
class Upload:
    """A multipart upload that is neither committed nor aborted. Parts by number: etag and content."""

    id: str
    object_name: str
    headers: dict[str, str]
    parts: dict[int, tuple[str, Segment]] = field(default_factory=dict)
    created: str = field(default_factory=lambda: timestamp(now()))


@dataclass
class Bucket:
    details: dict[str, Any]
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    access_requests: dict[str, dict[str, Any]] = field(default_factory=dict)

    def find(self, object_name: str) -> StoredObject:
        """:raises ServiceError: 404 ObjectNotFound."""
        found = self.objects.get(object_name)
        if found is None:
            message = f"The object '{object_name}' was not found in the bucket '{self.details['name']}'"
            raise ServiceError(404, "ObjectNotFound", message)
        return found


class Buckets:
    def __init__(self, context: Context, identity: Identity) -> None:
        self._context = context
        self._identity = identity
        self.by_name: dict[str, Bucket] = {}

    def routes(self) -> list[Route]:
        bucket = "/n/{namespace}/b/{bucket}"
        return [
            Route("GET", "/n", self._get_namespace),
            Route("GET", "/n/{namespace}/b", self._list),
            Route("POST", "/n/{namespace}/b", self._create),
            Route("GET", bucket, self._get),
            Route("HEAD", bucket, self._head),
            Route("DELETE", bucket, self._delete),
        ]

    def find(self, namespace: str, name: str) -> Bucket:
        """:raises ServiceError: 404 BucketNotFound or NamespaceNotFound."""
        self._check_namespace(namespace)
        bucket = self.by_name.get(name)
        if bucket is None:
            message = (
                f"Either the bucket named '{name}' does not exist in the namespace '{namespace}' or you are not authorized to access it"
            )
            raise ServiceError(404, "BucketNotFound", message)
        return bucket

    def of(self, request: Request) -> Bucket:
        return self.find(request.params["namespace"], request.params["bucket"])

    def _check_namespace(self, namespace: str) -> None:
        if namespace != self._context.settings.namespace:
            message = "You do not have authorization to perform this request, or the requested resource could not be found."
            raise ServiceError(404, "NamespaceNotFound", message)

    def _get_namespace(self, request: Request) -> Response:
        compartment = request.arg("compartmentId")
        if compartment is not None:
            self._identity.check(compartment)
        return Response.of_json(self._context.settings.namespace)

    def _list(self, request: Request) -> Response:
        self._check_namespace(request.params["namespace"])
        compartment = request.required_arg("compartmentId")
        with self._context.lock:
            self._identity.check(compartment)
            found = [bucket.details for bucket in self.by_name.values() if bucket.details["compartmentId"] == compartment]
            names = ("namespace", "name", "compartmentId", "createdBy", "timeCreated", "etag")
            items = [{name: details[name] for name in names} for details in sorted(found, key=lambda item: str(item["name"]))]
        return page(request, items, self._context.settings.page_size)

    def _create(self, request: Request) -> Response:
        """A bucket's name is unique in the namespace, whatever the compartment."""
        namespace = request.params["namespace"]
        self._check_namespace(namespace)
        details = request.json()
        name = request.required(details, "name")
        compartment = request.required(details, "compartmentId")
        if not _NAME.fullmatch(name):
            raise ServiceError(400, "InvalidBucketName", f"The bucket name '{name}' is not valid.")
        public = details.get("publicAccessType") or "NoPublicAccess"
        if public not in ("NoPublicAccess", "ObjectRead", "ObjectReadWithoutList"):
            raise invalid(f"publicAccessType {public!r} is not known")
        with self._context.lock:
            if not self._identity.knows(compartment):
                message = f"Either the compartment '{compartment}' does not exist or you are not authorized to access it"
                raise ServiceError(404, "NotAuthorizedOrNotFound", message)
            if name in self.by_name:
                message = f"Either the bucket '{name}' in namespace '{namespace}' already exists or you are not authorized to create it"
                raise ServiceError(409, "BucketAlreadyExists", message)
            bucket = Bucket(
                {
                    "namespace": namespace,
                    "name": name,
                    "id": self._context.ocid("bucket"),
                    "compartmentId": compartment,
                    "metadata": details.get("metadata") or {},
                    "createdBy": request.principal.subject if request.principal else None,
                    "timeCreated": timestamp(now()),
                    "etag": new_etag(),
                    "publicAccessType": public,
                    "storageTier": details.get("storageTier") or "Standard",
                    "versioning": details.get("versioning") or "Disabled",
                    "autoTiering": "Disabled",
                    "objectEventsEnabled": bool(details.get("objectEventsEnabled")),
                    "replicationEnabled": False,
                    "isReadOnly": False,
                    "freeformTags": details.get("freeformTags") or {},
                    "definedTags": details.get("definedTags") or {},
                }
            )
            self.by_name[name] = bucket
            return Response.of_json(bucket.details, etag=bucket.details["etag"], location=f"/n/{namespace}/b/{name}")

    def _get(self, request: Request) -> Response:
        with self._context.lock:
            bucket = self.of(request)
            fields = (request.query.get("fields") or [""])[-1].split(",")
            counts: dict[str, Optional[int]] = {"approximateCount": None, "approximateSize": None}
            if "approximateCount" in fields:
                counts["approximateCount"] = len(bucket.objects)
            if "approximateSize" in fields:
                counts["approximateSize"] = sum(item.content.size for item in bucket.objects.values())
            return Response.of_json({**bucket.details, **counts}, etag=bucket.details["etag"])

    def _head(self, request: Request) -> Response:
        with self._context.lock:
            return Response(200, {"etag": self.of(request).details["etag"]})

    def _delete(self, request: Request) -> Response:
        """Only an empty bucket can be deleted: no objects, no uncommitted uploads, no pre-authenticated requests."""
        with self._context.lock:
            bucket = self.of(request)
            check_match(request, bucket.details["etag"])
            name = bucket.details["name"]
            kinds = (
                ("objects", bucket.objects),
                ("multipart uploads", bucket.uploads),
                ("pre-authenticated requests", bucket.access_requests),
            )
            for kind, things in kinds:
                if things:
                    raise ServiceError(409, "BucketNotEmpty", f"Bucket named '{name}' is not empty. Delete all {kind} first.")
            del self.by_name[name]
        return Response(204)


def check_match(request: Request, etag: Optional[str]) -> None:
    """If-Match and If-None-Match against the thing's etag, None when it does not exist.

    :raises ServiceError: 412 IfMatchFailed or IfNoneMatchFailed.
    """
    wanted = request.headers.get("if-match")
    if wanted is not None and (etag is None or wanted not in ("*", etag)):
        raise ServiceError(412, "IfMatchFailed", f"The If-Match header is '{wanted}', but the current entity tag is '{etag}'")
    unwanted = request.headers.get("if-none-match")
    if unwanted == "*" and etag is not None:
        raise ServiceError(412, "IfNoneMatchFailed", "The If-None-Match header is '*', but there is an existing entity")
    if unwanted not in (None, "*"):
        raise invalid("the only value of If-None-Match is '*'")
