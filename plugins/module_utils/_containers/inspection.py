# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is at a reference, and whether two references hold the same image."""

from __future__ import annotations

from dataclasses import dataclass

from .. import _platform
from .manifest import OCI_MANIFEST, content_digest, digest_of, instance, is_index, layer_sizes, media_type, parse
from .oci_layout import Unreadable, read_manifest
from .reference import Reference
from .skopeo import Skopeo

#: Transports that give the manifest that their image was published with. The others make one up when they are read.
_STORED = ("dir", "docker", "oci", "oci-archive")
#: Transports that take a manifest as it is: any, or one of the OCI's own format.
_TAKE_ANY = ("containers-storage", "dir", "docker")
_TAKE_OCI = ("oci", "oci-archive")


@dataclass(frozen=True)
class Found:
    """An image that is there.

    :param reference: pinned to the digest where the transport can do that.
    :param digest: of the image's own manifest.
    :param architecture: which of several to take; '' where the reference names one image.
    :param size: bytes of its layers as they are stored; 0: not known.
    """

    reference: Reference
    digest: str
    media_type: str
    architecture: str
    size: int = 0


def look(skopeo: Skopeo, reference: Reference, architecture: str | None) -> Found:
    """Find the image; moves a few kilobytes.

    :param architecture: which to take where there are several; None: that of this host.
    :raises OcneError: it is not there.
    """
    raw = manifest_at(skopeo, reference)
    manifest = parse(raw, reference)
    if not is_index(manifest):
        return Found(reference, digest_of(raw), media_type(manifest), "", sum(layer_sizes(manifest).values()))
    chosen = _platform.architecture(architecture)
    descriptor = instance(manifest, reference, chosen)
    digest = str(descriptor.get("digest"))
    pinned = reference.at(digest) if reference.transport == "docker" else reference
    return Found(pinned, digest, str(descriptor.get("mediaType")), chosen)


def digest_at(skopeo: Skopeo, reference: Reference) -> str:
    """Digest of the manifest or index that is there; moves a few kilobytes."""
    return digest_of(manifest_at(skopeo, reference))


def content_at(skopeo: Skopeo, reference: Reference, architecture: str = "") -> str:
    """What identifies the contents of the image that is there, in whatever format."""
    return content_digest(parse(skopeo.config(reference, architecture), reference))


def keeps_manifest(source: Found, destination: Reference) -> bool:
    """Whether a copy has the source's own manifest, and so its digest."""
    takes = _TAKE_ANY if source.media_type != OCI_MANIFEST else _TAKE_ANY + _TAKE_OCI
    return source.reference.transport in _STORED and destination.transport in takes


def compares_by_digest(source: Found, destination: Reference) -> bool:
    """Whether an unchanged destination has the source's digest: containers-storage keeps one image for each configuration,
    under the manifest that came last."""
    return keeps_manifest(source, destination) and destination.transport != "containers-storage"


def manifest_at(skopeo: Skopeo, reference: Reference) -> bytes:
    """The manifest or index that is there, byte for byte."""
    if reference.transport in ("oci", "oci-archive"):
        try:
            return read_manifest(reference)
        except Unreadable:
            pass
    return skopeo.manifest(reference)
