# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identity: the tenancy's compartments and regions (API reference "Identity and Access Management Service API", version 20160918)."""

from __future__ import annotations

from typing import Any

from .context import Context, now, timestamp
from .messages import Request, Response, invalid, not_found
from .paging import page, sort
from .router import Route

BASE = "/20160918"


class Identity:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._compartments: dict[str, dict[str, Any]] = {}

    def routes(self) -> list[Route]:
        return [
            Route("GET", f"{BASE}/compartments", self._list_compartments),
            Route("GET", f"{BASE}/compartments/{{id}}", self._get_compartment),
            Route("GET", f"{BASE}/tenancies/{{id}}", self._get_tenancy),
            Route("GET", f"{BASE}/tenancies/{{id}}/regionSubscriptions", self._list_region_subscriptions),
            Route("GET", f"{BASE}/regions", self._list_regions),
        ]

    def add_compartment(self, path: str, state: str = "ACTIVE", accessible: bool = True) -> str:
        """The OCID of the compartment with this path of names from the tenancy; what is missing on the way is made."""
        parent = self._context.tenancy
        with self._context.lock:
            for name in path.split("/"):
                known = [item for item in self._compartments.values() if (item["compartmentId"], item["name"]) == (parent, name)]
                found = known[0] if known else self._create(parent, name)
                parent = found["id"]
            self._compartments[parent].update(lifecycleState=state, isAccessible=accessible)
        return parent

    def knows(self, ocid: str) -> bool:
        """Whether resources may be put into this compartment; the tenancy is its root compartment."""
        return ocid == self._context.tenancy or self._compartments.get(ocid, {}).get("lifecycleState") == "ACTIVE"

    def check(self, ocid: str) -> None:
        """:raises ServiceError: 404 NotAuthorizedOrNotFound."""
        if not self.knows(ocid):
            raise not_found()

    def _create(self, parent: str, name: str) -> dict[str, Any]:
        compartment: dict[str, Any] = {
            "id": self._context.ocid("compartment", regional=False),
            "compartmentId": parent,
            "name": name,
            "description": name,
            "timeCreated": timestamp(now()),
            "lifecycleState": "ACTIVE",
            "isAccessible": True,
            "freeformTags": {},
            "definedTags": {},
        }
        self._compartments[compartment["id"]] = compartment
        return compartment

    def _list_compartments(self, request: Request) -> Response:
        """Children of a compartment; with compartmentIdInSubtree, for the tenancy only, all below it. The root is never listed."""
        parent = request.required_arg("compartmentId")
        subtree = request.flag("compartmentIdInSubtree")
        access = request.arg("accessLevel") or "ANY"
        if access not in ("ANY", "ACCESSIBLE"):
            raise invalid(f"accessLevel must be ANY or ACCESSIBLE, not {access!r}")
        if subtree and parent != self._context.tenancy:
            raise invalid("compartmentIdInSubtree is only allowed with the OCID of the tenancy as compartmentId")
        with self._context.lock:
            self.check(parent)
            items = [
                dict(item)
                for item in self._compartments.values()
                if (subtree or item["compartmentId"] == parent)
                and (access == "ANY" or item["isAccessible"])
                and request.arg("name") in (None, item["name"])
                and request.arg("lifecycleState") in (None, item["lifecycleState"])
            ]
        return page(request, sort(request, items, "name"), self._context.settings.page_size)

    def _get_compartment(self, request: Request) -> Response:
        ocid = request.params["id"]
        with self._context.lock:
            if ocid == self._context.tenancy:
                root = self._tenancy()
                return Response.of_json({**root, "compartmentId": None, "lifecycleState": "ACTIVE", "isAccessible": True})
            compartment = self._compartments.get(ocid)
            if compartment is None or not compartment["isAccessible"]:
                raise not_found()
            return Response.of_json(compartment)

    def _tenancy(self) -> dict[str, Any]:
        return {
            "id": self._context.tenancy,
            "name": "example",
            "description": "The root compartment of the tenancy",
            "homeRegionKey": self._context.settings.region_key,
            "freeformTags": {},
            "definedTags": {},
        }

    def _get_tenancy(self, request: Request) -> Response:
        self._check_tenancy(request)
        return Response.of_json(self._tenancy())

    def _list_region_subscriptions(self, request: Request) -> Response:
        self._check_tenancy(request)
        settings = self._context.settings
        home = {"regionKey": settings.region_key, "regionName": settings.region, "status": "READY", "isHomeRegion": True}
        return Response.of_json([home])

    def _list_regions(self, request: Request) -> Response:
        settings = self._context.settings
        return Response.of_json([{"key": settings.region_key, "name": settings.region}])

    def _check_tenancy(self, request: Request) -> None:
        if request.params["id"] != self._context.tenancy:
            raise not_found()
