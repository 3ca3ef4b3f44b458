# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From method and path to the operation, as the API reference writes them: `/n/{namespaceName}/b/{bucketName}/o/{objectName*}`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Callable
from urllib.parse import unquote

from .messages import Request, Response, ServiceError


class Signing(Enum):
    """What a request must have signed (API reference, "Request Signatures")."""

    FULL = "date, request target and host; with a body also its length, type and SHA-256"
    HEADERS = "date, request target and host: PutObject and UploadPart leave the body out, which comes as a stream"
    FEDERATION = "as FULL, but without host, and with the key of an instance certificate"
    NONE = "anonymous"


Handler = Callable[[Request], Response]


@dataclass(frozen=True)
class Route:
    """One operation. A `{name}` in the template matches one path segment, a `{name*}` the rest of the path with its slashes.

    With `streams`, the handler reads the body itself, because it may be large.
    """

    method: str
    template: str
    handler: Handler
    signing: Signing = Signing.FULL
    streams: bool = False


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(re.compile(_pattern(route.template)), route) for route in routes]

    def resolve(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and the unquoted path parameters.

        :raises ServiceError: 404 for an unknown path, 405 for a known one with another method.
        """
        known = False
        for pattern, route in self._routes:
            found = pattern.fullmatch(path)
            if not found:
                continue
            known = True
            if route.method == method:
                return route, {name: unquote(value) for name, value in found.groupdict().items()}
        if known:
            raise ServiceError(405, "MethodNotAllowed", f"The method {method} is not allowed for {path}.")
        raise ServiceError(404, "NotFound", f"There is no operation supported at the URI path {path}.")


def _pattern(template: str) -> str:
    parts = re.split(r"\{(\w+)(\*?)\}", template)
    pattern = re.escape(parts[0])
    for name, rest, literal in zip(parts[1::3], parts[2::3], parts[3::3]):
        pattern += f"(?P<{name}>{'.+' if rest else '[^/]+'})" + re.escape(literal)
    return pattern + "/?" if not template.endswith("*}") else pattern
