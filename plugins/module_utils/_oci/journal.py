# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run has begun at a destination, by exact ids, so that the next run can go on with it or remove it.

One file of JSON lines per destination (endpoint, namespace, bucket, object), mode 0600: first what is uploaded and how
it is packaged, then a line for each part, written before the part is sent. A line that was cut short counts as not
written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .._files import write_private

JOURNALS_FOLDER = "~/.ocne/uploads"
_VERSION = 1


@dataclass(frozen=True)
class Part:
    """A part of an upload.

    :param number: from 1.
    :param start: offset in the tar where it begins; end: where it ends.
    :param size: bytes sent.
    :param md5: of the bytes sent, base64.
    :param crc: CRC-32 of the tar from its begin to end.
    """

    number: int
    start: int
    end: int
    size: int
    md5: str
    crc: int


@dataclass
class Journal:
    """The journal of one destination.

    :param packaging: all that decides about the bytes; parts are taken up only where it agrees.
    :param upload_id: of the multipart upload; '' where none is under way.
    :param preauthenticated_requests: ids of those made for an import.
    """

    path: Path
    packaging: Mapping[str, Any] = field(default_factory=dict)
    upload_id: str = ""
    parts: list[Part] = field(default_factory=list)
    preauthenticated_requests: list[str] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        """Whether there is something that a run has begun and not ended."""
        return bool(self.upload_id or self.preauthenticated_requests)

    def begin(self, packaging: Mapping[str, Any], upload_id: str) -> None:
        """Note a multipart upload; what was noted of another is forgotten."""
        self.packaging, self.upload_id, self.parts = dict(packaging), upload_id, []
        self._rewrite()

    def resume(self) -> None:
        """Make the file say what was understood of it, so that parts can be added after a line that was cut short."""
        self._rewrite()

    def add_part(self, part: Part) -> None:
        self.parts.append(part)
        self._append({"part": asdict(part)})

    def end_upload(self) -> None:
        """The upload is committed or aborted."""
        self.packaging, self.upload_id, self.parts = {}, "", []
        self._rewrite()

    def add_preauthenticated_request(self, identifier: str) -> None:
        self.preauthenticated_requests.append(identifier)
        self._rewrite()

    def drop_preauthenticated_request(self, identifier: str) -> None:
        self.preauthenticated_requests.remove(identifier)
        self._rewrite()

    def _rewrite(self) -> None:
        """The whole journal, whole or not at all; no file where there is nothing to note."""
        if not self.begun:
            self.path.unlink(missing_ok=True)
            return
        header = {
            "version": _VERSION,
            "packaging": dict(self.packaging),
            "upload_id": self.upload_id,
            "preauthenticated_requests": self.preauthenticated_requests,
        }
        lines = [header, *({"part": asdict(part)} for part in self.parts)]
        write_private(self.path, "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode())

    def _append(self, line: Mapping[str, Any]) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            os.write(handle, (json.dumps(line, sort_keys=True) + "\n").encode())
        finally:
            os.close(handle)


def journal_path(folder: Path, endpoint: str, namespace: str, bucket: str, name: str) -> Path:
    """The journal of a destination: one that cannot be mistaken for another's."""
    destination = json.dumps([endpoint, namespace, bucket, name]).encode()
    return folder / f"{hashlib.sha256(destination).hexdigest()[:32]}.jsonl"


def read_journal(path: Path) -> Journal:
    """The journal as it stands; an empty one where there is none, or where it is not understood."""
    journal = Journal(path)
    try:
        first, *rest = path.read_text("utf-8", "replace").split("\n")
        header = json.loads(first)
        if header["version"] != _VERSION:
            return journal
        journal.packaging = dict(header["packaging"])
        journal.upload_id = str(header["upload_id"])
        journal.preauthenticated_requests = [str(each) for each in header["preauthenticated_requests"]]
    except FileNotFoundError:
        return journal
    except (ValueError, KeyError, TypeError):
        return Journal(path)
    for line in rest:
        try:
            part = Part(**json.loads(line)["part"])
        except (ValueError, KeyError, TypeError):
            break  # cut short by a kill
        if part.number != len(journal.parts) + 1 or part.start != (journal.parts[-1].end if journal.parts else 0):
            break
        journal.parts.append(part)
    return journal
