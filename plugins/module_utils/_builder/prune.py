# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step behind ocne_image_prune: artefacts that newer ones of their kind supersede are removed, with their records."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _record, _retention
from .._errors import OcneError
from .._files import Busy, is_in_use, locked
from .._imagebuild.progress import Progress, silent
from .._module import Plan

#: Options of a record that tell from what an artefact was made, and not what for.
_ORIGIN = ("conversion", "base_digest")


@dataclass(frozen=True)
class Made:
    """An artefact with its record."""

    path: Path
    record: _record.Record

    @property
    def kind(self) -> str:
        """What it was made for: architecture and options. Versions and sources come and go."""
        options = {key: value for key, value in self.record.options.items() if key not in _ORIGIN}
        return json.dumps([self.record.facts.get("architecture"), options], sort_keys=True)


def superseded(artefacts: Iterable[Made], keep: int, exclude: Collection[Path]) -> list[Made]:
    """All but the newest of each kind, the oldest last, without those that are excluded, which are counted.

    :param exclude: resolved paths: the same file may be named in several ways.
    """
    newest_first = sorted(artefacts, key=lambda made: (made.record.artefact.mtime_ns, made.path), reverse=True)
    return [made for made in _retention.superseded(newest_first, keep, lambda made: made.kind) if made.path.resolve() not in exclude]


class Prune:
    """Compares what is in a folder with how much of it is to stay."""

    def __init__(self, params: Mapping[str, Any], progress: Progress = silent) -> None:
        self._folder = Path(params["path"]).expanduser().absolute()
        self._keep = params["keep"]
        self._exclude = {Path(path).expanduser().resolve() for path in params["exclude"]}
        self._progress = progress
        if self._keep < 1:
            raise OcneError(f"keep is {self._keep}.", "Give how many artefacts of each kind are to stay, at least 1.")

    def plan(self) -> Plan:
        if self._folder.exists() and not self._folder.is_dir():
            raise OcneError(f"path {self._folder} is no folder.", "Name the folder where the artefacts are.")
        artefacts = [Made(path, record) for path in _record.recorded(self._folder) if (record := _record.read(path, self._progress))]
        found = superseded(artefacts, self._keep, self._exclude)
        busy = [made for made in found if is_in_use(made.path)]
        removable = [made for made in found if made not in busy]
        before = [str(made.path) for made in artefacts]
        after = [str(made.path) for made in artefacts if made not in removable]
        actions = tuple(f"remove {made.path}" for made in removable)
        return Plan(actions, {"artefacts": before}, {"artefacts": after}, _result(removable, busy), (removable, busy))

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        removable, busy = plan.context
        removed = []
        for made in removable:
            if self._remove(made):
                removed.append(made)
            else:
                busy.append(made)
        return {"changed": bool(removed), **_result(removed, busy)}

    @staticmethod
    def _remove(made: Made) -> bool:
        """Whether it has been removed: not when another run was faster, reads it, or makes it anew."""
        try:
            with locked(made.path, 0):
                if is_in_use(made.path) or not made.record.artefact.describes(made.path.stat()):
                    return False
                # An artefact without its record counts as unknown: what a kill leaves between the two is made anew.
                _record.record_path(made.path).unlink(missing_ok=True)
                made.path.unlink()
        except (Busy, FileNotFoundError):
            return False
        return True


def _result(removed: Iterable[Made], busy: Iterable[Made]) -> dict[str, Any]:
    gone = list(removed)
    return {
        "removed": [str(made.path) for made in gone],
        "freed_bytes": sum(made.record.artefact.size for made in gone),
        "in_use": [str(made.path) for made in busy],
    }
