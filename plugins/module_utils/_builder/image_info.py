# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_image_info: what is in a boot image or an ostree archive, wherever that is. Nothing is made or changed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import _platform
from .._containers.access import access
from .._containers.description import describe
from .._containers.reference import Reference, is_file_path, parse_reference
from .._containers.skopeo import Skopeo
from .._errors import OcneError
from .._imagebuild.boot_image import NoDisk, extract_disk
from .._imagebuild.disk.qcow2_header import MAGIC
from .._imagebuild.errors import BuildError
from .._imagebuild.inspection import inspect
from .._imagebuild.layout import Image
from .._imagebuild.listing import RESULT_LIMIT, Question
from .._imagebuild.ostree.archive_image import REPOSITORY_LABEL
from .._imagebuild.ostree.encapsulated import FINAL_LAYER_LABEL, describe_encapsulated
from .._imagebuild.ostree.layer_repository import LayerRepository
from .._imagebuild.ostree.repository_facts import describe_repository
from .._imagebuild.ostree.served_repository import ServedRepository
from .._imagebuild.progress import Progress
from .._imagebuild.web import WebAccess
from .._module import Plan
from .source import ImageSource, with_image

#: How compressed files begin: gzip, zstd, bzip2, xz. skopeo reads archives that are compressed as a whole.
_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")
#: What a tar header has at its byte 257, in the format of POSIX as in GNU's.
_TAR = b"ustar"


class ImageInfo:
    """Finds out what the source is, and tells what is in it."""

    def __init__(self, params: dict[str, Any], progress: Progress) -> None:
        self._params = params
        self._progress = progress
        self._access = access(params)
        self._cache = Path(params["cache_dir"]).expanduser()
        self._question = Question(params["partition"] or "", params["path"] or "", params["recursive"])
        if self._question.recursive and not self._question.path:
            raise OcneError("recursive needs path.", "Give the folder to list, for example path: /.")

    def plan(self) -> Plan:
        """Everything that there is to do is to look."""
        version = _platform.kubernetes_version(self._params["kubernetes_version"])
        source = self._params["source"] or f"{_platform.REGISTRY}/ock:{version}"
        try:
            result = {"source": source, **self._look(source)}
        except BuildError as error:
            raise OcneError(error.message, error.hint) from error
        size = len(json.dumps(result))
        if size > RESULT_LIMIT:
            raise OcneError(f"What there is to tell of {source} has {size} bytes, more than the {RESULT_LIMIT} that a result can hold.")
        return Plan((), {}, {}, _printable(result))

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        """Never called: no plan of this step has actions."""
        return plan.result

    def _look(self, source: str) -> dict[str, Any]:
        if source.startswith(("http://", "https://")):
            return {"archive": self._served(source)}
        if not is_file_path(source):
            return self._reference(parse_reference(source))
        path = Path(source).expanduser().absolute()
        if path.is_dir():
            if not (path / "index.json").is_file():
                raise OcneError(f"Source {path} is a folder, and no OCI layout.", "Give a file, or write dir: before what skopeo made.")
            return self._reference(Reference("oci", str(path)))
        if not path.is_file():
            raise OcneError(f"Source {path} is no file.", "Give a file of this host, or a reference such as docker://host/name:tag.")
        with path.open("rb") as file:
            head = file.read(512)
        if head.startswith(MAGIC):
            return {"image": inspect(path, self._params["engine"], self._question)}
        if head.startswith(_COMPRESSED) or head[257:].startswith(_TAR):
            return self._reference(Reference("oci-archive", str(path)))
        raise OcneError(f"Source {path} is neither a qcow2 disk image nor an OCI archive.", "Give a boot image, or an ostree archive.")

    def _served(self, url: str) -> dict[str, Any]:
        self._refuse_question(url)
        reached = WebAccess(
            self._access.username or "",
            self._access.password or "",
            self._access.tls_verify,
            str(self._access.ca_certificates or ""),
            self._access.proxy or {},
            self._params["timeout"],
        )
        with ServedRepository(url, reached, self._progress) as repository:
            return {"format": "repository", "url": repository.where, **describe_repository(repository, self._params["ref"] or "")}

    def _reference(self, reference: Reference) -> dict[str, Any]:
        skopeo = Skopeo(self._access)
        found = describe(skopeo, reference, self._params["architecture"])
        facts: dict[str, Any] = {"digest": found.image.digest, "architecture": found.image.architecture}
        if FINAL_LAYER_LABEL in found.labels:
            self._refuse_question(str(reference))
            return {"archive": {**facts, **describe_encapsulated(found.config, found.image.layers)}}

        def work(image: Image) -> dict[str, Any]:
            if REPOSITORY_LABEL not in image.labels:
                with contextlib.suppress(NoDisk), self._disk(image) as path:
                    try:
                        return {"image": {**inspect(path, self._params["engine"], self._question), **facts}}
                    except BuildError as error:
                        # The temporary name means nothing to the user.
                        raise BuildError(error.message.replace(str(path), f"The disk in {reference}"), error.hint) from error
            self._refuse_question(str(reference))
            repository = LayerRepository(image, self._progress)
            return {"archive": {**facts, "format": "repository", **describe_repository(repository, self._params["ref"] or "")}}

        return with_image(ImageSource(found.image, skopeo), self._cache, work, self._progress)

    @contextlib.contextmanager
    def _disk(self, image: Image) -> Iterator[Path]:
        """The image's disk as a file that has no name, so that whatever ends this process, nothing of it is left."""
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._cache) as file:
            extract_disk(image, lambda: contextlib.nullcontext(file), self._progress)
            file.flush()
            self._progress("reading the disk", 0, None)
            yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")

    def _refuse_question(self, source: str) -> None:
        if self._question != Question():
            raise OcneError(f"{source} is an ostree archive; partition and path are of boot images.", "Leave them out.")


def _printable(value: Any) -> Any:
    """The same without what UTF-8 cannot say: a byte of a file name that is no text becomes \\x and its number."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {_printable(key): _printable(each) for key, each in value.items()}
    return [_printable(each) for each in value] if isinstance(value, list) else value
