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


@dataclass(frozen=True)
class Entry:
    """One request. `received` and `sent` count the bytes of the bodies; `status` 0: the connection broke before an answer."""

    time: str
    method: str
    target: str
    status: int
    received: int
    sent: int
    seconds: float
    request_id: str
    principal: Optional[str]
    user_agent: str
    note: str

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class RequestLog:
    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        with self._lock:
            self._entries.append(entry)
            if not self._file.closed:
                self._file.write(json.dumps(asdict(entry)) + "\n")

    def entries(self, method: str = ".*", path: str = "") -> list[Entry]:
        """In the order they ended. Both arguments are regular expressions: the method as a whole, anywhere in path and query."""
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
