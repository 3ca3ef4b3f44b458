# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_ostree_archive: an archive container on this host, made from an ostree container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional

from .. import _platform, _record
from .._containers.access import access
from .._containers.reference import is_file_path, parse_reference
from .._errors import OcneError
from .._imagebuild import ostree_archive as program
from .._imagebuild.errors import BuildError
from .._imagebuild.layout import Image
from .._imagebuild.ostree.archive_image import IMAGE_NAME
from .._imagebuild.ostree.repository import check_ref
from .._imagebuild.progress import Progress
from .._module import Plan
from . import artefact
from .cluster import build_on_cluster
from .source import ImageSource, find_image, with_images

#: A public image for all architectures. nginx.org's own, which keeps to a stable release.
DEFAULT_BASE_IMAGE = "docker.io/library/nginx:stable-alpine"


@dataclass(frozen=True)
class _Observed:
    source: ImageSource
    base: ImageSource
    dest: Path
    options: Mapping[str, Any]


class OstreeArchive:
    """Compares source, base image, options and artefact with the record; fetches, converts and publishes where they differ."""

    def __init__(self, params: dict[str, Any], progress: Progress) -> None:
        self._params = params
        self._progress = progress
        self._version = _platform.kubernetes_version(params["kubernetes_version"])
        self._architecture = _platform.architecture(params["architecture"])
        self._options = program.Options(params["ref"], params["compression_level"], params["document_root"] or "")
        try:
            check_ref(self._options.ref)
        except BuildError as error:
            raise OcneError(error.message, error.hint) from error
        self._cache = Path(params["cache_dir"]).expanduser()

    def plan(self) -> Plan:
        params = self._params
        name = _platform.ostree_archive_name(self._version, self._architecture)
        dest = artefact.destination(params["dest"] or str(Path(_platform.IMAGES_FOLDER, name).expanduser()), name)
        source, base = self._find_images()
        options = {**asdict(self._options), "base_digest": base.digest, "conversion": program.CONVERSION_VERSION}
        observed = _Observed(source, base, dest, options)
        known = _record.read(dest, self._progress)
        before = {"path": str(dest), **_state(known)} if dest.exists() else {}
        if known and self._is_current(known, observed):
            return Plan((), before, before, self._result(observed, known), artefact=dest)
        after = {"path": str(dest), "source_digest": source.digest, "options": options}
        actions = (
            f"fetch {source.image.reference}",
            f"fetch {base.image.reference}",
            f"convert to an archive of ref {self._options.ref}",
            f"{'replace' if before else 'create'} {dest}",
        )
        result = {"path": str(dest), "source_digest": source.digest, "base_digest": base.digest, "architecture": self._architecture}
        return Plan(actions, before, after, result, observed)

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        observed: _Observed = plan.context
        with artefact.making(observed.dest, self._params["lock_timeout"], self._progress) as partial:
            made = _record.read(observed.dest)
            if made and self._is_current(made, observed):
                return {"changed": False, **self._result(observed, made)}  # another run made it while this one waited
            built = self._build((observed.source, observed.base), partial)
            facts = {key: value for key, value in asdict(built).items() if key not in ("sha256", "size")}
            facts["architecture"] = self._architecture
            record = _record.Record(observed.source.digest, observed.options, _record.describe(partial, built.sha256), facts)
            self._progress(f"writing {observed.dest.name} to disk", 0, None)
            artefact.publish(partial, observed.dest, record)
        return self._result(observed, record)

    def _build(self, sources: Sequence[ImageSource], output: Path) -> program.Built:
        if self._params["builder"] == "cluster":
            arguments = {"options": asdict(self._options)}
            return program.Built(**build_on_cluster(self._params, "ostree_archive", sources, arguments, output, self._progress))

        def work(images: Sequence[Image]) -> program.Built:
            return program.build(images[0], images[1], self._options, output, self._progress)

        return with_images(sources, self._cache, work, self._progress)

    def _find_images(self) -> tuple[ImageSource, ImageSource]:
        source = self._params["source"] or f"{_platform.REGISTRY}/ock-ostree:{self._version}"
        base = self._params["base_image"]
        for option, text in (("source", source), ("base_image", base)):
            if is_file_path(text):
                raise OcneError(f"{option} is the path {text}, not an image.", f"Write oci-archive:{text}, or what else it is.")
        reached = access(self._params)
        # An account is one of a registry, and no other registry may see it.
        elsewhere = parse_reference(base).registry != parse_reference(source).registry
        reached_base = replace(reached, username=None, password=None) if elsewhere else reached
        return find_image(source, self._architecture, reached), find_image(base, self._architecture, reached_base)

    def _is_current(self, record: _record.Record, observed: _Observed) -> bool:
        return not self._params["force"] and record.made_from(observed.source.digest, observed.options)

    def _result(self, observed: _Observed, record: _record.Record) -> dict[str, Any]:
        return {
            **record.facts,
            "path": str(observed.dest),
            "sha256": record.artefact.sha256,
            "size": record.artefact.size,
            "source_digest": observed.source.digest,
            "base_digest": observed.base.digest,
            "architecture": self._architecture,
            "kubernetes_version": self._version,
            "image": IMAGE_NAME,
            "ref": self._options.ref,
        }


def _state(record: Optional[_record.Record]) -> dict[str, Any]:
    """What the record says of an artefact that is there, for the diff."""
    if record is None:
        return {"source_digest": "unknown"}
    return {"source_digest": record.source_digest, "options": dict(record.options)}
