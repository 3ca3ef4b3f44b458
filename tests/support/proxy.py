# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy that tunnels (CONNECT, RFC 9110, 9.3.6) and asks (GET, HEAD) for those who know its password, and notes where."""

from __future__ import annotations

import base64
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

USER = "builder"
PASSWORD = "proxy-Passw0rd"  # of a proxy that lives for one test
_TOKEN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass
class Proxy:
    """A running proxy.

    :param tunnels: of each that it has opened, the client's address, and where it leads to as 'HOST:PORT'.
    :param asked: URLs of http that it was asked for.
    """

    address: str
    tunnels: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{USER}:{PASSWORD}@{self.address}"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


@contextmanager
def serve(address: str = "127.0.0.1") -> Iterator[Proxy]:
    """A proxy that is ready, on a free port of this address of this machine."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, target, _version = self.rfile.readline().decode().split()
            headers = [line.decode().strip() for line in iter(self.rfile.readline, b"\r\n")]
            if not any(header.lower() == f"proxy-authorization: basic {_TOKEN}".lower() for header in headers):
                self.wfile.write(b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="test"\r\n\r\n')
            elif method in ("GET", "HEAD") and target.startswith("http://"):
                proxy.asked.append(target)
                host, _slash, path = target[len("http://") :].partition("/")
                name, _colon, port = host.partition(":")
                with socket.create_connection((name, int(port or 80)), timeout=30) as other:
                    other.sendall(f"{method} /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
                    while data := other.recv(1 << 16):
                        self.connection.sendall(data)
            elif method != "CONNECT":
                self.wfile.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            else:
                proxy.tunnels.append((self.client_address[0], target))
                host, _colon, port = target.rpartition(":")
                with socket.create_connection((host, int(port)), timeout=30) as other:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    _relay(self.connection, other)

    with _Server((address, 0), Handler) as server:
        proxy = Proxy(f"{address}:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Hand on what each sends until one of them ends."""
    with selectors.DefaultSelector() as ready, suppress(ConnectionError):
        ready.register(one, selectors.EVENT_READ, other)
        ready.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _events in ready.select():
                data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                if not data:
                    return
                key.data.sendall(data)
