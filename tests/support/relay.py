# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A relay on loopback that hands bytes on to a server, counts them, and misbehaves on demand.

It makes each connection carry one request of HTTP/1.1, so that requests can be counted, and nothing but their heads has to be
understood. What speaks TLS is handed on as it is, and counts as one request.
"""

from __future__ import annotations

import contextlib
import random
import re
import selectors
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Optional

ACTIONS = ("reset", "stall", "status", "garbage", "more", "less", "flip", "do")
#: Seconds after which a peer of ours that says nothing is given up.
_PATIENCE = 120.0
_LENGTH = re.compile(rb"(\r\ncontent-length: *)(\d+)", re.IGNORECASE)


@dataclass
class Misbehaviour:
    """What happens to a request, and to those that follow.

    action:
      reset     break the connection when `bytes` of request and answer have passed
      stall     let nothing more pass then, until the relay is well again
      status    answer `status`; the server never sees the request
      garbage   answer 200 with noise in the body; the server never sees the request
      more      announce an answer twice as long as it is
      less      announce half of it
      flip      change a byte of the answer
      do        call `call` when so many bytes have passed, at the latest at the end, and let all pass
    :param request: the first one it happens to, from 1; times: how often (None: from then on).
    """

    action: str
    request: int = 1
    times: Optional[int] = 1
    bytes: int = 0
    status: int = 503
    call: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"action is one of {', '.join(ACTIONS)}, not {self.action!r}")


class Relay(socketserver.ThreadingTCPServer):
    """:param far: address and port of the server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, far: tuple[str, int]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.far = far
        self.received = 0
        """Bytes that have come from the server."""
        self.requests: list[int] = []
        """Of each request, how many bytes it and its answer had so far."""
        self.happened = 0
        """How often it has misbehaved."""
        self._wrong: Optional[Misbehaviour] = None
        self._well = threading.Event()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def misbehave(self, wrong: Misbehaviour) -> None:
        """From the next request that fits; requests are counted anew."""
        with self._lock:
            self._wrong, self.requests, self.happened = wrong, [], 0
            self._well.clear()

    def heal(self) -> None:
        """Behave again; connections that were stalled break."""
        with self._lock:
            self._wrong = None
            self._well.set()

    def wait_until_well(self) -> None:
        self._well.wait()

    def begin(self) -> tuple[int, Optional[Misbehaviour]]:
        """A request has come: its index, and what is to happen to it."""
        with self._lock:
            self.requests.append(0)
            wrong = self._wrong
            if wrong is None or len(self.requests) < wrong.request or (wrong.times is not None and self.happened >= wrong.times):
                return len(self.requests) - 1, None
            self.happened += 1
            return len(self.requests) - 1, wrong

    def count(self, index: int, amount: int, from_server: bool) -> None:
        with self._lock:
            if index < len(self.requests):  # else it is of the time before
                self.requests[index] += amount
            self.received += amount if from_server else 0


class _Broken(Exception):
    """The connection is to be reset."""


class _Connection(socketserver.BaseRequestHandler):
    server: Relay

    def handle(self) -> None:
        self.request.settimeout(_PATIENCE)
        with contextlib.suppress(OSError):
            head = _head(self.request)
            if not head:
                return
            self._index, self._wrong = self.server.begin()
            self._passed = 0
            try:
                if self._wrong and self._wrong.action in ("status", "garbage"):
                    self.request.sendall(_answer(self._wrong))
                else:
                    with socket.create_connection(self.server.far, timeout=_PATIENCE) as far:
                        self._hand_on(far, head)
                self._end()
            except _Broken:
                # With RST, so that it is no end.
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _hand_on(self, far: socket.socket, head: bytes) -> None:
        self._pass(far, head, False)
        answer: Optional[bytes] = b""  # its beginning, until its head is whole
        with selectors.DefaultSelector() as ready:
            ready.register(self.request, selectors.EVENT_READ)
            ready.register(far, selectors.EVENT_READ)
            while events := ready.select(_PATIENCE):
                for key, _events in events:
                    source = key.fileobj
                    data = source.recv(1 << 16)  # type: ignore[union-attr]
                    if source is far and answer is not None and self._changes_answers:
                        answer += data
                        if b"\r\n\r\n" not in answer and data:
                            continue
                        if answer.startswith(b"HTTP/1.1 100"):
                            interim, _end, answer = answer.partition(b"\r\n\r\n")
                            self._pass(self.request, interim + b"\r\n\r\n", True)
                            continue
                        self._pass(self.request, self._changed(answer), True)
                        answer = None
                    elif data:
                        self._pass(self.request if source is far else far, data, source is far)
                    if source is far and not data:
                        self._act()
                        return
                    if not data:
                        ready.unregister(source)
                        far.shutdown(socket.SHUT_WR)

    @property
    def _changes_answers(self) -> bool:
        return self._wrong is not None and self._wrong.action in ("more", "less", "flip")

    def _changed(self, answer: bytes) -> bytes:
        """The beginning of an answer, made wrong."""
        assert self._wrong is not None
        head, end, body = answer.partition(b"\r\n\r\n")
        if self._wrong.action == "flip":
            at = len(body) // 2
            return head + end + body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else answer
        factor = 2 if self._wrong.action == "more" else 0.5
        return _LENGTH.sub(lambda match: b"%s%d" % (match[1], int(match[2]) * factor), head) + end + body

    def _pass(self, target: socket.socket, data: bytes, from_server: bool) -> None:
        wrong = self._wrong
        if wrong and wrong.action in ("reset", "stall", "do") and self._passed + len(data) > wrong.bytes:
            some = max(0, wrong.bytes - self._passed)
            target.sendall(data[:some])
            self._act()
            data = data[some:]
            self._passed += some
        target.sendall(data)
        self._passed += len(data)
        self.server.count(self._index, len(data), from_server)

    def _act(self) -> None:
        """The moment has come. Once a request."""
        wrong, self._wrong = self._wrong, None
        if wrong is None or wrong.action not in ("reset", "stall", "do"):
            return
        if wrong.action == "do":
            wrong.call()
            return
        if wrong.action == "stall":
            self.server.wait_until_well()
        raise _Broken

    def _end(self) -> None:
        """Let the client have all that was sent, also one that is still sending."""
        self.request.shutdown(socket.SHUT_WR)
        self.request.settimeout(5)
        while self.request.recv(1 << 16):
            pass


def _head(near: socket.socket) -> bytes:
    """What a connection begins with: the head of its request, changed so that its connection ends with its answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = near.recv(1 << 16)
        data += more
        if not more or data[:1] == b"\x16":  # TLS
            return data
    head, end, body = data.partition(b"\r\n\r\n")
    if not re.search(rb"\r\nupgrade:", head, re.IGNORECASE):
        head = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE) + b"\r\nConnection: close"
    return head + end + body


def _answer(wrong: Misbehaviour) -> bytes:
    body = random.Random(wrong.request).randbytes(500) if wrong.action == "garbage" else b"not now"
    status = b"200 OK" if wrong.action == "garbage" else b"%d Trouble" % wrong.status
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


@contextmanager
def relay(far: tuple[str, int]) -> Iterator[Relay]:
    with Relay(far) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield running
        finally:
            running.heal()
            running.shutdown()
