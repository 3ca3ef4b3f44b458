# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state: present. The image is there, with its content, tags, capabilities and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from .._errors import OcneError
from .._files import in_use
from .._imagebuild.progress import Progress, silent
from .._module import Plan
from .._shield import uninterrupted
from . import capabilities, images
from .artefact import Artefact
from .client import Clients
from .compartments import compartment_id
from .importing import Decision, Observed, Wanted, actions, decide, difference, must_be_ours, observe, only_run, place_of, wanted
from .objects import CONTENT_KEY, Place, StoredObject
from .sdk import OciError, sdk
from .undo import Undo
from .upload import Upload
from .work_requests import Deadline, WorkFailed, find_work_request, follow

#: A pre-authenticated request outlives the wait for its import by this much, for a service that is late.
_GRACE = timedelta(hours=1)


class Present:
    """The step behind ocne_oci_import, state: present."""

    def __init__(self, params: dict[str, Any], progress: Progress = silent) -> None:
        self._params = params
        self._progress = progress
        self._clients = Clients(params)
        self._journals = Path(params["journal_dir"])

    def plan(self) -> Plan:
        want = wanted(self._params, self._progress)
        self._progress("looking at what is in the cloud", 0, None)
        place = place_of(self._clients, self._params)
        seen = observe(self._clients, compartment_id(self._clients, self._params["compartment"]), place, self._journals, want)
        decision = decide(seen, want)
        before, after = difference(decision, seen, want, place)
        result = _result(seen.image, want, place, seen.stored, 0)
        return Plan(actions(decision, seen, want, place), before, after, result, (want, place, seen))

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        want, place, planned = plan.context
        with in_use(want.source.path), only_run(planned.journal, place, self._params["wait_timeout"], self._progress):
            # What another run has done while this one waited is not done again.
            seen = observe(self._clients, planned.compartment, place, self._journals, want)
            run = _Run(self._clients, self._params, self._progress, want, place, seen)
            run.carry_out(decide(seen, want))
        return {"changed": run.changed, **_result(run.image, want, place, run.stored, run.uploaded)}


class _Run:
    """One decision being carried out."""

    def __init__(self, clients: Clients, params: Mapping[str, Any], progress: Progress, want: Wanted, place: Place, seen: Observed) -> None:
        self._clients = clients
        self._params = params
        self._progress = progress
        self._want = want
        self._place = place
        self._seen = seen
        self._undo = Undo()
        self.image = seen.image
        self.stored = seen.stored
        self.uploaded = 0
        self.changed = False

    def carry_out(self, decision: Decision) -> None:
        with self._undo:
            if decision.create_bucket:
                self._place.create_bucket(self._seen.compartment)
                self.changed = True
            if decision.upload:
                self._upload()
            deadline = Deadline(self._params["wait_timeout"])
            if decision.import_image:
                self._import(deadline, decision.wait)
            elif decision.wait:
                self._await(self.image, "", deadline)
            if decision.set_tags:
                self.image = images.set_tags(self._clients, self.image, self._want.more_tags)
                self.changed = True
            if decision.set_capabilities:
                self.changed |= capabilities.set_capabilities(self._clients, self._seen.compartment, self.image.id)
            if decision.set_shapes:
                self._set_shapes()
        if decision.remove_object:
            self._remove_object()
        if decision.remove_leftovers:
            self._remove_leftovers()

    def _upload(self) -> None:
        with Artefact(self._want.source, self._want.metadata) as artefact:
            upload = Upload(artefact, self._want.object_metadata, self._place, self._seen.journal, self._progress)
            upload.run(self._to_replace, self._note_object)
            self.uploaded = upload.sent
        self.changed = True

    def _note_object(self, stored: StoredObject) -> None:
        self.stored = stored
        if not self._want.keep_object:
            self._undo.add(str(self._place), self._undo_object)

    def _to_replace(self) -> StoredObject | None:
        """The object that the upload takes the place of. Another image may be on its way from it: let that end first."""
        deadline = Deadline(self._params["wait_timeout"])
        while (stored := self._place.head()) is not None:
            must_be_ours(stored, self._place)
            if stored.holds(self._want.object_metadata):
                return stored
            readers = self._coming(stored.metadata[CONTENT_KEY])
            if not readers:
                return stored
            self._progress("waiting for the end of another import", 0, None)
            for image in readers:
                with suppress(WorkFailed):
                    images.await_available(self._clients, image.id, deadline)
        return None

    def _coming(self, content: str) -> list[Any]:
        """Images of ours, under any name, whose import of this content is under way."""
        found = images.with_tags(images.our_images(self._clients, self._seen.compartment, None), {images.CONTENT_TAG: content})
        return [image for image in found if image.lifecycle_state in images.COMING]

    def _import(self, deadline: Deadline, wait: bool) -> None:
        if found := self._same_images():  # another run was faster while this one uploaded
            self.image = found[0]
            if wait:
                self._await(self.image, "", deadline)
            return
        request = ""
        if self._params["import_through"] != "preauthenticated_request":
            try:
                request = self._begin_import(None)
            except OciError as error:
                if self._params["import_through"] == "object" or not images.refuses_object(error):
                    raise
        if self.image is None:
            # A federated user or a principal may not read the object through the image service, but may hand on its URL.
            request = self._begin_import(self._preauthenticate(deadline))
        if not wait:
            return
        self._await(self.image, request, deadline)
        self._drop_preauthenticated_requests()
        self._yield_to_first(deadline)

    def _preauthenticate(self, deadline: Deadline) -> str:
        """The URL, a secret, by which the object can be read until some time after the deadline."""
        expires = datetime.now(timezone.utc) + timedelta(seconds=deadline.seconds) + _GRACE
        self._undo.add("the pre-authenticated request", self._undo_preauthenticated_requests)
        with uninterrupted():
            identifier, url = self._place.preauthenticate(f"import {self._want.display_name}", expires)
            self._seen.journal.add_preauthenticated_request(identifier)
        return url

    def _begin_import(self, url: str | None) -> str:
        """Import by the URL, or by the object's name; the work request's id."""
        want = self._want
        with uninterrupted():
            self.image, request = images.import_image(
                self._clients, self._seen.compartment, want.display_name, want.all_tags, self._place, url
            )
            self._undo.add(f"image {self.image.id}", self._undo_image)
        self.changed = True
        return request

    def _await(self, image: Any, request: str, deadline: Deadline) -> None:
        what = f"Import of image {image.id} ({image.display_name})"
        request = request or find_work_request(self._clients, self._seen.compartment, image.id)
        self._progress("importing", 0, None)
        if request:
            follow(self._clients, request, what, deadline, self._progress)
        self.image = images.await_available(self._clients, image.id, deadline)

    def _same_images(self) -> list[Any]:
        found = images.our_images(self._clients, self._seen.compartment, self._want.display_name)
        return images.with_tags(found, self._want.tags)

    def _yield_to_first(self, deadline: Deadline) -> None:
        """Two runs on two hosts can have begun the same import at the same moment: the older image stays."""
        first = min(self._same_images(), key=lambda image: (image.time_created, image.id), default=self.image)
        if first.id == self.image.id:
            return
        mine = self.image
        try:
            self._await(first, "", deadline)
        except WorkFailed:
            self.image = mine
            return
        images.delete_image(self._clients, mine.id)
        self._delete_schemas(mine.id)
        self._undo.forget()

    def _delete_schemas(self, image: str) -> None:
        if not self._want.private_cloud:
            capabilities.delete_schemas(self._clients, self._seen.compartment, image)

    def _set_shapes(self) -> None:
        wanted_shapes = self._seen.wanted_shapes
        if not wanted_shapes:
            raise OcneError(
                f"The service has no shape for {self._want.architecture} in compartment {self._seen.compartment}.",
                "Choose a region that has one, or another architecture.",
            )
        present = capabilities.shapes_of(self._clients, self.image.id)
        if present != wanted_shapes:
            capabilities.set_shapes(self._clients, self.image.id, present, wanted_shapes)
            self.changed = True

    def _remove_object(self) -> None:
        # Another image, under another name, may still be made from it; its run removes it.
        if self.stored and not self._coming(self._want.content) and self._place.delete(self.stored.etag):
            self.changed = True
            self.stored = None

    def _remove_leftovers(self) -> None:
        """What the journal still names when all is done: until then an import may need it."""
        self._drop_preauthenticated_requests()
        if self._seen.journal.upload_id:
            self._place.abort_upload(self._seen.journal.upload_id)
            self._seen.journal.end_upload()
        self.changed = True

    def _drop_preauthenticated_requests(self) -> None:
        for identifier in list(self._seen.journal.preauthenticated_requests):
            self._place.delete_preauthenticated_request(identifier)
            self._seen.journal.drop_preauthenticated_request(identifier)

    def _undo_image(self) -> None:
        try:
            images.delete_image(self._clients, self.image.id, patient=False)
            self._delete_schemas(self.image.id)
        except OciError as error:
            if error.status != 409:
                raise
            raise OcneError(
                "it cannot be deleted while it is imported. Run again to take it over, or with state=absent to remove it."
            ) from error

    def _undo_object(self) -> None:
        self._refuse_if_read()
        if self.stored:
            self._place.delete(self.stored.etag)

    def _undo_preauthenticated_requests(self) -> None:
        self._refuse_if_read()
        self._drop_preauthenticated_requests()

    def _refuse_if_read(self) -> None:
        if self._coming(self._want.content):
            raise OcneError("an import reads it. The next run removes it.")


def _result(image: Any, want: Wanted, place: Place, stored: StoredObject | None, uploaded: int) -> dict[str, Any]:
    unknown = {"id": None, "display_name": want.display_name, "freeform_tags": want.all_tags}
    return {
        "image": sdk("util").to_dict(image) if image else unknown,
        "object": object_result(place, stored),
        "uploaded_bytes": uploaded,
    }


def object_result(place: Place, stored: StoredObject | None) -> dict[str, Any] | None:
    """The object, as the module returns it."""
    if stored is None:
        return None
    return {
        "namespace_name": place.namespace,
        "bucket_name": place.bucket,
        "object_name": place.name,
        "etag": stored.etag,
        "size": stored.size,
    }
