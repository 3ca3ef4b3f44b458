# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there of an image, and what is to be done about it: the observation and the pure decision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from .. import _platform
from .._errors import OcneError
from .._files import locked
from .._imagebuild.disk.qcow2_extents import inspect_header
from .._imagebuild.errors import BuildError
from .._imagebuild.progress import Progress, silent
from . import capabilities, images
from .artefact import Source, open_source
from .client import Clients
from .journal import Journal, journal_path, read_journal
from .metadata import CAPABILITIES, PROCESSORS, image_metadata
from .objects import CONTENT_KEY, METADATA_KEY, Place, StoredObject

DEFAULT_DISPLAY_NAME = "ock"


@dataclass(frozen=True)
class Wanted:
    """The image to be there, with all defaults filled in.

    :param tags: those that identify it: content and architecture.
    :param more_tags: those that describe it.
    """

    source: Source
    metadata: bytes
    architecture: str
    display_name: str
    tags: Mapping[str, str]
    more_tags: Mapping[str, str]
    keep_object: bool
    private_cloud: bool
    wait: bool

    @property
    def all_tags(self) -> dict[str, str]:
        return {**self.tags, **self.more_tags}

    @property
    def content(self) -> str:
        return self.tags[images.CONTENT_TAG]

    @property
    def object_metadata(self) -> dict[str, str]:
        """What tells that an object holds the artefact of this image."""
        return {CONTENT_KEY: self.content, METADATA_KEY: f"sha256:{hashlib.sha256(self.metadata).hexdigest()}"}


@dataclass(frozen=True)
class Observed:
    """What is there.

    :param image: the image with the content wanted, or None.
    :param bucket: whether the bucket is there; None where nobody needs it.
    :param stored: the object at the place, whatever it holds.
    :param capable: whether the image's capability schema is as it must be.
    :param shapes: compatible shapes; wanted_shapes: those wanted, None where the service decides.
    """

    compartment: str
    image: Any
    bucket: Optional[bool]
    stored: Optional[StoredObject]
    capable: bool
    shapes: frozenset[str]
    wanted_shapes: Optional[frozenset[str]]
    journal: Journal


def wanted(params: Mapping[str, Any], progress: Progress = silent) -> Wanted:
    """:raises OcneError: src cannot be read, or an option is wrong."""
    architecture = _platform.architecture(params["architecture"])
    version = _platform.kubernetes_version(params["kubernetes_version"] or _platform.DEFAULT_KUBERNETES_VERSION)
    source = open_source(Path(params["src"]), progress)
    return Wanted(
        source=source,
        metadata=image_metadata(architecture, params["private_cloud"]),
        architecture=architecture,
        display_name=params["display_name"] or DEFAULT_DISPLAY_NAME,
        tags={images.CONTENT_TAG: f"sha256:{source.sha256}", images.ARCHITECTURE_TAG: architecture},
        more_tags={images.KUBERNETES_TAG: version},
        keep_object=params["keep_object"],
        private_cloud=params["private_cloud"],
        wait=params["wait"],
    )


def place_of(clients: Clients, params: Mapping[str, Any]) -> Place:
    """Where the object is or is to be; with an empty name where none is given and none follows from src."""
    name = params["object_name"] or (f"ocne_{Path(params['src']).name}" if params["src"] else "")
    return Place(clients, params["namespace_name"], params["bucket_name"], name)


def journal_of(place: Place, folder: Path) -> Journal:
    """:param folder: of the journals."""
    return read_journal(journal_path(folder, place.endpoint, place.namespace, place.bucket, place.name))


@contextmanager
def only_run(journal: Journal, place: Place, timeout: float, progress: Progress = silent) -> Iterator[None]:
    """Be the only run on this host that has the place in hand.

    :param timeout: seconds to wait for another one.
    """
    journal.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(journal.path, timeout, progress))
        except OcneError as error:
            raise OcneError(f"The {place} is in the hand of another run. {error.message}", error.hint) from error
        yield


def observe(clients: Clients, compartment: str, place: Place, journals: Path, want: Wanted) -> Observed:
    """Look, and change nothing. Few calls where all is as it should be.

    :param compartment: its OCID.
    :param journals: folder of the journals.
    """
    found = images.with_tags(images.our_images(clients, compartment, want.display_name), want.tags)
    image = found[0] if found else None
    usable: Any = image if image is not None and image.lifecycle_state in images.USABLE else None
    journal = journal_of(place, journals)
    stored = place.head()
    bucket = None
    if image is None:
        bucket = place.bucket_exists(compartment)
        _check_source(want.source)
        if stored:
            must_be_ours(stored, place)
    return Observed(
        compartment=compartment,
        image=image,
        bucket=bucket,
        stored=stored,
        capable=bool(usable)
        and (want.private_cloud or not capabilities.missing_capabilities(capabilities.schemas_of(clients, compartment, usable.id))),
        shapes=capabilities.shapes_of(clients, usable.id) if usable and _has_shapes(want) else frozenset(),
        wanted_shapes=capabilities.wanted_shapes(clients, compartment, want.architecture) if _has_shapes(want) else None,
        journal=journal,
    )


def _has_shapes(want: Wanted) -> bool:
    return want.architecture in PROCESSORS and not want.private_cloud


def _check_source(source: Source) -> None:
    try:
        inspect_header(source.path)
    except BuildError as error:
        raise OcneError(error.message, error.hint) from error


def must_be_ours(stored: StoredObject, place: Place) -> None:
    """:raises OcneError: the object was put there by someone else."""
    if not stored.is_ours:
        raise OcneError(
            f"The {place} was not put there by ocne_oci_import.", "It is not overwritten: choose another object_name, or remove it."
        )


def holds_content(stored: StoredObject | None, want: Wanted) -> bool:
    return stored is not None and stored.metadata.get(CONTENT_KEY) == want.content


@dataclass(frozen=True)
class Decision:
    """What to do, in this order."""

    create_bucket: bool = False
    upload: bool = False
    import_image: bool = False
    wait: bool = False
    set_tags: bool = False
    set_capabilities: bool = False
    set_shapes: bool = False
    remove_object: bool = False
    remove_leftovers: bool = False


def decide(seen: Observed, want: Wanted) -> Decision:
    """A pure function: what is there and what is wanted decide."""
    absent = seen.image is None
    coming = not absent and seen.image.lifecycle_state in images.COMING
    begun = absent or coming
    finish = want.wait or not begun
    upload = absent and not (seen.stored and seen.stored.holds(want.object_metadata))
    return Decision(
        create_bucket=absent and seen.bucket is False,
        upload=upload,
        import_image=absent,
        wait=begun and want.wait,
        set_tags=not absent and any(seen.image.freeform_tags.get(key) != value for key, value in want.more_tags.items()),
        set_capabilities=finish and not seen.capable and not want.private_cloud,
        set_shapes=finish and seen.wanted_shapes is not None and seen.wanted_shapes != seen.shapes,
        remove_object=finish and not want.keep_object and (absent or holds_content(seen.stored, want)),
        remove_leftovers=finish and bool((seen.journal.upload_id and not upload) or seen.journal.preauthenticated_requests),
    )


def actions(decision: Decision, seen: Observed, want: Wanted, place: Place) -> tuple[str, ...]:
    """The decision for people."""
    image = f"image {seen.image.id}" if seen.image else f"image {want.display_name}"
    texts = (
        (decision.create_bucket, f"create bucket {place.bucket}"),
        (decision.upload, f"upload {want.source.path} as {place}"),
        (decision.import_image, f"import image {want.display_name}"),
        (decision.wait and not decision.import_image, f"wait for the import of {image}"),
        (decision.set_tags, f"set tags of {image}"),
        (decision.set_capabilities, f"set capabilities of {image}"),
        (decision.set_shapes, f"set shapes of {image}"),
        (decision.remove_object, f"remove {place}"),
        (decision.remove_leftovers, f"remove what an interrupted run left of {place}"),
    )
    return tuple(text for applies, text in texts if applies)


def difference(decision: Decision, seen: Observed, want: Wanted, place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state before and after, for the diff."""
    stored_before = None if seen.stored is None else {"name": place.name, "content": seen.stored.metadata.get(CONTENT_KEY, "unknown")}
    stored_after = {"name": place.name, "content": want.content} if decision.upload else stored_before
    before: dict[str, Any] = {
        "bucket": None if seen.bucket is False else place.bucket,
        "image": _image_state(seen, want),
        "object": stored_before,
    }
    after: dict[str, Any] = {
        "bucket": place.bucket,
        "image": {**_image_state(seen, want), **_image_change(decision, seen, want)},
        "object": None if decision.remove_object else stored_after,
    }
    return before, after


def _image_state(seen: Observed, want: Wanted) -> dict[str, Any]:
    if seen.image is None:
        return {}
    state = {
        "id": seen.image.id,
        "display_name": seen.image.display_name,
        "state": seen.image.lifecycle_state,
        "tags": dict(seen.image.freeform_tags),
    }
    if seen.capable and not want.private_cloud:
        state["capabilities"] = dict(CAPABILITIES)
    if seen.wanted_shapes is not None:
        state["shapes"] = sorted(seen.shapes)
    return state


def _image_change(decision: Decision, seen: Observed, want: Wanted) -> dict[str, Any]:
    change: dict[str, Any] = {}
    if decision.import_image:
        change = {"display_name": want.display_name, "tags": want.all_tags, "state": "IMPORTING"}
    if decision.wait:
        change["state"] = "AVAILABLE"
    if decision.set_tags:
        change["tags"] = {**seen.image.freeform_tags, **want.more_tags}
    if decision.set_capabilities:
        change["capabilities"] = dict(CAPABILITIES)
    if decision.set_shapes:
        change["shapes"] = sorted(seen.wanted_shapes or ())
    return change
