# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1, a thread for each connection: reads requests, applies faults, checks signatures, calls operations, writes answers."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional, Union
from urllib.parse import parse_qs

from .context import Context, http_date, monotonic, now, timestamp
from .faults import Fault, Faults
from .messages import BLOCK, ConnectionLost, Request, RequestBody, Response, ServiceError, Stream
from .request_log import Entry, RequestLog
from .router import Router, Signing
from .signatures import KeyLookup, authenticate

ADMIN_PREFIX = "/_admin/"
_LINGER = 5.0


class Server(ThreadingHTTPServer):
    """With `tls`, connections are encrypted; the handshake takes place in the connection's own thread."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        context: Context,
        router: Router,
        keys: KeyLookup,
        faults: Faults,
        log: RequestLog,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        super().__init__(address, _Handler)
        self.tls = tls
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.context = context
        self.router = router
        self.keys = keys
        self.faults = faults
        self.log = log
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._open_lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def run(self) -> None:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, name="oci endpoint", daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.close_connections()
        self.server_close()

    def close_connections(self) -> None:
        """Break what is open, as a service that goes down does."""
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, ConnectionLost)):
            traceback.print_exc()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """The request log is kept elsewhere."""

    def handle_expect_100(self) -> bool:
        return True  # said when the body is first read

    def _serve(self) -> None:
        began = monotonic()
        request = self._request()
        if request.path.startswith(ADMIN_PREFIX):
            self._write(request, self._answer(request, []), [], _entry(request))
            return
        entry = _entry(request)
        self.server.log.begin(entry)
        faults = self.server.faults.take(request.method, request.target)
        try:
            response = self._answer(request, faults)
            refused = request.body.untouched and self._expects_continue()
            if refused:
                self.close_connection = True
            else:
                request.body.drain()
            entry.received, entry.note = request.body.received, request.note
            entry.principal = request.principal.kind if request.principal else None
            if any(fault.action == "lost-answer" for fault in faults):
                raise ConnectionLost("answer lost by a fault")
            self._write(request, response, faults, entry)
            if refused:
                # there are clients that ask for 100 Continue, but do not wait for it
                self._close_cleanly()
                self.connection.settimeout(_LINGER)
                request.body.drain()
        except (ConnectionLost, OSError) as error:
            entry.received, entry.note = request.body.received, entry.note or str(error)
            self._reset()
        finally:
            entry.received = request.body.received
            entry.seconds = round(monotonic() - began, 6)
            self.server.log.end(entry)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def _request(self) -> Request:
        path, _separator, query = self.path.partition("?")
        length = self.headers.get("content-length") or "0"
        body = RequestBody(self.rfile, int(length) if length.isdigit() else 0, self._send_continue)  # type: ignore[arg-type]
        # the client's id is the first part of the request id that everything about this request bears
        prefix = (self.headers.get("opc-request-id") or secrets.token_hex(16).upper()).partition("/")[0]
        request_id = "/".join((prefix, secrets.token_hex(16).upper(), secrets.token_hex(16).upper()))
        return Request(self.command, self.path, path, parse_qs(query, keep_blank_values=True), self.headers, body, request_id)

    def _send_continue(self) -> None:
        if self._expects_continue():
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _expects_continue(self) -> bool:
        return (self.headers.get("expect") or "").lower() == "100-continue"

    def _answer(self, request: Request, faults: list[Fault]) -> Response:
        try:
            if self.headers.get("transfer-encoding"):
                self.close_connection = True
                raise ServiceError(
                    411, "MissingContentLength", "The Content-Length header is required; transfer codings are not supported."
                )
            self._before(request, faults)
            route, request.params = self.server.router.resolve(request.method, request.path)
            if not route.streams:
                request.content = request.body.read()
            if route.signing is not Signing.NONE:
                request.principal = authenticate(request, route.signing, self.server.keys, self.server.context.settings)
            return route.handler(request)
        except ServiceError as error:
            request.note = request.note or f"{error.code}: {error.message}"
            return Response.of_error(error)
        except ConnectionLost:
            raise
        except Exception as error:
            traceback.print_exc()
            return Response.of_error(ServiceError(500, "InternalServerError", f"{type(error).__name__} in the endpoint: {error}"))

    def _before(self, request: Request, faults: list[Fault]) -> None:
        for fault in faults:
            if fault.action == "delay":
                self.server.context.stopping.wait(fault.seconds)
            elif fault.action == "status":
                request.note = "fault"
                raise ServiceError(fault.status, fault.code, fault.message, dict(fault.headers))
            elif fault.action == "reset":
                request.body.reset_after = fault.bytes
                request.body.drain()
                raise ConnectionLost("reset by a fault")

    def _write(self, request: Request, response: Response, faults: list[Fault], entry: Entry) -> None:
        length = len(response.body) if isinstance(response.body, bytes) else response.body.length
        headers = {"date": http_date(now()), "opc-request-id": request.id, **response.headers}
        client_id = request.headers.get("opc-client-request-id")
        if client_id:
            headers["opc-client-request-id"] = client_id
        if response.status != 204:
            headers["content-length"] = str(length)
        if self.close_connection:
            headers["connection"] = "close"
        reason = self.responses.get(response.status, ("",))[0]
        lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        entry.status = response.status
        self.wfile.write("\r\n".join(lines).encode("latin-1", "replace"))
        if request.method == "HEAD":
            return
        limit = next((fault.bytes for fault in faults if fault.action == "truncate"), None)
        rate = next((fault.rate for fault in faults if fault.action == "slow"), None)
        for block in _blocks(response.body, rate):
            if limit is not None and entry.sent + len(block) > limit:
                entry.note = "truncated by a fault"
                self.wfile.write(block[: limit - entry.sent])
                entry.sent = limit
                self._close_cleanly()
                return
            entry.sent += len(block)
            self.wfile.write(block)
            if rate:
                self.server.context.stopping.wait(len(block) / rate)
        if entry.sent != length:
            raise ConnectionLost(f"{entry.sent} of {length} bytes could be read")

    def _close_cleanly(self) -> None:
        """End the answer early with FIN, not RST: what was sent arrives."""
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        """Close with RST, so that the client sees a broken connection and not an end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


def _entry(request: Request) -> Entry:
    return Entry(timestamp(now()), request.method, request.target, request.id, request.headers.get("user-agent") or "")


def _blocks(body: Union[bytes, Stream], rate: Optional[int]) -> Iterator[bytes]:
    blocks = iter((body,)) if isinstance(body, bytes) else body.blocks()
    if rate is None:
        yield from blocks
        return
    step = max(1, min(BLOCK, rate // 10))
    for block in blocks:
        for at in range(0, len(block), step):
            yield block[at : at + step]
