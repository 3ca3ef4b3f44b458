# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""state: absent. Images of ours that the options describe are removed, and the object that such an image was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import _platform
from .._errors import OcneError
from .._imagebuild.progress import Progress, silent
from .._module import Plan
from . import capabilities, images
from .artefact import open_source
from .client import Clients
from .compartments import compartment_id
from .importing import journal_of, only_run, place_of
from .journal import Journal
from .objects import CONTENT_KEY, Place, StoredObject
from .present import object_result
from .sdk import sdk
from .work_requests import Deadline, WorkFailed


@dataclass(frozen=True)
class _Observed:
    """What is to go.

    :param place: where the object is; None where the options name none.
    :param journal: of that place.
    """

    images: tuple[Any, ...]
    place: Optional[Place]
    stored: Optional[StoredObject]
    journal: Optional[Journal]

    @property
    def anything(self) -> bool:
        """Whether there is something to remove."""
        return bool(self.images or self.stored or (self.journal and self.journal.begun))


class Absent:
    """The step behind ocne_oci_import, state: absent."""

    def __init__(self, params: dict[str, Any], progress: Progress = silent) -> None:
        self._params = params
        self._progress = progress
        self._clients = Clients(params)
        if params["keep"] is not None and params["keep"] < 1:
            raise OcneError(f"keep is {params['keep']}.", "Give how many images are to stay, or leave it out to remove all.")

    def plan(self) -> Plan:
        seen = self._observe()
        actions = [f"delete image {image.id} ({image.display_name})" for image in seen.images]
        if seen.stored:
            actions.append(f"remove {seen.place}")
        if seen.journal and seen.journal.begun:
            actions.append(f"remove what an interrupted run left of {seen.place}")
        before = {"images": [_state(image) for image in seen.images], "object": seen.place.name if seen.place and seen.stored else None}
        return Plan(tuple(actions), before, {"images": [], "object": None}, _result(seen), seen)

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        seen: _Observed = plan.context
        if not (seen.place and seen.journal):
            return self._remove(seen)
        with only_run(seen.journal, seen.place, self._params["wait_timeout"], self._progress):
            return self._remove(self._observe())  # what another run was at work on is not what an interrupted one has left

    def _remove(self, seen: _Observed) -> Mapping[str, Any]:
        changed = seen.anything
        deadline = Deadline(self._params["wait_timeout"])
        for image in seen.images:
            if image.lifecycle_state in images.COMING:
                self._await_end_of_import(image.id, deadline)
            images.delete_image(self._clients, image.id)
            if not self._params["private_cloud"]:
                capabilities.delete_schemas(self._clients, image.compartment_id, image.id)
        if seen.place and seen.stored:
            seen.place.delete(seen.stored.etag)
        if seen.place and seen.journal and seen.journal.begun:
            self._remove_leftovers(seen.place, seen.journal)
        if self._params["wait"]:
            self._progress("waiting for the end of the removal", 0, None)
            for image in seen.images:
                images.await_deleted(self._clients, image.id, deadline)
        return {"changed": changed, **_result(seen)}

    def _observe(self) -> _Observed:
        params = self._params
        compartment = compartment_id(self._clients, params["compartment"])
        content = f"sha256:{open_source(Path(params['src']), self._progress).sha256}" if params["src"] else ""
        found = self._images(compartment, content)
        place = place_of(self._clients, params)
        if not place.name:
            return _Observed(tuple(found), None, None, None)
        stored = place.head()
        contents = {content, *(image.freeform_tags[images.CONTENT_TAG] for image in found)}
        if stored and not (stored.is_ours and (params["object_name"] or stored.metadata[CONTENT_KEY] in contents)):
            stored = None
        journal = journal_of(place, Path(params["journal_dir"]))
        return _Observed(tuple(found), place, stored, journal)

    def _images(self, compartment: str, content: str) -> list[Any]:
        params = self._params
        if params["image_id"]:
            image = images.get_image(self._clients, params["image_id"])
            if image is None:
                return []
            images.must_be_ours(image)
            if image.compartment_id != compartment:
                raise OcneError(
                    f"Image {image.id} is in compartment {image.compartment_id}, not in {compartment}.", "Set compartment to it."
                )
            return [image]
        tags = {
            images.CONTENT_TAG: content,
            images.ARCHITECTURE_TAG: params["architecture"] and _platform.architecture(params["architecture"]),
            images.KUBERNETES_TAG: params["kubernetes_version"],
        }
        found = images.our_images(self._clients, compartment, params["display_name"])
        found = images.with_tags(found, {key: value for key, value in tags.items() if value})
        return found if params["keep"] is None else images.superseded(found, params["keep"])

    def _await_end_of_import(self, identifier: str, deadline: Deadline) -> None:
        """An image cannot be deleted before."""
        self._progress("waiting for the end of an import", 0, None)
        try:
            images.await_available(self._clients, identifier, deadline)
        except WorkFailed:
            return  # it has gone by itself

    @staticmethod
    def _remove_leftovers(place: Place, journal: Journal) -> None:
        for identifier in list(journal.preauthenticated_requests):
            place.delete_preauthenticated_request(identifier)
            journal.drop_preauthenticated_request(identifier)
        if journal.upload_id:
            place.abort_upload(journal.upload_id)
            journal.end_upload()


def _state(image: Any) -> dict[str, Any]:
    return {"id": image.id, "display_name": image.display_name, "state": image.lifecycle_state, "tags": dict(image.freeform_tags)}


def _result(seen: _Observed) -> dict[str, Any]:
    return {
        "image": sdk("util").to_dict(seen.images[0]) if seen.images else None,
        "object": object_result(seen.place, seen.stored) if seen.place else None,
        "uploaded_bytes": 0,
    }
