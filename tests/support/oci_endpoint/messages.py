# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a service gets and gives: requests, responses, errors, and bodies that are never held in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, BinaryIO, Callable, Optional, Union

JSON_LIMIT = 2 << 20
DRAIN_LIMIT = 1 << 30
BLOCK = 1 << 20


class ServiceError(Exception):
    """An error as every OCI service answers it: an HTTP status and a JSON body {"code", "message"} (API reference, "API Errors")."""

    def __init__(self, status: int, code: str, message: str, headers: Optional[dict[str, str]] = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def not_found() -> ServiceError:
    """The one answer for a thing that is not there and for one that the caller may not see."""
    return ServiceError(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.")


def invalid(message: str) -> ServiceError:
    return ServiceError(400, "InvalidParameter", message)


class ConnectionLost(Exception):
    """The connection is gone, or a fault wants it gone: nothing can be answered."""


class RequestBody:
    """The bytes that follow a request's header, read once, block by block.

    `before_first_read` lets the server send "100 Continue" only when the body is really wanted (RFC 9110, 10.1.1).
    `reset_after` makes the connection break once that many bytes came in.
    """

    def __init__(self, raw: BinaryIO, length: int, before_first_read: Callable[[], None]) -> None:
        self._raw = raw
        self.length = length
        self.received = 0
        self.reset_after: Optional[int] = None
        self._before_first_read: Optional[Callable[[], None]] = before_first_read

    @property
    def remaining(self) -> int:
        return self.length - self.received

    @property
    def untouched(self) -> bool:
        """There is a body, and nobody has begun to read it."""
        return bool(self.length) and self._before_first_read is not None

    def readinto(self, view: memoryview) -> int:
        """Fill the start of the view; 0 at the end of the body.

        :raises ConnectionLost: the client went away before the announced length.
        """
        if self._before_first_read:
            self._before_first_read()
            self._before_first_read = None
        want = min(len(view), self.remaining)
        if not want:
            return 0
        if self.reset_after is not None and self.received + want > self.reset_after:
            want = self.reset_after - self.received
            if want <= 0:
                raise ConnectionLost("reset by a fault")
        try:
            got: int = self._raw.readinto1(view[:want])  # type: ignore[attr-defined]
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        if not got:
            raise ConnectionLost(f"the client closed after {self.received} of {self.length} bytes")
        self.received += got
        return got

    def read(self) -> bytes:
        """The whole body, for requests that carry JSON."""
        if self.length > JSON_LIMIT:
            raise ServiceError(413, "PayloadTooLarge", f"The request body has {self.length} bytes; at most {JSON_LIMIT} are accepted.")
        data = bytearray(self.length)
        view = memoryview(data)
        at = 0
        while at < self.length:
            at += self.readinto(view[at:])
        return bytes(data)

    def drain(self) -> None:
        """Read what the service did not, so that the client sees the answer; a client that waits for "100 Continue" sends nothing."""
        self._before_first_read = None
        if self.remaining > DRAIN_LIMIT:
            raise ConnectionLost(f"{self.remaining} unread bytes")
        view = memoryview(bytearray(min(BLOCK, self.remaining)))
        while self.remaining:
            self.readinto(view)


@dataclass(frozen=True)
class Principal:
    """Who signed a request. `kind`: user (API key), session (security token of a user), instance, resource, workload."""

    kind: str
    tenancy: str
    subject: str


@dataclass
class Request:
    """One HTTP request. `path` and `params` are those of the URL, `params` unquoted."""

    method: str
    target: str
    path: str
    query: dict[str, list[str]]
    headers: Message
    body: RequestBody
    id: str
    params: dict[str, str] = field(default_factory=dict)
    principal: Optional[Principal] = None
    content: bytes = b""
    note: str = ""

    def arg(self, name: str) -> Optional[str]:
        values = self.query.get(name)
        return values[-1] if values else None

    def required_arg(self, name: str) -> str:
        value = self.arg(name)
        if not value:
            raise ServiceError(400, "MissingParameter", f"The query parameter {name} is required.")
        return value

    def flag(self, name: str) -> bool:
        value = self.arg(name) or "false"
        if value.lower() not in ("true", "false"):
            raise invalid(f"{name} must be true or false, not {value!r}")
        return value.lower() == "true"

    def json(self) -> dict[str, Any]:
        try:
            document = json.loads(self.content or b"{}")
        except ValueError as error:
            raise ServiceError(400, "CannotParseRequest", f"Incorrectly formatted request: {error}") from error
        if not isinstance(document, dict):
            raise ServiceError(400, "CannotParseRequest", "Incorrectly formatted request: a JSON object is expected.")
        return document

    def required(self, document: dict[str, Any], name: str) -> Any:
        value = document.get(name)
        if value in (None, ""):
            raise ServiceError(400, "MissingParameter", f"{name} is required.")
        return value


@dataclass
class Stream:
    """A response body of known length, produced in blocks."""

    length: int
    blocks: Callable[[], Iterator[bytes]]


@dataclass
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Union[bytes, Stream] = b""

    @classmethod
    def of_json(cls, document: Any, status: int = 200, **headers: str) -> Response:
        """:param headers: with `_` for `-`, as in `opc_next_page="..."`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, {"content-type": "application/json", **named}, json.dumps(document).encode())

    @classmethod
    def of_error(cls, error: ServiceError) -> Response:
        answer = cls.of_json({"code": error.code, "message": error.message}, error.status)
        answer.headers.update(error.headers)
        return answer
