# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_boot_image: a boot image on this host, made for a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from .. import _platform, _record
from .._containers.access import access
from .._errors import OcneError
from .._imagebuild import boot_image as program
from .._imagebuild.conversion import CONVERSION_VERSION, Options, check_options
from .._imagebuild.errors import BuildError, Unsupported
from .._imagebuild.layout import Image
from .._imagebuild.progress import Progress
from .._module import Plan
from . import artefact
from .cluster import build_on_cluster
from .source import FileSource, Source, find, with_image


@dataclass(frozen=True)
class _Observed:
    source: Source
    dest: Path
    options: Mapping[str, Any]


class BootImage:
    """Compares source, options and artefact with the record; fetches, converts and publishes where they differ."""

    def __init__(self, params: dict[str, Any], progress: Progress) -> None:
        self._params = params
        self._progress = progress
        self._version = _platform.kubernetes_version(params["kubernetes_version"])
        self._architecture = _platform.architecture(params["architecture"])
        self._options = Options(params["provider"], params["ignition_provider"] or "", tuple(params["kernel_arguments"]))
        self._access = access(params)
        try:
            check_options(self._options)
        except BuildError as error:
            raise OcneError(error.message, error.hint) from error
        self._cache = Path(params["cache_dir"]).expanduser()

    def plan(self) -> Plan:
        params = self._params
        name = _platform.boot_image_name(self._version, self._architecture, self._options.provider)
        dest = artefact.destination(params["dest"] or str(Path(_platform.IMAGES_FOLDER, name).expanduser()), name)
        source = find(params["source"] or f"{_platform.REGISTRY}/ock:{self._version}", self._architecture, self._access, self._progress)
        if isinstance(source, FileSource) and dest.exists() and source.path.samefile(dest):
            raise OcneError(f"{dest} is the source itself.", "Give the image that is made another dest.")
        options = {**asdict(self._options), "kernel_arguments": list(self._options.kernel_arguments), "conversion": CONVERSION_VERSION}
        observed = _Observed(source, dest, options)
        known = _record.read(dest, self._progress)
        before = {"path": str(dest), **_state(known)} if dest.exists() else {}
        if known and self._is_current(known, observed):
            return Plan((), before, before, self._result(observed, known), artefact=dest)
        after = {"path": str(dest), "source_digest": source.digest, "options": options, **self._preview(source)}
        actions = [f"convert for {self._options.provider}", f"{'replace' if before else 'create'} {dest}"]
        if not isinstance(source, FileSource):
            actions.insert(0, f"fetch {source.image.reference}")
        result = {"path": str(dest), "source_digest": source.digest, "architecture": self._architecture}
        return Plan(tuple(actions), before, after, result, observed)

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        observed: _Observed = plan.context
        with artefact.making(observed.dest, self._params["lock_timeout"], self._progress) as partial:
            made = _record.read(observed.dest)
            if made and self._is_current(made, observed):
                return {"changed": False, **self._result(observed, made)}  # another run made it while this one waited
            built = self._build(observed.source, partial)
            facts = {"engine": built.engine, "engine_reason": built.engine_reason, "changes": built.changes}
            facts["architecture"] = self._architecture
            record = _record.Record(observed.source.digest, observed.options, _record.describe(partial, built.sha256), facts)
            self._progress(f"writing {observed.dest.name} to disk", 0, None)
            artefact.publish(partial, observed.dest, record)
        return self._result(observed, record)

    def _build(self, source: Source, output: Path) -> program.Built:
        if self._params["builder"] == "cluster":
            arguments = {"source_digest": source.digest, "options": asdict(self._options), "engine": self._params["engine"]}
            return program.Built(**build_on_cluster(self._params, "boot_image", [source], arguments, output, self._progress))

        def work(image: Image | Path) -> program.Built:
            return program.build(image, source.digest, self._options, self._params["engine"], output, self._progress)

        if isinstance(source, FileSource):
            return work(source.path)
        return with_image(source, self._cache, work, self._progress)

    def _is_current(self, record: _record.Record, observed: _Observed) -> bool:
        engine = self._params["engine"]
        same_engine = engine in ("auto", record.facts.get("engine"))
        return not self._params["force"] and same_engine and record.made_from(observed.source.digest, observed.options)

    def _preview(self, source: Source) -> Mapping[str, Any]:
        """The exact changes, where they can be known now: the disk image is here, and can be read without an appliance."""
        if not isinstance(source, FileSource) or self._params["engine"] == "guestfs":
            return {}
        try:
            return {"changes": program.preview(source.path, self._options, source.digest)}
        except Unsupported:
            return {}
        except BuildError as error:
            raise OcneError(error.message, error.hint) from error

    def _result(self, observed: _Observed, record: _record.Record) -> dict[str, Any]:
        return {
            **record.facts,
            "path": str(observed.dest),
            "sha256": record.artefact.sha256,
            "size": record.artefact.size,
            "source_digest": observed.source.digest,
            "architecture": self._architecture,
            "kubernetes_version": self._version,
            "provider": self._options.provider,
        }


def _state(record: Optional[_record.Record]) -> dict[str, Any]:
    """What the record says of an artefact that is there, for the diff."""
    if record is None:
        return {"source_digest": "unknown"}
    return {"source_digest": record.source_digest, "options": dict(record.options), "changes": record.facts.get("changes", {})}
