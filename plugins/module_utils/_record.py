# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An artefact and the record beside it: from what it was made, how, and what its bytes are.

The record of <name> is <name>.build.json in the same folder. An artefact is as recorded when its file has the recorded
size, modification time and inode; where these differ, its bytes are read and compared by digest, as make and git do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ._digests import known_sha256 as _digest
from ._files import write_private
from ._imagebuild.progress import Progress, silent

RECORD_VERSION = 1
_SUFFIX = ".build.json"


@dataclass(frozen=True)
class Artefact:
    """The identity of a file's bytes. size in bytes, mtime_ns in nanoseconds since the epoch."""

    sha256: str
    size: int
    mtime_ns: int
    inode: int

    def describes(self, stat: os.stat_result) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True)
class Record:
    """How an artefact was made.

    :param source_digest: of what it was made from.
    :param options: everything asked for that has an influence on the bytes or contents.
    :param facts: what else the module returns of it (JSON-able).
    """

    source_digest: str
    options: Mapping[str, Any]
    artefact: Artefact
    facts: Mapping[str, Any]

    def made_from(self, source_digest: str, options: Mapping[str, Any]) -> bool:
        return self.source_digest == source_digest and dict(self.options) == dict(options)


def record_path(artefact: Path) -> Path:
    return artefact.with_name(f"{artefact.name}{_SUFFIX}")


def recorded(folder: Path) -> list[Path]:
    """Files of the folder that have a record beside them, by name."""
    names = (path.name[: -len(_SUFFIX)] for path in folder.glob(f"*{_SUFFIX}"))
    return sorted(folder / name for name in names if name and (folder / name).is_file())


def read(artefact: Path, progress: Progress = silent) -> Record | None:
    """The artefact's record, when there is one and the artefact's bytes are those recorded; else None."""
    try:
        value = json.loads(record_path(artefact).read_text("utf-8"))
        if value["version"] != RECORD_VERSION:
            return None
        record = Record(str(value["source_digest"]), dict(value["options"]), Artefact(**value["artefact"]), dict(value["facts"]))
        stat = artefact.stat()
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return None  # not ours, or cut short: the artefact counts as unknown and is made anew
    if record.artefact.describes(stat):
        return record
    if stat.st_size != record.artefact.size or _digest(artefact, progress) != record.artefact.sha256:
        return None
    return replace(record, artefact=replace(record.artefact, mtime_ns=stat.st_mtime_ns, inode=stat.st_ino))


def write(artefact: Path, record: Record) -> None:
    """Put the record beside the artefact, whole or not at all."""
    text = json.dumps({"version": RECORD_VERSION, **asdict(record)}, indent=1, sort_keys=True)
    write_private(record_path(artefact), text.encode())


def known_sha256(path: Path, progress: Progress = silent) -> str:
    """The file's digest in hex: from its record, or as remembered, where that describes the file as it is, else by reading it."""
    known = read(path, progress)
    return known.artefact.sha256 if known else _digest(path, progress)


def describe(path: Path, sha256: str) -> Artefact:
    """The identity of a file whose digest is known."""
    stat = path.stat()
    return Artefact(sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino)
