# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an image says of itself, in its manifest and configuration. No layer is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .. import _platform
from .fetch import Resolved
from .inspection import manifest_at
from .manifest import check_architecture, digest_of, instance, is_index, layer_sizes, parse
from .oci_layout import Unreadable, read_blob
from .reference import Reference
from .skopeo import Skopeo

_IN_PLACE = ("oci", "oci-archive")


@dataclass(frozen=True)
class Described:
    """An image that is there, and its configuration as JSON gives it."""

    image: Resolved
    config: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the configuration."""
        run = self.config.get("config")
        labels = run.get("Labels") if isinstance(run, dict) else None
        return {str(key): str(value) for key, value in labels.items()} if isinstance(labels, dict) else {}


def describe(skopeo: Skopeo, reference: Reference, architecture: str | None) -> Described:
    """Find the image; moves a few kilobytes.

    :param architecture: which to take; None: that of this host where there are several, the only one where there is one.
    :raises OcneError: it is not there, or there only for other architectures.
    """
    raw = manifest_at(skopeo, reference)
    manifest = parse(raw, reference)
    pinned, digest, several = reference, digest_of(raw), is_index(manifest)
    chosen = _platform.architecture(architecture) if architecture or several else ""
    if several:
        digest = str(instance(manifest, reference, chosen).get("digest"))
        pinned = reference.at(digest) if reference.transport == "docker" else reference
        manifest = _instance(skopeo, pinned, digest)
    config = parse(_config(skopeo, pinned, manifest, chosen), reference)
    if chosen and not several:
        check_architecture(config, reference, chosen)
    return Described(Resolved(pinned, digest, chosen or str(config.get("architecture", "")), layer_sizes(manifest)), config)


def _instance(skopeo: Skopeo, pinned: Reference, digest: str) -> dict[str, Any]:
    """The manifest of one of several; empty where the transport does not give it."""
    if pinned.transport in _IN_PLACE:
        try:
            return parse(read_blob(pinned, digest), pinned)
        except Unreadable:
            return {}
    return parse(skopeo.manifest(pinned), pinned) if pinned.transport == "docker" else {}


def _config(skopeo: Skopeo, pinned: Reference, manifest: dict[str, Any], architecture: str) -> bytes:
    descriptor = manifest.get("config")
    if pinned.transport in _IN_PLACE and isinstance(descriptor, dict):
        try:
            return read_blob(pinned, str(descriptor.get("digest")))
        except Unreadable:
            pass
    return skopeo.config(pinned, architecture)
