# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image around the repository: the base image's layers and configuration, and one layer more."""

from __future__ import annotations

import copy
from typing import Any

from ..layout import Image, blob_path
from ..progress import Progress
from ..streams import read_chunks
from .layer_writer import LayerWriter
from .objects import Commit, iso_time
from .oci_archive import CONFIG_TYPE, MANIFEST_TYPE, OciArchive
from .web_server import SERVED_AS, WebServer

#: What the image is called once it is loaded.
IMAGE_NAME = "localhost/ock-ostree:latest"
#: Labels that say what the image serves.
COMMIT_LABEL, REF_LABEL, PATH_LABEL = "ocne.images.ostree.commit", "ocne.images.ostree.ref", "ocne.images.ostree.path"
#: Where in the image the repository lies, for those who take it out.
REPOSITORY_LABEL = "ocne.images.ostree.repository"
_VERSION, _BASE_DIGEST = "org.opencontainers.image.version", "org.opencontainers.image.base.digest"

#: Docker's media types of layers, and the OCI's of the same (image-spec, media-types.md, compatibility matrix).
_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}


def add_base_layers(archive: OciArchive, base: Image, progress: Progress) -> None:
    """Copy the base image's layers as they are. They have been verified when they were read for their files."""
    for layer in {layer.digest: layer for layer in base.layers}.values():
        progress("copying the base image", 0, layer.size)
        archive.add_blob(layer.digest, layer.size, read_chunks(blob_path(base.blobs, layer.digest)))


def add_image(archive: OciArchive, base: Image, layer: LayerWriter, server: WebServer, ref: str, commit: Commit) -> str:
    """End the archive with what describes the image. Returns the digest of its manifest."""
    labels = {COMMIT_LABEL: commit.checksum, REF_LABEL: ref, PATH_LABEL: f"/{SERVED_AS}"}
    labels[REPOSITORY_LABEL] = f"{server.document_root}/{SERVED_AS}"
    annotations = {_BASE_DIGEST: base.digest}
    if commit.version:
        labels[_VERSION] = annotations[_VERSION] = commit.version
    config = archive.add_json(_config(base, layer, server, labels, commit), CONFIG_TYPE)
    layers = [
        {"mediaType": _LAYER_TYPES.get(each.media_type, each.media_type), "digest": each.digest, "size": each.size} for each in base.layers
    ]
    layers.append({"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size})
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": layers, "annotations": annotations}
    descriptor = archive.add_json(manifest, MANIFEST_TYPE)
    archive.close(descriptor, IMAGE_NAME)
    return str(descriptor["digest"])


def _config(base: Image, layer: LayerWriter, server: WebServer, labels: dict[str, str], commit: Commit) -> dict[str, Any]:
    config = copy.deepcopy(base.config)
    created = iso_time(commit.timestamp)
    config["created"] = created
    config["rootfs"]["diff_ids"].append(layer.diff_id)
    run = config["config"] = config.get("config") or {}
    run["Labels"] = {**(run.get("Labels") or {}), **labels}
    run["ExposedPorts"] = {**(run.get("ExposedPorts") or {}), f"{server.port}/tcp": {}}
    if config.get("history"):
        # Engines want one entry for each layer, or none at all.
        config["history"].append({"created": created, "created_by": "ocne.images.ocne_ostree_archive", "comment": commit.subject[:200]})
    return config
