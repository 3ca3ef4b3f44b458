# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compute: the global image capability schema, and the schemas of images that narrow it ("Configuring Image Capabilities")."""

from __future__ import annotations

from typing import Any, Optional

from .context import Context, new_etag, new_ocid, now, timestamp
from .identity import BASE, Identity
from .images import Images
from .messages import Request, Response, ServiceError, invalid, not_found
from .paging import page, sort
from .router import Route

_VOLUMES = ["ISCSI", "SCSI", "IDE", "PARAVIRTUALIZED", "NVME"]
VERSIONS = ("8b6d3f3c-9f0a-4e0c-a6b1-5f1f2d6a7c10", "d41c02d1-6b4c-49ba-bb1c-1c2a52a7f6a4")
"""Names of the global schema's versions, the current one last."""


def _enum(values: list[Any], default: Any) -> dict[str, Any]:
    kind = "enuminteger" if isinstance(default, int) else "enumstring"
    return {"descriptorType": kind, "source": "GLOBAL", "values": values, "defaultValue": default}


def _boolean(default: bool) -> dict[str, Any]:
    return {"descriptorType": "boolean", "source": "GLOBAL", "defaultValue": default}


GLOBAL_SCHEMA: dict[str, dict[str, Any]] = {
    "Compute.LaunchMode": _enum(["NATIVE", "EMULATED", "PARAVIRTUALIZED", "CUSTOM"], "PARAVIRTUALIZED"),
    "Compute.Firmware": _enum(["BIOS", "UEFI_64"], "BIOS"),
    "Compute.SecureBoot": _boolean(False),
    "Compute.AMD_SecureEncryptedVirtualization": _boolean(False),
    "Network.AttachmentType": _enum(["E1000", "VFIO", "PARAVIRTUALIZED", "VDPA"], "PARAVIRTUALIZED"),
    "Network.IPv6Only": _boolean(False),
    "Storage.BootVolumeType": _enum(_VOLUMES, "PARAVIRTUALIZED"),
    "Storage.RemoteDataVolumeType": _enum(_VOLUMES, "PARAVIRTUALIZED"),
    "Storage.LocalDataVolumeType": _enum(_VOLUMES, "PARAVIRTUALIZED"),
    "Storage.ConsistentVolumeNaming": _boolean(True),
    "Storage.Iscsi.MultipathDeviceSupported": _boolean(False),
    "Storage.ParaVirtualization.EncryptionInTransit": _boolean(False),
    "Storage.ParaVirtualization.AttachmentVersion": _enum([1, 2], 1),
}


class CapabilitySchemas:
    def __init__(self, context: Context, identity: Identity, images: Images) -> None:
        self._context = context
        self._identity = identity
        self._images = images
        self._global_id = new_ocid("computeglobalimgcapschema")
        self._began = timestamp(now())
        self.by_id: dict[str, dict[str, Any]] = {}
        self._retry_tokens: dict[str, str] = {}

    def routes(self) -> list[Route]:
        shared, own = f"{BASE}/computeGlobalImageCapabilitySchemas", f"{BASE}/computeImageCapabilitySchemas"
        return [
            Route("GET", shared, self._list_global),
            Route("GET", shared + "/{id}", self._get_global),
            Route("GET", shared + "/{id}/versions", self._list_versions),
            Route("GET", shared + "/{id}/versions/{name}", self._get_version),
            Route("POST", own, self._create),
            Route("GET", own, self._list),
            Route("GET", own + "/{id}", self._get),
            Route("PUT", own + "/{id}", self._update),
            Route("DELETE", own + "/{id}", self._delete),
        ]

    def _global(self) -> dict[str, Any]:
        return {
            "id": self._global_id,
            "compartmentId": None,
            "displayName": "OCI.Global.ImageCapabilitySchema",
            "currentVersionName": VERSIONS[-1],
            "timeCreated": self._began,
            "freeformTags": {},
            "definedTags": {},
        }

    def _version(self, name: str, with_data: bool) -> dict[str, Any]:
        document = {"name": name, "computeGlobalImageCapabilitySchemaId": self._global_id, "displayName": name, "timeCreated": self._began}
        return {**document, "schemaData": GLOBAL_SCHEMA} if with_data else document

    def _list_global(self, request: Request) -> Response:
        return page(request, [self._global()], self._context.settings.page_size)

    def _get_global(self, request: Request) -> Response:
        self._check_global(request)
        return Response.of_json(self._global())

    def _list_versions(self, request: Request) -> Response:
        self._check_global(request)
        return page(request, [self._version(name, with_data=False) for name in reversed(VERSIONS)], self._context.settings.page_size)

    def _get_version(self, request: Request) -> Response:
        self._check_global(request)
        if request.params["name"] not in VERSIONS:
            raise not_found()
        return Response.of_json(self._version(request.params["name"], with_data=True))

    def _check_global(self, request: Request) -> None:
        if request.params["id"] != self._global_id:
            raise not_found()

    def _create(self, request: Request) -> Response:
        """An image has at most one schema; what it names must be within the global schema."""
        details = request.json()
        compartment, image_id = request.required(details, "compartmentId"), request.required(details, "imageId")
        version, data = request.required(details, "computeGlobalImageCapabilitySchemaVersionName"), request.required(details, "schemaData")
        token = request.headers.get("opc-retry-token")
        if version not in VERSIONS:
            raise invalid(f"computeGlobalImageCapabilitySchemaVersionName {version!r} is not known")
        _check_data(data)
        with self._context.lock:
            earlier = self.by_id.get(self._retry_tokens.get(token or "", ""))
            if earlier is not None:
                return self._answer(earlier)
            self._identity.check(compartment)
            self._images.find(image_id)
            if any(schema["imageId"] == image_id for schema in self.by_id.values()):
                raise ServiceError(409, "IncorrectState", f"Image {image_id} already has an image capability schema.")
            created = timestamp(now())
            document = {
                "id": self._context.ocid("computeimgcapschema"),
                "compartmentId": compartment,
                "computeGlobalImageCapabilitySchemaId": self._global_id,
                "computeGlobalImageCapabilitySchemaVersionName": version,
                "imageId": image_id,
                "lifecycleState": "ACTIVE",
                "displayName": details.get("displayName") or f"computeimgcapschema-{created}",
                "schemaData": data,
                "timeCreated": created,
                "freeformTags": details.get("freeformTags") or {},
                "definedTags": details.get("definedTags") or {},
            }
            self.by_id[document["id"]] = document
            if token:
                self._retry_tokens[token] = document["id"]
            return self._answer(document)

    def _answer(self, document: dict[str, Any]) -> Response:
        return Response.of_json(document, etag=new_etag())

    def _list(self, request: Request) -> Response:
        """The list has no schemaData."""
        with self._context.lock:
            items = [
                {name: value for name, value in schema.items() if name != "schemaData"}
                for schema in self.by_id.values()
                if all(request.arg(name) in (None, schema[name]) for name in ("compartmentId", "imageId", "displayName"))
            ]
        return page(request, sort(request, items, "displayName"), self._context.settings.page_size)

    def _find(self, request: Request) -> dict[str, Any]:
        found: Optional[dict[str, Any]] = self.by_id.get(request.params["id"])
        if found is None:
            raise not_found()
        return found

    def _get(self, request: Request) -> Response:
        with self._context.lock:
            return self._answer(self._find(request))

    def _update(self, request: Request) -> Response:
        details = request.json()
        if "schemaData" in details:
            _check_data(details["schemaData"])
        with self._context.lock:
            document = self._find(request)
            for name in ("displayName", "freeformTags", "definedTags", "schemaData"):
                if details.get(name) is not None:
                    document[name] = details[name]
            return self._answer(document)

    def _delete(self, request: Request) -> Response:
        with self._context.lock:
            del self.by_id[self._find(request)["id"]]
        return Response(204)


def _check_data(data: Any) -> None:
    if not isinstance(data, dict):
        raise invalid("schemaData must be an object")
    for name, descriptor in data.items():
        known = GLOBAL_SCHEMA.get(name)
        if known is None:
            raise invalid(f"schemaData: {name} is not in the global image capability schema")
        if not isinstance(descriptor, dict) or descriptor.get("descriptorType") != known["descriptorType"]:
            raise invalid(f"schemaData: the descriptorType of {name} must be {known['descriptorType']}")
        if descriptor.get("source") != "IMAGE":
            raise invalid(f"schemaData: the source of {name} must be IMAGE")
        if known["descriptorType"] == "boolean":
            continue
        values = descriptor.get("values") or []
        if not values or any(value not in known["values"] for value in values):
            raise invalid(f"schemaData: the values of {name} must be some of {known['values']}")
        if descriptor.get("defaultValue") not in (None, *values):
            raise invalid(f"schemaData: the defaultValue of {name} is not among its values")
