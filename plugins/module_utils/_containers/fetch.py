# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find an image of one architecture, and fetch it into a cache of blobs that all images share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from .._files import locked, sync_all
from .._imagebuild.progress import Progress, silent
from .manifest import check_architecture, digest_of, instance, is_index, layer_sizes, parse
from .reference import Reference
from .skopeo import Skopeo, platform_options

#: Seconds to wait while another run fetches the same image.
FETCH_TIMEOUT = 3600


@dataclass(frozen=True)
class Resolved:
    """An image that is there.

    :param reference: pinned to the digest where the transport can do that.
    :param digest: of the image's own manifest, as its publisher made it.
    :param layers: sizes by digest; empty where they are not known.
    """

    reference: Reference
    digest: str
    architecture: str
    layers: Mapping[str, int] = field(default_factory=dict)


def resolve(skopeo: Skopeo, reference: Reference, architecture: str) -> Resolved:
    """Find the image of the architecture; moves a few kilobytes.

    :raises OcneError: it is not there, or there only for other architectures.
    """
    raw = skopeo.manifest(reference)
    manifest = parse(raw, reference)
    layers: Mapping[str, int] = {}
    if is_index(manifest):
        digest = str(instance(manifest, reference, architecture).get("digest"))
    else:
        digest, layers = digest_of(raw), layer_sizes(manifest)
        check_architecture(parse(skopeo.config(reference, architecture), reference), reference, architecture)
    pinned = reference.at(digest) if reference.transport == "docker" else reference
    return Resolved(pinned, digest, architecture, layers)


def fetch(skopeo: Skopeo, image: Resolved, cache: Path, progress: Progress = silent, again: bool = False) -> Path:
    """An OCI layout with the image: the folder of its index.json. Its blobs are <cache>/sha256/<hex>, as all images'.

    A blob that the cache has is not fetched a second time. Nothing is read here: whoever reads a blob verifies it,
    removes it when it is damaged, and asks again.
    """
    layout = cache / "layouts" / image.digest.partition(":")[2]
    complete = layout / "complete"
    layout.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(layout, FETCH_TIMEOUT, progress):
        if complete.exists() and not again:
            return layout

        def clear() -> None:
            """What a skopeo that was ended has left."""
            shutil.rmtree(layout, ignore_errors=True)

        activity, total = f"fetching {image.reference.short}", _missing(skopeo, image, cache)
        progress(activity, 0, total)
        try:
            skopeo.copy(
                image.reference,
                _in_layout(layout),
                _copy_options(cache),
                image.architecture,
                before_try=clear,
                watch=lambda count: progress(activity, min(count, total or count), total),
            )
            sync_all(layout)
            complete.touch()
        except BaseException:
            clear()
            raise
    return layout


def _missing(skopeo: Skopeo, image: Resolved, cache: Path) -> Optional[int]:
    """How many bytes of layers the cache has not; None where that is not known."""
    layers = image.layers or layer_sizes(parse(skopeo.manifest(image.reference), image.reference))
    return sum(size for digest, size in layers.items() if not (cache / digest.replace(":", "/")).exists()) or None


def fetch_command(image: Resolved, layout: str, blobs: str, options: Sequence[str]) -> list[str]:
    """What fetch() does, as a command for a container that has skopeo.

    :param layout: folder to make, with index.json; blobs: that of the blobs.
    :param options: of `skopeo copy`, by which the registry is reached.
    """
    command = ["skopeo", *platform_options(image.architecture), "copy", "--quiet", "--retry-times=3"]
    return [*command, *_copy_options(blobs), *options, str(image.reference), str(_in_layout(layout))]


def _in_layout(layout: Union[Path, str]) -> Reference:
    return Reference("oci", f"{layout}:image")


def _copy_options(blobs: Union[Path, str]) -> list[str]:
    """Layers are not compressed on the way: that costs time, and changes digests."""
    return [f"--dest-shared-blob-dir={blobs}", "--dest-oci-accept-uncompressed-layers"]
