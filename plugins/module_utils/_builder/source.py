# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an artefact is made from: an image of any transport, or a file of this host; found, then brought here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, TypeVar, Union

from .._containers.access import CONNECTION_OPTIONS, Access
from .._containers.fetch import Resolved, fetch, resolve
from .._containers.reference import is_file_path, parse_reference
from .._containers.skopeo import Skopeo
from .._errors import OcneError
from .._imagebuild.disk.device import HostFile
from .._imagebuild.disk.qcow2_header import read_header
from .._imagebuild.errors import BuildError
from .._imagebuild.layout import DamagedBlob, Image, read_image
from .._imagebuild.progress import Progress, silent
from .._record import known_sha256

T = TypeVar("T")

#: Options by which a module reaches registries and keeps what it fetched; the documentation fragment 'registry' describes them.
REGISTRY_OPTIONS: dict[str, dict[str, Any]] = {**CONNECTION_OPTIONS, "cache_dir": {"type": "path", "default": "~/.ocne/cache"}}


@dataclass(frozen=True)
class FileSource:
    """A file of this host. digest: 'sha256:…' of its bytes."""

    path: Path
    digest: str


@dataclass(frozen=True)
class ImageSource:
    """An image that is there. digest: of its manifest."""

    image: Resolved
    skopeo: Skopeo

    @property
    def digest(self) -> str:
        return self.image.digest


Source = Union[FileSource, ImageSource]


def find(text: str, architecture: str, access: Access, progress: Progress = silent) -> Source:
    """Look where the source is; moves a few kilobytes.

    :param text: a reference, or a path beginning with '/', './', '../' or '~', of a qcow2 file.
    :raises OcneError: it is not there, or by its header no qcow2 file that could be taken, however long reading it would take.
    """
    if not is_file_path(text):
        return find_image(text, architecture, access)
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise OcneError(f"Source {path} is no file.", "Give a file of this host, or a reference such as docker://host/name:tag.")
    try:
        with closing(HostFile(path, writable=False)) as file:
            read_header(file)
    except BuildError as error:
        raise OcneError(error.message, error.hint) from error
    return FileSource(path, f"sha256:{known_sha256(path, progress)}")


def find_image(text: str, architecture: str, access: Access) -> ImageSource:
    """find() of a reference."""
    skopeo = Skopeo(access)
    return ImageSource(resolve(skopeo, parse_reference(text), architecture), skopeo)


def with_image(source: ImageSource, cache: Path, work: Callable[[Image], T], progress: Progress = silent) -> T:
    """with_images() of one."""
    return with_images((source,), cache, lambda images: work(images[0]), progress)


def with_images(sources: Sequence[ImageSource], cache: Path, work: Callable[[Sequence[Image]], T], progress: Progress = silent) -> T:
    """Do work on the fetched images. A blob of the cache that turns out damaged is fetched once more, and the work begins anew."""
    blobs = cache / "blobs"
    seen: set[Path] = set()
    while True:
        try:
            layouts = [fetch(source.skopeo, source.image, blobs, progress, again=bool(seen)) for source in sources]
            return work([read_image(layout, blobs) for layout in layouts])
        except DamagedBlob as damaged:
            damaged.path.unlink(missing_ok=True)
            if damaged.path in seen:
                names = " or ".join(str(source.image.reference) for source in sources)
                raise BuildError(f"{names}: {damaged.message}", "Fetched twice, damaged twice: the registry's copy is broken.") from damaged
            seen.add(damaged.path)
