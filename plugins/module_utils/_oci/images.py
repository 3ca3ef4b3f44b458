# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Custom images: which of them are ours and what they hold, by their tags; import, tags, removal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import _retention
from .._errors import OcneError
from .client import Clients, every
from .metadata import OPERATING_SYSTEM
from .objects import Place
from .sdk import OciError, doing, sdk
from .work_requests import Deadline, DeadlinePassed, WorkFailed

CONTENT_TAG = "ocne/content-digest"
ARCHITECTURE_TAG = "ocne/architecture"
KUBERNETES_TAG = "ocne/kubernetes"

#: Life-cycle states of an image that can be used, and of one that is on its way.
USABLE = ("AVAILABLE", "EXPORTING")
COMING = ("PROVISIONING", "IMPORTING")


def our_images(clients: Clients, compartment: str, display_name: str | None) -> list[Any]:
    """Images with our tags that are or will be there: usable ones first, the oldest first among equals."""
    options = {"display_name": display_name} if display_name else {}
    found = every(f"images of compartment {compartment}", clients.compute.list_images, compartment, **options)
    ours = [image for image in found if CONTENT_TAG in (image.freeform_tags or {}) and image.lifecycle_state in USABLE + COMING]
    return sorted(ours, key=lambda image: (image.lifecycle_state not in USABLE, image.time_created, image.id))


def with_tags(images: Iterable[Any], tags: Mapping[str, str]) -> list[Any]:
    return [image for image in images if all(image.freeform_tags.get(key) == value for key, value in tags.items())]


def superseded(images: Iterable[Any], keep: int) -> list[Any]:
    """Images that can be used and of which there are enough newer ones: for each name, architecture and version, all but the newest."""
    # What is on its way is neither removed nor counted: its import may fail.
    usable = [image for image in images if image.lifecycle_state in USABLE]
    newest_first = sorted(usable, key=lambda image: (image.time_created, image.id), reverse=True)
    return _retention.superseded(newest_first, keep, _kind)


def _kind(image: Any) -> tuple[str, ...]:
    return (image.display_name, *(image.freeform_tags.get(tag, "") for tag in (ARCHITECTURE_TAG, KUBERNETES_TAG)))


def get_image(clients: Clients, identifier: str) -> Any:
    """The image, or None where there is none (any more)."""
    try:
        with doing(f"get image {identifier}"):
            image = clients.compute.get_image(identifier).data
    except OciError as error:
        if error.status == 404:
            return None
        raise
    return None if image.lifecycle_state == "DELETED" else image


def import_image(
    clients: Clients, compartment: str, display_name: str, tags: Mapping[str, str], place: Place, url: str | None
) -> tuple[Any, str]:
    """Begin an import: the image and the id of its work request ('' where the service names none).

    :param url: a pre-authenticated request to read the object by; None: by its name, with our own rights.
    """
    models = sdk("core").models
    # sourceImageType stays out: it is for bare disk images, and an artefact says itself what it is.
    source = (
        models.ImageSourceViaObjectStorageUriDetails(source_uri=url, operating_system=OPERATING_SYSTEM)
        if url
        else models.ImageSourceViaObjectStorageTupleDetails(
            namespace_name=place.namespace, bucket_name=place.bucket, object_name=place.name, operating_system=OPERATING_SYSTEM
        )
    )
    details = models.CreateImageDetails(
        compartment_id=compartment, display_name=display_name, freeform_tags=dict(tags), image_source_details=source
    )
    with doing(f"import image {display_name} into compartment {compartment} from {place}"):
        response = clients.compute.create_image(details)
    return response.data, str(response.headers.get("opc-work-request-id") or "")


def set_tags(clients: Clients, image: Any, tags: Mapping[str, str]) -> Any:
    """The image with these tags added to its own."""
    details = sdk("core").models.UpdateImageDetails(freeform_tags={**image.freeform_tags, **tags})
    with doing(f"set tags of image {image.id}"):
        return clients.compute.update_image(image.id, details).data


def await_available(clients: Clients, identifier: str, deadline: Deadline) -> Any:
    """The image, once it can be used.

    :raises WorkFailed: it has gone instead.
    :raises DeadlinePassed: it is still coming.
    """
    state = "unknown"
    for _pause in deadline.pauses():
        image = get_image(clients, identifier)
        if image is None:
            raise WorkFailed(f"Image {identifier} was deleted while its end of import was awaited.", "Run again to import it anew.")
        state = image.lifecycle_state
        if state in USABLE:
            return image
        if state not in COMING:
            raise WorkFailed(f"Image {identifier} became {state} instead of AVAILABLE.", "Look at it in the console, and run again.")
    raise DeadlinePassed(
        f"Image {identifier} was still {state} when {deadline.seconds:.0f} s had passed.", "Raise wait_timeout, or run again."
    )


def refuses_object(error: OciError) -> bool:
    """Whether an import was refused because the service may not read, for this caller, an object that is there."""
    return error.status in (403, 404) or (error.status == 400 and "object" in error.message.lower().split(":", 1)[-1])


def delete_image(clients: Clients, identifier: str, patient: bool = True) -> None:
    """Remove the image; none is as good.

    :param patient: try again while its state forbids it.
    """
    options = {} if patient else {"retry_strategy": sdk("retry").NoneRetryStrategy()}
    try:
        with doing(f"delete image {identifier}"):
            clients.compute.delete_image(identifier, **options)
    except OciError as error:
        if error.status != 404:
            raise


def await_deleted(clients: Clients, identifier: str, deadline: Deadline) -> None:
    for _pause in deadline.pauses():
        if get_image(clients, identifier) is None:
            return
    raise DeadlinePassed(
        f"Image {identifier} was still there when {deadline.seconds:.0f} s had passed.", "Raise wait_timeout, or run again."
    )


def must_be_ours(image: Any) -> None:
    """:raises OcneError: the image was not imported by this collection."""
    if CONTENT_TAG not in (image.freeform_tags or {}):
        raise OcneError(
            f"Image {image.id} ({image.display_name}) was not imported by ocne_oci_import: it has no tag {CONTENT_TAG}.",
            "It is not removed. Check image_id, or remove it yourself.",
        )
