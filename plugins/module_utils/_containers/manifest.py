# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests, image indexes and configurations: which image a reference means, and what is in it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from .._errors import OcneError
from .._imagebuild.image_metadata import is_digest, load_metadata
from .reference import Reference

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX_TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")

#: What the OCI image specification (config.md) has in a configuration. A conversion between formats drops the rest.
_CONTENT = ("architecture", "config", "created", "os", "rootfs")
_RUN = ("Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "StopSignal", "User", "Volumes", "WorkingDir")


def digest_of(raw: bytes) -> str:
    """'sha256:…' of bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def parse(raw: bytes, reference: Reference) -> dict[str, Any]:
    """A manifest, index or configuration.

    :raises OcneError: it is none, or malformed.
    """
    try:
        return load_metadata(raw)
    except ValueError as error:
        raise OcneError(f"{reference}: what is there is no image's metadata ({error}).", "Check the reference and the proxy.") from error


def is_index(manifest: dict[str, Any]) -> bool:
    """Whether it is an image index or manifest list: one entry for each architecture."""
    return "manifests" in manifest or manifest.get("mediaType") in _INDEX_TYPES


def media_type(manifest: dict[str, Any]) -> str:
    """Of an image's own manifest; the OCI specification lets it be left out."""
    return str(manifest.get("mediaType") or OCI_MANIFEST)


def layer_sizes(manifest: dict[str, Any]) -> dict[str, int]:
    """Sizes in bytes of an image's layers as they are stored, by digest; none where the manifest does not tell."""
    layers = [layer for layer in manifest.get("layers") or [] if isinstance(layer, dict)]
    return {str(layer.get("digest")): layer["size"] for layer in layers if isinstance(layer.get("size"), int)}


def instance(index: dict[str, Any], reference: Reference, architecture: str) -> dict[str, Any]:
    """The descriptor of the architecture's manifest in an image index or manifest list.

    :raises OcneError: it has none, or one that no digest names.
    """
    instances = [entry for entry in index.get("manifests") or [] if isinstance(entry, dict)]
    platforms = [entry.get("platform") or {} for entry in instances]
    for entry, platform in zip(instances, platforms):
        if platform.get("architecture") == architecture and platform.get("os", "linux") == "linux":
            if not is_digest(entry.get("digest")):
                raise OcneError(
                    f"{reference} names its image for {architecture} by {str(entry.get('digest'))[:100]!r}, which is no digest.",
                    "The image is broken: tell its publisher.",
                )
            return entry
    found = ", ".join(sorted({str(p["architecture"]) for p in platforms if p.get("architecture") not in (None, "unknown")})) or "none"
    raise OcneError(f"{reference} has no image for {architecture}; it has: {found}.", "Choose an architecture that the image has.")


def check_architecture(configuration: dict[str, Any], reference: Reference, architecture: str) -> None:
    """:raises OcneError: an image that is one for itself is for another architecture."""
    found = configuration.get("architecture")
    if found != architecture:
        raise OcneError(f"{reference} is an image for {found}, not for {architecture}.", "Choose its architecture, or another image.")


def content_digest(configuration: dict[str, Any]) -> str:
    """What identifies an image's contents, whatever format its manifest and configuration are written in: its layers by
    the digests of their uncompressed tars, and how it is run."""
    content = {key: configuration[key] for key in _CONTENT if configuration.get(key)}
    # To every reader, an empty value is the same as none.
    content["config"] = {key: value for key, value in (content.get("config") or {}).items() if key in _RUN and value}
    if "." in str(content.get("created")):
        # A conversion writes the time anew: without zeros at the end of its fraction.
        content["created"] = re.sub(r"\.?0*Z$", "Z", str(content["created"]))
    return digest_of(json.dumps(content, sort_keys=True).encode())
