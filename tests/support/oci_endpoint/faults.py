# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Misbehaviour on demand: rules that match requests and say what goes wrong, and how imports end."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, fields
from typing import Any, Optional

ACTIONS = ("status", "delay", "reset", "lost-answer", "truncate", "slow")


@dataclass
class Fault:
    """What happens to requests whose method and target (path and query) match.

    action:
      status       answer `status`, `code`, `message`, `headers`; the operation is not carried out
      delay        wait `seconds`, then go on
      reset        break the connection after `bytes` of the request's body; the operation is not carried out
      lost-answer  carry the operation out, then break the connection without an answer
      truncate     announce the whole answer, send `bytes` of its body, break the connection
      slow         send the answer's body with `rate` bytes a second
    `times` is how often it happens (None: always), `skip` how many matching requests go well before.
    """

    action: str
    method: str = ""
    path: str = ""
    times: Optional[int] = 1
    skip: int = 0
    status: int = 500
    code: str = "InternalServerError"
    message: str = "Internal Server Error"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    bytes: int = 0
    rate: int = 1 << 20

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action is one of {', '.join(ACTIONS)}, not {self.action!r}")
        self._method = re.compile(self.method or ".*")
        self._path = re.compile(self.path)

    def document(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def matches(self, method: str, target: str) -> bool:
        return bool(self._method.fullmatch(method) and self._path.search(target))


class Faults:
    """The rules in force. Each matching rule acts on a request, in the order they were added."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._rules.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def pending(self) -> list[Fault]:
        """Rules that have not yet happened as often as they should."""
        with self._lock:
            return list(self._rules)

    def take(self, method: str, target: str) -> list[Fault]:
        taken = []
        with self._lock:
            for rule in list(self._rules):
                if not rule.matches(method, target):
                    continue
                if rule.skip:
                    rule.skip -= 1
                    continue
                taken.append(rule)
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
        return taken


@dataclass
class ImportOutcome:
    """How the next import ends, whatever its content: `status` FAILED or CANCELED, and the errors (code, message) of its work request."""

    status: str = "FAILED"
    errors: list[tuple[str, str]] = field(default_factory=lambda: [("InternalError", "The image could not be imported.")])

    def __post_init__(self) -> None:
        if self.status not in ("FAILED", "CANCELED"):
            raise ValueError(f"status is FAILED or CANCELED, not {self.status!r}")

    @classmethod
    def of_json(cls, document: dict[str, Any]) -> ImportOutcome:
        if "errors" in document:
            document = {**document, "errors": [(str(error["code"]), str(error["message"])) for error in document["errors"]]}
        return cls(**document)
