# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compute: custom images (API reference "Core Services API", version 20160918)."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .context import Context, monotonic, new_etag, now, timestamp
from .identity import BASE, Identity
from .imports import Importer, Source
from .messages import Request, Response, ServiceError, invalid, not_found
from .paging import page, sort
from .router import Route

_LAUNCH_MODES = ("NATIVE", "EMULATED", "PARAVIRTUALIZED", "ACCELERATEDPV", "CUSTOM")
RETRY_TOKEN_SECONDS = 24 * 3600


@dataclass
class Image:
    """An image. `published` is its past, for lists that lag behind: (moment, document)."""

    document: dict[str, Any]
    work_request: str
    etag: str = field(default_factory=new_etag)
    published: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    disk: Optional[Path] = None
    metadata: Optional[dict[str, Any]] = None

    def publish(self) -> None:
        """A change becomes visible: at once for GetImage, after `list_delay` for ListImages."""
        self.etag = new_etag()
        self.published.append((monotonic(), copy.deepcopy(self.document)))

    def seen(self, delay: float) -> Optional[dict[str, Any]]:
        """The newest document that is at least `delay` seconds old."""
        return next((document for moment, document in reversed(self.published) if moment + delay <= monotonic()), None)


class Images:
    def __init__(self, context: Context, identity: Identity, importer: Importer) -> None:
        self._context = context
        self._identity = identity
        self._importer = importer
        self.by_id: dict[str, Image] = {}
        self._retry_tokens: dict[str, tuple[float, str, str]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("POST", f"{BASE}/images", self._create),
            Route("GET", f"{BASE}/images", self._list),
            Route("GET", f"{BASE}/images/{{id}}", self._get),
            Route("PUT", f"{BASE}/images/{{id}}", self._update),
            Route("DELETE", f"{BASE}/images/{{id}}", self._delete),
        ]

    def find(self, ocid: str) -> Image:
        """An image that is not deleted.

        :raises ServiceError: 404 NotAuthorizedOrNotFound.
        """
        image = self.by_id.get(ocid)
        if image is None or image.document["lifecycleState"] == "DELETED":
            raise not_found()
        return image

    def _create(self, request: Request) -> Response:
        """The answer is an image in IMPORTING and the id of the work request; the same again for a retry token of the last 24 hours."""
        details = request.json()
        token = request.headers.get("opc-retry-token")
        body = json.dumps(details, sort_keys=True)
        with self._context.lock:
            earlier = self._retried(token, body)
            if earlier is not None:
                return self._answer(earlier)
            source = self._check_details(request, details)
            image = self._make(details)
            if token:
                self._retry_tokens[token] = (monotonic(), body, image.document["id"])
            answer = self._answer(image)
        self._importer.start(image, source)
        return answer

    def _retried(self, token: Optional[str], body: str) -> Optional[Image]:
        known = self._retry_tokens.get(token or "")
        if known is None or monotonic() - known[0] > RETRY_TOKEN_SECONDS:
            return None
        _time, earlier_body, ocid = known
        image = self.by_id.get(ocid)
        if earlier_body != body or image is None or image.document["lifecycleState"] == "DELETED":
            message = "The provided retry token was used in an earlier request that differs, or whose result has been deleted since."
            raise ServiceError(409, "InvalidatedRetryToken", message)
        return image

    def _answer(self, image: Image) -> Response:
        return Response.of_json(image.document, etag=image.etag, opc_work_request_id=image.work_request)

    def _check_details(self, request: Request, details: dict[str, Any]) -> Source:
        compartment = request.required(details, "compartmentId")
        self._identity.check(compartment)
        mode = details.get("launchMode")
        if mode is not None and mode not in _LAUNCH_MODES:
            raise invalid(f"launchMode {mode!r} is not known")
        _check_tags(details)
        if details.get("instanceId"):
            raise not_found()  # there are no instances here
        source = request.required(details, "imageSourceDetails")
        found = self._importer.find_source(request, source)
        alive = sum(image.document["lifecycleState"] != "DELETED" for image in self.by_id.values())
        if alive >= self._context.settings.image_limit:
            message = (
                "The following service limits were exceeded: custom-image-count. "
                "Request a service limit increase from the service limits page in the console."
            )
            raise ServiceError(400, "LimitExceeded", message)
        return found

    def _make(self, details: dict[str, Any]) -> Image:
        source = details["imageSourceDetails"]
        created = timestamp(now())
        document = {
            "id": self._context.ocid("image"),
            "compartmentId": details["compartmentId"],
            "displayName": details.get("displayName") or "image" + created.translate({ord(mark): None for mark in "-:.TZ"}),
            "lifecycleState": "IMPORTING",
            "operatingSystem": source.get("operatingSystem") or "Custom",
            "operatingSystemVersion": source.get("operatingSystemVersion") or "Custom",
            "launchMode": details.get("launchMode") or "NATIVE",
            "launchOptions": None,
            "baseImageId": None,
            "createImageAllowed": True,
            "listingType": None,
            "agentFeatures": None,
            "sizeInMBs": None,
            "billableSizeInGBs": None,
            "timeCreated": created,
            "freeformTags": details.get("freeformTags") or {},
            "definedTags": details.get("definedTags") or {},
        }
        image = Image(document, "")
        image.work_request = self._importer.accept(image)
        self.by_id[document["id"]] = image
        image.publish()
        return image

    def _list(self, request: Request) -> Response:
        """Images of one compartment. Deleted ones are only listed when asked for by lifecycleState."""
        compartment = request.required_arg("compartmentId")
        state = request.arg("lifecycleState")
        with self._context.lock:
            self._identity.check(compartment)
            seen = [image.seen(self._context.settings.list_delay) for image in self.by_id.values()]
        items = [
            document
            for document in seen
            if document
            and document["compartmentId"] == compartment
            and (document["lifecycleState"] == state if state else document["lifecycleState"] != "DELETED")
            and all(request.arg(name) in (None, document[name]) for name in ("displayName", "operatingSystem", "operatingSystemVersion"))
        ]
        return page(request, sort(request, items, "displayName"), self._context.settings.page_size)

    def _get(self, request: Request) -> Response:
        """A deleted image is still there, in the state DELETED, for some time; here for as long as the endpoint runs."""
        with self._context.lock:
            image = self.by_id.get(request.params["id"])
            if image is None:
                raise not_found()
            return Response.of_json(image.document, etag=image.etag)

    def _update(self, request: Request) -> Response:
        details = request.json()
        _check_tags(details)
        with self._context.lock:
            image = self.find(request.params["id"])
            _check_etag(request, image.etag)
            for name in ("displayName", "freeformTags", "definedTags", "operatingSystem", "operatingSystemVersion"):
                if details.get(name) is not None:
                    image.document[name] = details[name]
            image.publish()
            return Response.of_json(image.document, etag=image.etag)

    def _delete(self, request: Request) -> Response:
        with self._context.lock:
            image = self.find(request.params["id"])
            _check_etag(request, image.etag)
            if image.document["lifecycleState"] == "IMPORTING" and not self._context.settings.delete_while_importing:
                message = f"Image {image.document['id']} is in state IMPORTING and cannot be deleted."
                raise ServiceError(409, "IncorrectState", message)
            self.mark_deleted(image)
        return Response(204)

    def mark_deleted(self, image: Image) -> None:
        """The caller holds the lock."""
        image.document["lifecycleState"] = "DELETED"
        image.publish()
        if image.disk is not None:
            image.disk.unlink(missing_ok=True)
            image.disk = None


def _check_etag(request: Request, etag: str) -> None:
    wanted = request.headers.get("if-match")
    if wanted not in (None, etag):
        raise ServiceError(412, "NoEtagMatch", "The supplied if-match ETag does not match the current ETag of the resource.")


def _check_tags(details: dict[str, Any]) -> None:
    """Freeform tags: at most 10, keys to 100 characters, values to 256 ("Overview of Tagging")."""
    tags = details.get("freeformTags")
    if tags is None:
        return
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise invalid("freeformTags must be an object of strings")
    if len(tags) > 10:
        raise invalid(f"freeformTags has {len(tags)} tags; at most 10 are allowed")
    for key, value in tags.items():
        if not 0 < len(key) <= 100 or len(value) > 256:
            raise invalid(f"the tag {key!r} has a key longer than 100 characters, or a value longer than 256")
