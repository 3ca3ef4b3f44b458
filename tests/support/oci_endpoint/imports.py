# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compute: the import of an image, in a thread of its own, told by a work request."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

from .artefact import BadArtefact, Imported, import_blob
from .buckets import Bucket, Buckets, StoredObject
from .context import GIB, MIB, Context, monotonic
from .faults import ImportOutcome
from .messages import Request, ServiceError, invalid
from .preauthenticated import PreauthenticatedRequests, parse_object_uri
from .work_requests import WorkRequest, WorkRequests

if TYPE_CHECKING:
    from .images import Image


@dataclass(frozen=True)
class Source:
    """The object to import, found with the caller's rights or those of a pre-authenticated request."""

    stored: StoredObject
    image_type: Optional[str]
    find: Callable[[], Bucket]

    def is_there(self) -> bool:
        """Whether the object, and the right to read it, are still there: the service reads during the import, not at its start."""
        try:
            return self.find().objects.get(self.stored.name) is self.stored
        except ServiceError:
            return False


class Importer:
    def __init__(self, context: Context, buckets: Buckets, access: PreauthenticatedRequests, work_requests: WorkRequests) -> None:
        self._context = context
        self._buckets = buckets
        self._access = access
        self._work_requests = work_requests
        self._folder = context.folder / "images"
        self._folder.mkdir()
        self.outcomes: list[ImportOutcome] = []
        self.threads: list[threading.Thread] = []

    def find_source(self, request: Request, details: dict[str, Any]) -> Source:
        """The object that imageSourceDetails names.

        :raises ServiceError: 400 InvalidParameter, with the service's own words for an object that is not there.
        """
        if not isinstance(details, dict):
            raise invalid("imageSourceDetails must be an object")
        image_type = details.get("sourceImageType")
        if image_type not in (None, "QCOW2"):
            raise invalid(f"sourceImageType {image_type!r} is not supported here: leave it out for an archive, or use QCOW2")
        kind = details.get("sourceType")
        if kind == "objectStorageTuple":
            namespace, bucket, name = (str(request.required(details, key)) for key in ("namespaceName", "bucketName", "objectName"))
            return self._signed_source(request, namespace, bucket, name, image_type)
        if kind != "objectStorageUri":
            raise invalid(f"sourceType must be objectStorageTuple or objectStorageUri, not {kind!r}")
        uri = str(request.required(details, "sourceUri"))
        parsed = parse_object_uri(uri)
        if parsed is None:
            raise invalid("Invalid sourceUri: it is not the URI of an object in Object Storage")
        token, namespace, bucket, name = parsed
        if token is None:
            return self._signed_source(request, namespace, bucket, name, image_type)
        return _source(lambda: self._access.readable_bucket(token, namespace, bucket, name), name, image_type)

    def _signed_source(self, request: Request, namespace: str, bucket: str, name: str, image_type: Optional[str]) -> Source:
        if request.principal is not None and request.principal.kind in self._context.settings.uri_only_kinds:
            raise _no_object()
        return _source(lambda: self._buckets.find(namespace, bucket), name, image_type)

    def accept(self, image: Image) -> str:
        """The id of a new work request for this image; the caller holds the lock."""
        began = monotonic()

        def progress() -> float:
            seconds = self._context.settings.import_seconds
            # whole steps of 5, as the service shows them, and never 100 before the end
            return min(95.0, (monotonic() - began) * 100 // (seconds * 5) * 5) if seconds else 0.0

        document = image.document
        return self._work_requests.create("ImportImage", document["compartmentId"], document["id"], "image", progress).id

    def start(self, image: Image, source: Source) -> None:
        thread = threading.Thread(target=self._run, args=(image, source), name=f"import {image.document['displayName']}", daemon=True)
        thread.start()
        self.threads.append(thread)

    def _run(self, image: Image, source: Source) -> None:
        work = self._work_requests.by_id[image.work_request]
        began = monotonic()
        disk = self._folder / f"{image.document['id']}.qcow2"
        with self._context.lock:
            work.start()
            work.log(f"Importing {source.stored.name}")
            outcome = self.outcomes.pop(0) if self.outcomes else None
        imported, problems = None, []
        try:
            imported = import_blob(source.stored.content, disk, source.image_type, self._context.settings.max_virtual_size)
        except BadArtefact as error:
            problems = [("InvalidImage", problem) for problem in error.problems]
        except OSError as error:
            problems = [("ObjectNotAvailable", f"The object could not be read: {error}")]
        if imported and not self._wait(image, began):
            problems = [("Canceled", "The image was deleted while it was imported.")]
            outcome = ImportOutcome("CANCELED", problems)
        with self._context.lock:
            if not problems and not source.is_there():
                problems = [("ObjectNotAvailable", "The object is no longer there, or may no longer be read.")]
            self._finish(image, work, outcome, problems, imported)
            if image.document["lifecycleState"] != "AVAILABLE":
                disk.unlink(missing_ok=True)
            else:
                image.disk = disk

    def _wait(self, image: Image, began: float) -> bool:
        """Sleep for the simulated time, which may be changed meanwhile; False when the image was deleted."""
        while (left := began + self._context.settings.import_seconds - monotonic()) > 0 and not self._context.stopping.wait(
            min(left, 0.05)
        ):
            if image.document["lifecycleState"] == "DELETED":
                return False
        return bool(image.document["lifecycleState"] != "DELETED")

    def _finish(
        self,
        image: Image,
        work: WorkRequest,
        outcome: Optional[ImportOutcome],
        problems: list[tuple[str, str]],
        imported: Optional[Imported],
    ) -> None:
        """After an import that did not succeed, the image is in DELETED."""
        if outcome is not None and outcome.status == "CANCELED":
            work.log("The import was canceled")
            work.finish("CANCELED")
            image.document["lifecycleState"] = "DELETED"
        elif outcome is not None or problems or imported is None:
            work.fail(problems or (outcome.errors if outcome else []))
            image.document["lifecycleState"] = "DELETED"
        else:
            image.metadata = imported.metadata
            image.document.update(
                lifecycleState="AVAILABLE",
                sizeInMBs=-(-imported.virtual_size // MIB),
                billableSizeInGBs=-(-imported.stored_size // GIB),
                launchOptions=imported.launch_options,
            )
            if imported.metadata and imported.metadata["externalLaunchOptions"]["launchOptionsSource"] == "CUSTOM":
                image.document["launchMode"] = "CUSTOM"
            work.log("The image is available")
            work.finish("SUCCEEDED")
        image.publish()


def _source(find: Callable[[], Bucket], name: str, image_type: Optional[str]) -> Source:
    try:
        stored = find().find(name)
    except ServiceError as error:
        raise _no_object() from error
    return Source(stored, image_type, find)


def _no_object() -> ServiceError:
    # the words of the real service, see oracle/oci-cli issue 384
    return invalid("Invalid objectName: Specified object or bucket or namespace to import image from does not exist")
