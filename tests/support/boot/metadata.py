# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services at 169.254.169.254 that give an instance its user data: Oracle Cloud's, version 2, and OpenStack's.

https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm
https://docs.openstack.org/nova/latest/user/metadata.html
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ADDRESS = "169.254.169.254"
ORACLE = "/opc/v2/instance/metadata/user_data"
OPENSTACK = "/openstack/latest/user_data"
#: What Oracle's service demands, so that no request gets to it by way of a proxy or a page in a browser.
AUTHORIZATION = "Bearer Oracle"


@dataclass(frozen=True)
class Request:
    """A request, and how it was answered."""

    path: str
    status: int


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], user_data: Mapping[str, bytes]) -> None:
        self.user_data = user_data
        self.requests: list[Request] = []
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        body = self.server.user_data.get(self.path.replace("//", "/"))
        status = HTTPStatus.OK if body is not None else HTTPStatus.NOT_FOUND
        if self.path.startswith("/opc/v2/") and self.headers.get("Authorization") != AUTHORIZATION:
            status, body = HTTPStatus.FORBIDDEN, None
        self.server.requests.append(Request(self.path, status.value))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests are kept."""


@contextmanager
def serve(for_oracle: bytes, for_openstack: bytes, address: tuple[str, int] = (ADDRESS, 80)) -> Iterator[list[Request]]:
    """Answer for the time of the context. What is yielded grows by each request.

    :param for_oracle: the user data of an instance of Oracle Cloud, which its service gives as base64.
    :param for_openstack: the same for OpenStack.
    """
    server = _Server(address, {ORACLE: base64.b64encode(for_oracle), OPENSTACK: for_openstack})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
