# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository in the layers of a container image, read in one pass: sizes of all objects, bytes of those that describe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Optional

from ..errors import BuildError
from ..layout import Image
from ..progress import Progress, silent
from ..tarstream import HARDLINK, REGULAR, Member, TarStream
from .archive_image import REPOSITORY_LABEL
from .closure import OBJECT_LIMIT
from .objects import COMMIT, COMMITMETA, DIRTREE, METADATA_LIMIT
from .repository import object_path
from .repository_facts import CONFIG_LIMIT, REF_LIMIT, SUMMARY_LIMIT, ref_checksum

_OBJECT = re.compile(rb"(?:\./)?(.*?/|)objects/([0-9a-f]{2})/([0-9a-f]{62}\.(?:commit|commitmeta|dirtree|dirmeta|filez|file))")
_REF = re.compile(rb"(?:\./)?(.*?/|)(refs/heads/.+)")
_FILE = re.compile(rb"(?:\./)?(.*/|)(config|summary|summary\.sig)")
_KEPT_OBJECTS = (f".{COMMIT}", f".{COMMITMETA}", f".{DIRTREE}")
_LIMITS = {"config": CONFIG_LIMIT, "summary": SUMMARY_LIMIT, "summary.sig": SUMMARY_LIMIT}
#: Bytes of directories and the like that are kept; an operating system's are some five millions.
_KEPT_LIMIT = 96 << 20
#: What keeping a file takes beside its content and path.
_KEPT_OVERHEAD = 256
_MOST_PLACES = 100


class LayerRepository:
    """See repository_facts.Repository. The layers are read, and verified, when this is made.

    :raises BuildError: the image holds no repository, or several; or a layer is damaged.
    """

    def __init__(self, image: Image, progress: Progress = silent) -> None:
        #: By the folder that a repository would be in, sizes of objects.
        self._sizes: dict[bytes, dict[str, int]] = {}
        #: By folder and path in it, what is kept.
        self._files: dict[tuple[bytes, str], bytes] = {}
        self._kept = self._count = 0
        for index in range(len(image.layers)):
            with image.open_layer(index, progress) as stream:
                self._read(stream)
        self._place = self._find(image)
        self.where = f"The repository /{self._place.decode('utf-8', 'replace').rstrip('/')} in image {image.digest}"

    def read(self, path: str, limit: int) -> Optional[bytes]:
        return self._files.get((self._place, path))

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, Optional[bytes]]]:
        return ((name, self._files.get((self._place, object_path(name)))) for name in names)

    def sizes(self, names: Iterable[str]) -> Iterator[Optional[int]]:
        return (self._sizes[self._place].get(object_path(name)) for name in names)

    def refs(self) -> dict[str, str]:
        heads = "refs/heads/"
        named = {
            path[len(heads) :]: ref_checksum(data)
            for (place, path), data in self._files.items()
            if place == self._place and path.startswith(heads)
        }
        return {name: checksum for name, checksum in sorted(named.items()) if checksum}

    def _read(self, stream: TarStream) -> None:
        for member in stream:
            match = _OBJECT.fullmatch(member.name)
            if match:
                self._add_object(match[1], f"objects/{match[2].decode()}/{match[3].decode()}", member, stream)
                continue
            match = _REF.fullmatch(member.name) or _FILE.fullmatch(member.name)
            if match and member.type == REGULAR:
                path = match[2].decode("utf-8", "replace")
                limit = _LIMITS.get(path, REF_LIMIT)
                if member.size <= limit:  # many files have such names
                    self._keep(match[1], path, stream.content(limit))

    def _add_object(self, place: bytes, path: str, member: Member, stream: TarStream) -> None:
        sizes = self._sizes.setdefault(place, {})
        self._count += 1
        if self._count > OBJECT_LIMIT or len(self._sizes) > _MOST_PLACES:
            raise BuildError(f"The image has {self._count} ostree objects in {len(self._sizes)} places: no archive has as many.")
        if member.type == REGULAR:
            sizes[path] = member.size
            if path.endswith(_KEPT_OBJECTS):
                self._keep(place, path, stream.content(METADATA_LIMIT))
        elif member.type == HARDLINK:
            match = _OBJECT.fullmatch(member.target)
            target = f"objects/{match[2].decode()}/{match[3].decode()}" if match else ""
            if match and target in self._sizes.get(match[1], {}):
                sizes[path] = self._sizes[match[1]][target]

    def _keep(self, place: bytes, path: str, content: bytes) -> None:
        self._kept += len(content) + len(place) + len(path) + _KEPT_OVERHEAD
        if self._kept > _KEPT_LIMIT:
            raise BuildError(f"The image has more than {_KEPT_LIMIT} bytes of ostree metadata: no archive has.")
        self._files[place, path] = content

    def _find(self, image: Image) -> bytes:
        """The folder of the repository."""
        labelled = image.labels.get(REPOSITORY_LABEL, "").strip("/").encode() + b"/"
        places = [place for place in self._sizes if (place, "config") in self._files]
        if labelled in places:
            return labelled
        if len(places) != 1:
            names = ", ".join("/" + place.decode("utf-8", "replace") for place in sorted(places)[:10])
            what = f"several ostree repositories: {names}" if places else "neither a disk (disk/*.qcow2) nor an ostree repository"
            raise BuildError(f"Image {image.digest} holds {what}.", "Choose an OCK boot image, or an ostree archive.")
        return places[0]
