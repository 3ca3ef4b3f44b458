# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process in a container, over the exec protocol: messages of a WebSocket, each of which begins with its channel.

Protocol: https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/kubelet/pkg/cri/streaming/remotecommand/websocket.go.
Standard input cannot be ended by every server (only from version 5 of the protocol), so whoever reads it in the
container has to know how much is to come. It ends by itself as soon as the process's standard output is closed, and the
process then counts as successful: a process that is to read all has to keep its output open, and to say what it has got.
"""

from __future__ import annotations

import importlib
import json
import ssl
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Optional

STDIN, STDOUT, STDERR, STATUS = range(4)

#: Seconds without a byte after which a connection counts as lost.
SILENCE = 60.0
#: How much of what a process complains about is kept.
_STDERR_LIMIT = 16384
#: RFC 6455, 5.2: a whole message of bytes; and that its bytes are masked, as those of a client have to be.
_BINARY, _MASKED = 0x82, 0x80


class ConnectionLost(Exception):
    """The connection ended before the process did, or its end is not known."""


class RemoteProcess:
    """A running process. A context manager, which closes the connection.

    :param websocket: of the package websocket-client, connected.
    :param where: the pod, for messages.
    """

    def __init__(self, websocket: Any, where: str) -> None:
        self._websocket = websocket
        self._library = importlib.import_module("websocket")
        self._where = where
        self._stderr = bytearray()
        #: What the process returned; None: not known (yet).
        self.returncode: Optional[int] = None
        websocket.settimeout(SILENCE)

    @property
    def stderr(self) -> str:
        """What the process complained about, the last of it."""
        return self._stderr.decode(errors="replace").strip()

    def write(self, data: bytes) -> None:
        """Bytes to the process's standard input.

        :raises ConnectionLost: they cannot all be sent.
        """
        try:
            if isinstance(self._websocket.sock, ssl.SSLSocket):
                self._websocket.sock.sendall(frame(STDIN, data))
            else:
                self._websocket.send_binary(bytes([STDIN]) + data)
        except (self._library.WebSocketException, OSError) as error:
            raise ConnectionLost(f"the connection to {self._where} broke ({error})") from error

    def output(self) -> Iterator[bytes]:
        """What the process writes to its standard output, as it comes, until it has ended; then returncode is known.

        :raises ConnectionLost: the connection ended first.
        """
        while self.returncode is None:
            try:
                _opcode, frame = self._websocket.recv_data_frame()
            except (self._library.WebSocketException, OSError) as error:
                raise ConnectionLost(f"the connection to {self._where} broke ({error})") from error
            if frame is None or frame.opcode == self._library.ABNF.OPCODE_CLOSE:
                raise ConnectionLost(f"the connection to {self._where} was closed before the process had ended")
            channel, data = frame.data[:1], frame.data[1:]
            if channel == b"\x01":
                if data:
                    yield data
            elif channel == b"\x02":
                self._stderr += data
                del self._stderr[:-_STDERR_LIMIT]
            elif channel == b"\x03":
                self.returncode = exit_status(data)

    def __enter__(self) -> RemoteProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._websocket.shutdown()


def frame(channel: int, data: bytes) -> bytes:
    """A message with the mask 0, which changes no byte.

    Masks keep what a web page sends from being taken for HTTP on the way. Within TLS nobody on the way can read it, and masking is
    most of what the library does with a message.
    """
    size = len(data) + 1
    if size < 126:
        header = struct.pack("!BB", _BINARY, _MASKED | size)
    elif size < 1 << 16:
        header = struct.pack("!BBH", _BINARY, _MASKED | 126, size)
    else:
        header = struct.pack("!BBQ", _BINARY, _MASKED | 127, size)
    return b"".join((header, bytes(4), bytes([channel]), data))


def exit_status(message: bytes) -> int:
    """The exit status that the last message of a process tells.

    :raises ConnectionLost: it tells none; the process may still run, or may never have.
    """
    try:
        status = json.loads(message)
        if status["status"] == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or []
        return int(next(cause["message"] for cause in causes if cause.get("reason") == "ExitCode"))
    except (ValueError, KeyError, TypeError, StopIteration):
        said = message.decode(errors="replace").strip()[:300]
        raise ConnectionLost(f"the process's end is not known: the cluster says {said or 'nothing'}") from None
