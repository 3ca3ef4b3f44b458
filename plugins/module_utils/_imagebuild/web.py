# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files below one URL, read over connections that are kept: urllib makes a new one for each file, of thousands."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union

from .errors import BuildError

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_CHUNK = 1 << 16


@dataclass(frozen=True)
class WebAccess:
    """How servers are reached.

    :param ca_certificates: path of a PEM file with further certificate authorities; '' for none.
    :param proxies: variables HTTP_PROXY, HTTPS_PROXY, NO_PROXY, over those of the environment.
    :param timeout: seconds in which an answer has to come.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    tls_verify: bool = True
    ca_certificates: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 30

    def without_account(self) -> WebAccess:
        """The same for a server that has nothing to do with the account."""
        return replace(self, username="", password="")


class WebFolder:
    """Files below a URL; for several threads, each with a connection of its own. close() ends them.

    :raises BuildError: it is no URL of a web server.
    """

    def __init__(self, url: str, access: WebAccess) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
            raise BuildError(f"{_without_account(url)} is no URL of a folder on a web server.", "Write it as http://host:8080/ostree.")
        if parts.username is not None:
            raise BuildError(f"The URL {_without_account(url)} has an account in it.", "Give it by username and password.")
        try:
            self._port = parts.port or _PORTS[parts.scheme]
        except ValueError:
            raise BuildError(f"The URL {url} has a port that is none.", "Write it as http://host:8080/ostree.") from None
        self.url = url.rstrip("/")
        #: Scheme, host and port.
        self.server = (parts.scheme, parts.hostname, self._port)
        self._parts = parts
        self._access = access
        self._context = self._tls() if parts.scheme == "https" else None
        self._proxy = _proxy(parts.scheme, parts.hostname, access.proxies)
        self._own = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._closed = False

    def get(self, path: str, limit: int) -> Optional[bytes]:
        """The file's bytes; None where there is no such file.

        :raises BuildError: it is larger than limit, or the server does not answer, or refuses.
        """
        answer = self._request("GET", path)
        if answer is None:
            return None
        deadline = time.monotonic() + self._access.timeout
        content = bytearray()
        while chunk := self._read(answer, path):
            content += chunk
            if len(content) > limit:
                self._drop()
                raise BuildError(f"{self.url}/{path} has more than the {limit} bytes that such a file can have.")
            if time.monotonic() > deadline:
                self._drop()
                raise self._silent(path)
        if _announced(answer) not in (None, len(content)):
            self._drop()
            raise BuildError(f"{self.url}/{path} ends after {len(content)} of {_announced(answer)} bytes.", "Run again.")
        return bytes(content)

    def size(self, path: str) -> Optional[int]:
        """The file's bytes; None where there is no such file.

        :raises BuildError: as get(), or the server does not tell.
        """
        answer = self._request("HEAD", path)
        if answer is None:
            return None
        answer.read()
        size = _announced(answer)
        if size is None:
            raise BuildError(f"{self.url}/{path}: the server does not tell the file's size.")
        return size

    def moved(self, path: str) -> str:
        """Where the server says that this folder is, by what it answers for a file in it; the URL that it has where it does not move it."""
        answer = self._answer("HEAD", path)
        answer.read()
        target = urllib.parse.urljoin(f"{self.url}/{path}", answer.headers.get("Location", ""))
        if answer.status in _REDIRECTS and target.endswith(f"/{path}"):
            return target[: -len(path) - 1]
        return self.url

    def close(self) -> None:
        """End all connections; threads that wait for an answer wait no longer."""
        self._closed = True
        for connection in self._connections:
            with suppress(OSError):
                if connection.sock:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _request(self, method: str, path: str) -> Optional[http.client.HTTPResponse]:
        answer = self._answer(method, path)
        if answer.status == 200:
            return answer
        answer.read(_CHUNK)
        self._drop()
        if answer.status in (404, 410):
            return None
        if answer.status in (401, 403):
            who = f"the account {self._access.username}" if self._access.username else "a reader without an account"
            raise BuildError(
                f"{self.url}/{path}: the server refuses {who} ({answer.status}).", "Give another account by username and password."
            )
        raise BuildError(f"{self.url}/{path}: the server answers {answer.status} {answer.reason}.", "Check the URL and the server.")

    def _answer(self, method: str, path: str) -> http.client.HTTPResponse:
        target = f"{self._parts.path.rstrip('/')}/{urllib.parse.quote(path)}"
        if self._proxy and self._parts.scheme == "http":
            target = f"http://{self._parts.netloc}{target}"
        for again in (True, False):
            connection = getattr(self._own, "connection", None)
            kept = connection is not None
            try:
                if connection is None:
                    connection = self._own.connection = self._connect()
                    self._connections.append(connection)
                connection.request(method, target, headers=self._headers())
                return connection.getresponse()
            except (http.client.HTTPException, OSError) as error:
                self._drop()
                # A server may end a connection that it kept at any time.
                if not (again and kept) or self._closed or isinstance(error, (TimeoutError, socket.timeout)):
                    raise self._explain(path, error) from error
        raise AssertionError("unreachable")

    def _read(self, answer: http.client.HTTPResponse, path: str) -> bytes:
        try:
            return answer.read(_CHUNK)
        except (http.client.HTTPException, OSError) as error:
            self._drop()
            raise self._explain(path, error) from error

    def _connect(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._port
        through = self._proxy
        timeout = self._access.timeout
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(*(through.address if through else (host, port)), timeout=timeout)
        if through is None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._context)
        connection = http.client.HTTPSConnection(*through.address, timeout=timeout, context=self._context)
        connection.set_tunnel(host, port, headers=through.headers)
        return connection

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        try:
            if self._access.ca_certificates:
                context.load_verify_locations(self._access.ca_certificates)
        except OSError as error:  # ssl.SSLError, too
            raise BuildError(
                f"ca_certificates {self._access.ca_certificates} cannot be read: {error.strerror or error}.", "Give a PEM file."
            ) from error
        if not self._access.tls_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "ocne.images", "Accept": "*/*", "Accept-Encoding": "identity"}
        if self._access.username:
            headers["Authorization"] = _basic(self._access.username, self._access.password)
        if self._proxy and self._parts.scheme == "http":
            headers.update(self._proxy.headers)
        return headers

    def _drop(self) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._own.connection = None

    def _silent(self, path: str) -> BuildError:
        return BuildError(
            f"{self.url}/{path}: the server does not answer within {self._access.timeout:.0f} s.",
            "Check the URL, the network and the proxy.",
        )

    def _explain(self, path: str, error: Union[http.client.HTTPException, OSError]) -> BuildError:
        where = f"{self.url}/{path}"
        if isinstance(error, (TimeoutError, socket.timeout)):
            return self._silent(path)
        if isinstance(error, ssl.SSLCertVerificationError):
            return BuildError(
                f"{where}: the server's certificate is not trusted: {error.verify_message}.",
                "Give its certificate authority in ca_certificates.",
            )
        if isinstance(error, socket.gaierror):
            return BuildError(f"{where}: the host's name is not known: {error.strerror}.", "Check the URL, the network and the proxy.")
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        return BuildError(f"{where} cannot be read: {said}.", "Check the URL, the network and the proxy.")


def _announced(answer: http.client.HTTPResponse) -> Optional[int]:
    """How many bytes the file has, where the server says so."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and len(length) < 20 else None


@dataclass(frozen=True)
class _Proxy:
    """Where a proxy is, and what it is told about who asks."""

    address: tuple[str, int]
    headers: dict[str, str] = field(repr=False)


def _proxy(scheme: str, host: str, given: Mapping[str, str]) -> Optional[_Proxy]:
    variables: dict[str, Any] = dict(urllib.request.getproxies_environment())
    variables.update({name[: -len("_PROXY")].lower(): value for name, value in given.items()})
    url = variables.get(scheme)
    if not url or urllib.request.proxy_bypass_environment(host, variables):  # type: ignore[attr-defined]
        return None
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise BuildError(f"The proxy {_without_account(url)} is not one that is spoken to by http.", "Write it as http://proxy:3128.")
    headers = {}
    if parts.username:
        headers["Proxy-Authorization"] = _basic(urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
    return _Proxy((parts.hostname, parts.port or 80), headers)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _without_account(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://…@{tail}" if at else url
