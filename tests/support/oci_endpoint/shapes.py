# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compute: shapes, and which of them an image may be started on."""

from __future__ import annotations

from typing import Any

from .context import Context
from .identity import BASE, Identity
from .images import Images
from .messages import Request, Response, invalid, not_found
from .paging import page
from .router import Route

AVAILABILITY_DOMAINS = 3

_AMD3, _AMD4, _AMD5 = "2.55 GHz AMD EPYC™ 7J13 (Milan)", "2.25 GHz AMD EPYC™ 7742 (Rome)", "2.4 GHz AMD EPYC™ 9J14 (Genoa)"
_INTEL, _ICE_LAKE = "2.0 GHz Intel® Xeon® Platinum 8167M (Skylake)", "2.6 GHz Intel® Xeon® Platinum 8358 (Ice Lake)"
_AMPERE, _AMPERE_ONE = "3.0 GHz Ampere® Altra™", "3.0 GHz AmpereOne™"

# name, processor, OCPUs, memory in GB; the flexible ones have a range from 1 to these
_SHAPES = [
    ("BM.Standard.A1.160", _AMPERE, 160, 1024),
    ("BM.Standard.E4.128", _AMD3, 128, 2048),
    ("BM.Standard.E5.192", _AMD5, 192, 2304),
    ("BM.Standard2.52", _INTEL, 52, 768),
    ("BM.Standard3.64", _ICE_LAKE, 64, 1024),
    ("BM.DenseIO.E4.128", _AMD3, 128, 2048),
    ("BM.Optimized3.36", "3.0 GHz Intel® Xeon® Gold 6354 (Ice Lake)", 36, 512),
    ("VM.DenseIO.E4.Flex", _AMD3, 32, 512),
    ("VM.Optimized3.Flex", "3.0 GHz Intel® Xeon® Gold 6354 (Ice Lake)", 18, 256),
    ("VM.Standard.A1.Flex", _AMPERE, 80, 512),
    ("VM.Standard.A2.Flex", _AMPERE_ONE, 78, 946),
    ("VM.Standard.E2.1.Micro", "2.0 GHz AMD EPYC™ 7551 (Naples)", 1, 1),
    ("VM.Standard.E3.Flex", _AMD4, 64, 1024),
    ("VM.Standard.E4.Flex", _AMD3, 64, 1024),
    ("VM.Standard.E5.Flex", _AMD5, 94, 1049),
    ("VM.Standard2.1", _INTEL, 1, 15),
    ("VM.Standard2.24", _INTEL, 24, 320),
    ("VM.Standard3.Flex", _ICE_LAKE, 32, 512),
]
_ARM = (_AMPERE, _AMPERE_ONE)


class Shapes:
    def __init__(self, context: Context, identity: Identity, images: Images) -> None:
        self._context = context
        self._identity = identity
        self._images = images
        self._compatible: dict[str, dict[str, dict[str, Any]]] = {}

    def routes(self) -> list[Route]:
        entries = f"{BASE}/images/{{id}}/shapes"
        return [
            Route("GET", f"{BASE}/shapes", self._list),
            Route("GET", entries, self._list_entries),
            Route("GET", entries + "/{shape}", self._get_entry),
            Route("PUT", entries + "/{shape}", self._add_entry),
            Route("DELETE", entries + "/{shape}", self._remove_entry),
        ]

    def of_image(self, ocid: str) -> dict[str, dict[str, Any]]:
        """The compatibility entries by shape. An imported image starts with the x86 shapes: Arm has to be added, x86 taken away."""
        image = self._images.find(ocid)
        return self._compatible.setdefault(
            image.document["id"], {name: _entry(ocid, name, {}) for name, processor, *_rest in _SHAPES if processor not in _ARM}
        )

    def _list(self, request: Request) -> Response:
        """A shape is listed once for each availability domain that has it, unless the request names one."""
        compartment = request.required_arg("compartmentId")
        domain, ocid = request.arg("availabilityDomain"), request.arg("imageId")
        with self._context.lock:
            self._identity.check(compartment)
            compatible = self.of_image(ocid) if ocid else None
        items = [
            _document(*shape)
            for _turn in range(1 if domain else AVAILABILITY_DOMAINS)
            for shape in _SHAPES
            if (compatible is None or shape[0] in compatible) and request.arg("shape") in (None, shape[0])
        ]
        return page(request, items, self._context.settings.page_size)

    def _list_entries(self, request: Request) -> Response:
        with self._context.lock:
            entries = [entry for _name, entry in sorted(self.of_image(request.params["id"]).items())]
        return page(request, entries, self._context.settings.page_size)

    def _get_entry(self, request: Request) -> Response:
        with self._context.lock:
            entry = self.of_image(request.params["id"]).get(request.params["shape"])
            if entry is None:
                raise not_found()
            return Response.of_json(entry)

    def _add_entry(self, request: Request) -> Response:
        """Adding an entry that is there replaces it."""
        details, shape = request.json(), request.params["shape"]
        if shape not in (name for name, *_rest in _SHAPES):
            raise invalid(f"The shape {shape} is not known")
        with self._context.lock:
            entries = self.of_image(request.params["id"])
            entries[shape] = _entry(request.params["id"], shape, details)
            return Response.of_json(entries[shape])

    def _remove_entry(self, request: Request) -> Response:
        with self._context.lock:
            if self.of_image(request.params["id"]).pop(request.params["shape"], None) is None:
                raise not_found()
        return Response(204)


def _entry(image: str, shape: str, details: dict[str, Any]) -> dict[str, Any]:
    constraints = {name: details.get(name) for name in ("memoryConstraints", "ocpuConstraints")}
    return {"imageId": image, "shape": shape, **constraints}


def _document(name: str, processor: str, ocpus: int, memory: int) -> dict[str, Any]:
    flexible = name.endswith(".Flex")
    document: dict[str, Any] = {
        "shape": name,
        "processorDescription": processor,
        "ocpus": 1.0 if flexible else float(ocpus),
        "memoryInGBs": 16.0 if flexible else float(memory),
        "networkingBandwidthInGbps": 1.0 if name.startswith("VM") else 50.0,
        "maxVnicAttachments": 2 if name.startswith("VM") else 256,
        "networkPorts": 1,
        "gpus": 0,
        "gpuDescription": None,
        "localDisks": 8 if "DenseIO" in name else 0,
        "isFlexible": flexible,
        "isSubcore": False,
        "isLiveMigrationSupported": name.startswith("VM"),
        "isBilledForStoppedInstance": "DenseIO" in name,
        "billingType": "ALWAYS_FREE" if name.endswith("Micro") else "PAID",
        "quotaNames": [],
        "platformNames": [],
    }
    if flexible:
        document["ocpuOptions"] = {"min": 1.0, "max": float(ocpus), "maxPerNumaNode": float(ocpus)}
        document["memoryOptions"] = {
            "minInGBs": 1.0,
            "maxInGBs": float(memory),
            "defaultPerOcpuInGBs": 6.0 if processor in _ARM else 16.0,
            "minPerOcpuInGBs": 1.0,
            "maxPerOcpuInGBs": 64.0,
            "maxPerNumaNodeInGBs": float(memory),
        }
    return document
