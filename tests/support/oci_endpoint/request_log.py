# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked and answered, in memory and, a JSON document a line, in a file."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional


@dataclass
class Entry:
    """One request, filled in while it is answered, each field before the client can see what it tells.

    `received` and `sent` count the bytes of the bodies; `status` 0: no answer, or none yet.
    """

    time: str
    method: str
    target: str
    request_id: str
    user_agent: str
    principal: Optional[str] = None
    status: int = 0
    received: int = 0
    sent: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class RequestLog:
    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def begin(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)

    def end(self, entry: Entry) -> None:
        """Write the entry down; it does not change any more."""
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(asdict(entry)) + "\n")

    def entries(self, method: str = ".*", path: str = "") -> list[Entry]:
        """In the order they came. Both arguments are regular expressions: the method as a whole, anywhere in path and query."""
        with self._lock:
            return [entry for entry in self._entries if re.fullmatch(method, entry.method) and re.search(path, entry.target)]

    def received_bytes(self) -> int:
        """Bytes of all request bodies: what clients uploaded."""
        with self._lock:
            return sum(entry.received for entry in self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()

    def close(self) -> None:
        with self._lock:
            self._file.close()
