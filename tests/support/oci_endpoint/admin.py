# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to look into a running endpoint and to make it misbehave, from another process: `/_admin/…`, not signed, not logged."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable

from .faults import Fault, ImportOutcome
from .messages import Request, Response, invalid
from .router import Route, Signing
from .server import ADMIN_PREFIX

if TYPE_CHECKING:
    from .endpoint import Endpoint


def routes(endpoint: Endpoint) -> list[Route]:
    """
    GET requests, objects, uploads, images, faults, settings; DELETE requests, faults; POST faults (a Fault), import-outcomes
    (an ImportOutcome), compartments ({"path"}), session ({"lifetime"}: renews the profile SESSION); PUT settings (some of Settings).
    """

    def route(method: str, name: str, answer: Callable[[Request], Any]) -> Route:
        def handler(request: Request) -> Response:
            try:
                return Response.of_json(answer(request))
            except (TypeError, ValueError, KeyError) as error:
                raise invalid(f"{type(error).__name__}: {error}") from error

        return Route(method, ADMIN_PREFIX + name, handler, Signing.NONE)

    return [
        route("GET", "requests", lambda request: [asdict(entry) for entry in endpoint.requests()]),
        route("DELETE", "requests", lambda request: endpoint.log.clear()),
        route("GET", "objects", lambda request: _objects(endpoint)),
        route("GET", "uploads", lambda request: _uploads(endpoint)),
        route("GET", "images", lambda request: [image.document for image in endpoint.images.by_id.values()]),
        route("GET", "faults", lambda request: [fault.document() for fault in endpoint.faults.pending()]),
        route("POST", "faults", lambda request: endpoint.faults.add(Fault(**request.json()))),
        route("DELETE", "faults", lambda request: endpoint.faults.clear()),
        route("POST", "import-outcomes", lambda request: endpoint.importer.outcomes.append(ImportOutcome.of_json(request.json()))),
        route("POST", "compartments", lambda request: {"id": endpoint.add_compartment(request.json()["path"])}),
        route("POST", "session", lambda request: endpoint.credentials.renew_session(float(request.json().get("lifetime", 3600)))),
        route("GET", "settings", lambda request: asdict(endpoint.settings)),
        route("PUT", "settings", lambda request: endpoint.settings.update(request.json())),
    ]


def _objects(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"bucket": name, "name": stored.name, "size": stored.content.size, "md5": stored.md5, "etag": stored.etag}
        for name, bucket in endpoint.buckets.by_name.items()
        for stored in bucket.objects.values()
    ]


def _uploads(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "bucket": name,
            "object": upload.object_name,
            "id": upload.id,
            "parts": {number: part.size for number, (_digest, part) in upload.parts.items()},
        }
        for name, bucket in endpoint.buckets.by_name.items()
        for upload in bucket.uploads.values()
    ]
