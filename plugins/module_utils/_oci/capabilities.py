# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an imported image can do and on which shapes it runs: capability schema and shape compatibility."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._errors import OcneError
from .client import Clients, every
from .metadata import CAPABILITIES, PROCESSORS
from .sdk import OciError, doing, sdk


def missing_capabilities(schemas: Iterable[Any]) -> bool:
    """Whether none of an image's schemas says what an OCK image needs."""
    return not any(_says_it(schema.schema_data or {}) for schema in schemas)


def _says_it(data: Mapping[str, Any]) -> bool:
    return all(getattr(data.get(name), "default_value", None) == value for name, value in CAPABILITIES.items())


def schemas_of(clients: Clients, compartment: str, image: str) -> list[Any]:
    """The image's schemas with their data, which a list leaves out."""
    identifiers = _schema_ids(clients, compartment, image)
    with doing(f"get the capability schema of image {image}"):
        return [clients.compute.get_compute_image_capability_schema(identifier).data for identifier in identifiers]


def _schema_ids(clients: Clients, compartment: str, image: str) -> list[str]:
    listing = clients.compute.list_compute_image_capability_schemas
    return [schema.id for schema in every(f"capability schemas of image {image}", listing, compartment_id=compartment, image_id=image)]


def delete_schemas(clients: Clients, compartment: str, image: str) -> None:
    """Remove what says something of an image that is no longer there."""
    for identifier in _schema_ids(clients, compartment, image):
        try:
            with doing(f"delete the capability schema of image {image}"):
                clients.compute.delete_compute_image_capability_schema(identifier)
        except OciError as error:
            if error.status != 404:
                raise


def set_capabilities(clients: Clients, compartment: str, image: str) -> bool:
    """Make the image's schema say what an OCK image needs, by the current version of the global schema; whether it did not."""
    existing = schemas_of(clients, compartment, image)
    if not missing_capabilities(existing):
        return False
    models = sdk("core").models
    data = {
        name: models.EnumStringImageCapabilitySchemaDescriptor(source="IMAGE", values=[value], default_value=value)
        for name, value in CAPABILITIES.items()
    }
    if existing:
        _update(clients, existing[0], data)
        return True
    details = models.CreateComputeImageCapabilitySchemaDetails(
        compartment_id=compartment,
        compute_global_image_capability_schema_version_name=_current_version(clients),
        image_id=image,
        schema_data=data,
    )
    try:
        with doing(f"create the capability schema of image {image}"):
            clients.compute.create_compute_image_capability_schema(details)
    except OciError as error:
        if error.status != 409 or missing_capabilities(schemas_of(clients, compartment, image)):
            raise
        return False  # another run was faster
    return True


def _update(clients: Clients, schema: Any, data: Mapping[str, Any]) -> None:
    details = sdk("core").models.UpdateComputeImageCapabilitySchemaDetails(schema_data={**(schema.schema_data or {}), **data})
    with doing(f"update the capability schema of image {schema.image_id}"):
        clients.compute.update_compute_image_capability_schema(schema.id, details)


def _current_version(clients: Clients) -> str:
    schemas = every("global capability schemas", clients.compute.list_compute_global_image_capability_schemas)
    if not schemas:
        raise OcneError("The service has no global image capability schema.", "Set private_cloud where this is a private cloud.")
    return str(schemas[0].current_version_name)


def shapes_of(clients: Clients, image: str) -> frozenset[str]:
    """The shapes that the image is compatible with."""
    entries = every(f"shapes of image {image}", clients.compute.list_image_shape_compatibility_entries, image)
    return frozenset(entry.shape for entry in entries)


def wanted_shapes(clients: Clients, compartment: str, architecture: str) -> frozenset[str] | None:
    """The shapes that an image of the architecture runs on; None: those that the service gives by itself."""
    processors = PROCESSORS.get(architecture)
    if processors is None:
        return None
    shapes = every(f"shapes of compartment {compartment}", clients.compute.list_shapes, compartment)
    return shapes_with(shapes, processors)


def shapes_with(shapes: Iterable[Any], processors: Iterable[str]) -> frozenset[str]:
    """Those shapes whose processor is described by one of the words."""
    words = tuple(processors)
    return frozenset(shape.shape for shape in shapes if any(word in (shape.processor_description or "").lower() for word in words))


def set_shapes(clients: Clients, image: str, present: frozenset[str], wanted: frozenset[str]) -> None:
    """Add what is missing, then remove what does not belong, so that the image is never without a shape."""
    models = sdk("core").models
    for shape in sorted(wanted - present):
        with doing(f"add shape {shape} to image {image}"):
            clients.compute.add_image_shape_compatibility_entry(
                image, shape, add_image_shape_compatibility_entry_details=models.AddImageShapeCompatibilityEntryDetails()
            )
    for shape in sorted(present - wanted):
        with doing(f"remove shape {shape} from image {image}"):
            clients.compute.remove_image_shape_compatibility_entry(image, shape)
