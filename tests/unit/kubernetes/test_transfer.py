# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
import websocket
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.exec import STDIN, ConnectionLost, RemoteProcess, exit_status, frame
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.transfer import PATIENCE, Transfers, WrongBytes
from ansible_collections.ocne.images.plugins.module_utils._kubernetes_client import ClusterError
from websocket._abnf import frame_buffer

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Process:
    """A process in a pod that hands out these chunks and then ends as told: with a status, or by a broken connection."""

    def __init__(self, chunks: Sequence[bytes], end: Optional[int] = 0, stderr: str = "") -> None:
        self.chunks, self.end, self.stderr = list(chunks), end, stderr
        self.returncode: Optional[int] = None
        self.written = b""
        self.room: Optional[int] = None

    def write(self, data: bytes) -> None:
        if self.room is not None and len(self.written) + len(data) > self.room:
            raise ConnectionLost("broken")
        self.written += data

    def output(self) -> Iterator[bytes]:
        while self.chunks:
            yield self.chunks.pop(0)
        if self.end is None:
            raise ConnectionLost("broken")
        self.returncode = self.end

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


class Pod:
    """Starts processes one after the other, and notes their commands."""

    def __init__(self, *processes: Process | Exception | Callable[[Sequence[str]], Process]) -> None:
        self.processes = list(processes)
        self.commands: list[Sequence[str]] = []
        self.clock = Clock()
        self.progress: list[tuple[str, int, Optional[int]]] = []
        self.alive = lambda: None

    def run(self, command: Sequence[str]) -> Any:
        self.commands.append(command)
        process = self.processes.pop(0) if len(self.processes) > 1 else self.processes[0]
        if isinstance(process, Exception):
            raise process
        return process if isinstance(process, Process) else process(command)

    @property
    def transfers(self) -> Transfers:
        def note(activity: str, done: int, total: Optional[int]) -> None:
            self.progress.append((activity, done, total))

        def alive() -> bool:
            return self.alive()

        return Transfers(self.run, note, alive, self.clock.sleep, self.clock)

    def fetch(self, output: Path) -> bytes:
        self.transfers.fetch(lambda offset: ["send", str(offset)], output, len(CONTENT), SHA256, "it")
        return output.read_bytes()


def serve(command: Sequence[str]) -> Process:
    return Process([CONTENT[int(command[1]) :]])


def test_a_file_is_fetched_whole_and_is_its_owners_alone(tmp_path: Path) -> None:
    pod = Pod(Process([CONTENT[:100], CONTENT[100:]]))
    assert pod.fetch(tmp_path / "file") == CONTENT
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert pod.progress == [("fetching it", 100, len(CONTENT)), ("fetching it", len(CONTENT), len(CONTENT))]


@pytest.mark.parametrize(
    "first",
    [
        Process([CONTENT[:196]], end=0),  # the known way in which streams are cut: success, and too few bytes
        Process([CONTENT[:196]], end=None),
        Process([CONTENT[:196]], end=137),
    ],
    ids=["success", "broken", "killed"],
)
def test_a_fetch_goes_on_where_it_was_cut(tmp_path: Path, first: Process) -> None:
    pod = Pod(first, serve)
    assert pod.fetch(tmp_path / "file") == CONTENT
    assert pod.commands == [["send", "0"], ["send", "196"]]


def test_a_fetch_survives_a_server_that_is_away_for_a_while(tmp_path: Path) -> None:
    away = ClusterError("refused", "", 0, "")
    pod = Pod(Process([CONTENT[:1000]], end=None), *[away] * 10, serve)
    assert pod.fetch(tmp_path / "file") == CONTENT


def test_a_fetch_without_a_byte_is_given_up(tmp_path: Path) -> None:
    pod = Pod(Process([], end=137, stderr="Killed"))
    with pytest.raises(OcneError, match=r"Killed.*without a byte"):
        pod.fetch(tmp_path / "file")
    assert PATIENCE <= pod.clock.now < PATIENCE + 10


def test_what_the_pods_end_refuses_is_not_tried_again(tmp_path: Path) -> None:
    pod = Pod(Process([], end=1, stderr="Traceback\nOSError: gone"))
    with pytest.raises(OcneError, match=r"Could not fetch it: .*OSError: gone"):
        pod.fetch(tmp_path / "file")
    with pytest.raises(OcneError, match=r"Could not send it: .*No space left"):
        send(Pod(Process([b'{"have": 0}\n'], end=1, stderr="OSError: No space left on device")))
    assert len(pod.commands) == 1


def test_a_refusal_by_the_cluster_is_not_tried_again(tmp_path: Path) -> None:
    pod = Pod(ClusterError("may not exec", "", 403, "Forbidden"))
    with pytest.raises(ClusterError, match="may not"):
        pod.fetch(tmp_path / "file")
    assert len(pod.commands) == 1


def test_a_fetch_ends_when_the_pod_is_gone(tmp_path: Path) -> None:
    class Gone(Exception):
        pass

    def gone() -> None:
        raise Gone

    pod = Pod(Process([CONTENT[:5]], end=None))
    pod.alive = gone
    with pytest.raises(Gone):
        pod.fetch(tmp_path / "file")


@pytest.mark.parametrize("bad", [CONTENT[:-1] + b"x", CONTENT + b"x"], ids=["other", "more"])
def test_other_bytes_are_no_success(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(WrongBytes, match=r"(more than its \d+ bytes came|have the digest \w+, not \w+)\. Run again\."):
        Pod(Process([bad])).fetch(tmp_path / "file")


def test_more_bytes_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(WrongBytes, match="more than its"):
        Pod(Process([CONTENT, b"x" * 5000])).fetch(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def receiver(have: int, last: dict[str, object]) -> Process:
    return Process([json.dumps({"have": have}).encode() + b"\n" + json.dumps(last).encode()[:3], json.dumps(last).encode()[3:] + b"\n"])


def send(pod: Pod, content: bytes = CONTENT) -> None:
    pod.transfers.send(["receive"], io.BytesIO(content), len(CONTENT), "it")


def test_what_the_pod_lacks_is_sent() -> None:
    process = receiver(100, {"arrived": True})
    pod = Pod(process)
    send(pod)
    assert process.written == CONTENT[100:]
    assert pod.progress == [("sending it", len(CONTENT), len(CONTENT))]


def test_no_more_is_sent_than_was_said() -> None:
    process = receiver(0, {"arrived": True})
    send(Pod(process), CONTENT + b"what came later")
    assert process.written == CONTENT


@pytest.mark.parametrize("answer", [b"[]", b"3", b"null", b"{}", b'{"have": "all"}', b'{"have": -1}', b'{"have": true}'])
def test_an_answer_that_is_none_is_no_success_and_asked_for_again(answer: bytes) -> None:
    pod = Pod(Process([answer + b"\n"]), receiver(0, {"arrived": True}))
    send(pod)
    assert len(pod.commands) == 2


@pytest.mark.parametrize("last", [b"[]", b"{}", b'{"arrived": false}'])
def test_an_arrival_that_is_not_told_is_asked_for_again(last: bytes) -> None:
    pod = Pod(Process([b'{"have": 0}\n', last + b"\n"]), receiver(len(CONTENT), {"arrived": True}))
    send(pod)
    assert len(pod.commands) == 2


def test_a_broken_send_asks_the_pod_where_to_go_on() -> None:
    first, second = receiver(0, {}), receiver(4000, {"arrived": True})
    first.room = 10
    send(Pod(first, second))
    assert second.written == CONTENT[4000:]


def test_a_send_that_is_not_acknowledged_is_no_success() -> None:
    silent = Process([b'{"have": 0}\n'], end=0)  # stdin was closed under the receiver, and the exec reports success
    second = receiver(len(CONTENT), {"arrived": True})
    pod = Pod(silent, second)
    send(pod)
    assert len(pod.commands) == 2


def test_a_source_that_changed_is_said() -> None:
    with pytest.raises(WrongBytes, match="digest abc"):
        send(Pod(receiver(0, {"wrong": "abc"})))
    with pytest.raises(WrongBytes, match="ends after 5 of"):
        send(Pod(receiver(0, {"arrived": True})), CONTENT[:5])


class Socket:
    """A websocket that hands out these messages, then breaks."""

    def __init__(self, *messages: bytes) -> None:
        self.messages = list(messages)
        self.sent: list[bytes] = []
        self.sock = None

    def settimeout(self, _seconds: float) -> None:
        pass

    def shutdown(self) -> None:
        pass

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def recv_data_frame(self) -> tuple[int, Any]:
        if not self.messages:
            raise websocket.WebSocketConnectionClosedException("closed")
        return 2, websocket.ABNF(opcode=websocket.ABNF.OPCODE_BINARY, data=self.messages.pop(0))


SUCCESS = b'\x03{"metadata":{},"status":"Success"}'


def test_channels_are_told_apart() -> None:
    socket = Socket(b"\x01", b"\x02", b"\x01one", b"\x02complaint", b"\x01\x00\xff", SUCCESS)
    process = RemoteProcess(socket, "ns/pod")
    process.write(b"in")
    assert list(process.output()) == [b"one", b"\x00\xff"]
    assert (process.stderr, process.returncode, socket.sent) == ("complaint", 0, [b"\x00in"])


@pytest.mark.parametrize("size", [0, 124, 125, 65534, 65535, 1 << 18])
def test_a_message_over_tls_is_what_the_library_reads(size: int) -> None:
    data = (CONTENT * (size // len(CONTENT) + 1))[:size]
    sent = io.BytesIO(frame(STDIN, data))
    read = frame_buffer(sent.read, skip_utf8_validation=True).recv_frame()
    assert (read.fin, read.opcode, read.mask_value, read.data) == (1, websocket.ABNF.OPCODE_BINARY, 1, b"\x00" + data)
    assert sent.read() == b""


@pytest.mark.parametrize("messages", [(b"\x01one",), (b"\x01one", b"\x03"), (b"\x01one", b'\x03{"status": "Failure"}')])
def test_an_end_that_is_not_told_is_no_success(messages: tuple[bytes, ...]) -> None:
    process = RemoteProcess(Socket(*messages), "ns/pod")
    with pytest.raises(ConnectionLost):
        list(process.output())
    assert process.returncode is None


def test_the_exit_status_is_told() -> None:
    status = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert exit_status(json.dumps(status).encode()) == 7
