# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files into and out of a container: bounded by length, checked by digest, taken up at the offset where a connection broke.

The other ends are programs in the container, which the caller names. Memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Callable, Optional

from .._errors import OcneError
from .._kubernetes_client import ClusterError
from .exec import ConnectionLost, RemoteProcess

#: Starts a process in the container.
Run = Callable[[Sequence[str]], RemoteProcess]
#: Called with what is being done, how many bytes are done, and how many there are.
Progress = Callable[[str, int, Optional[int]], None]

#: Bytes of a message that is sent.
PIECE = 1 << 18
#: Seconds without a byte, over however many tries, after which a transfer is given up: a server may be restarted meanwhile.
PATIENCE = 120.0
_LONGEST_PAUSE = 5.0
#: Exit status by which the pod's end says that another try would end no better: that of a Python program with an error.
REFUSED = 1
#: No line that a receiver writes is longer.
_LINE_LIMIT = 4096


class WrongBytes(OcneError):
    """All bytes have come, and they are not those that were meant."""


class Transfers:
    """Transfers with one container, each of which survives broken connections.

    :param alive: called before a further try; raises where the container is gone for good.
    """

    def __init__(
        self,
        run: Run,
        progress: Progress,
        alive: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._progress, self._alive, self._sleep, self._clock = run, progress, alive, sleep, clock

    def fetch(self, sender: Callable[[int], Sequence[str]], output: Path, size: int, sha256: str, what: str) -> None:
        """Write a file of the container to output, which is made anew (mode 0600).

        :param sender: the command that writes the file from an offset on to its standard output.
        :param sha256: in hex, of the whole.
        :raises WrongBytes: other bytes came, or more of them.
        :raises OcneError: they do not come.
        """
        output.unlink(missing_ok=True)
        output.touch(mode=0o600)
        digest, done = hashlib.sha256(), 0
        with output.open("r+b", buffering=0) as file:

            def attempt() -> None:
                nonlocal done
                with self._run(sender(done)) as process:
                    for chunk in process.output():
                        if done + len(chunk) > size:
                            raise WrongBytes(f"Could not fetch {what}: more than its {size} bytes came.", "Run again.")
                        file.write(chunk)
                        digest.update(chunk)
                        done += len(chunk)
                        self._progress(f"fetching {what}", done, size)
                    if done < size:
                        raise _ended(process, f"fetch {what}", f"after {done} of {size} bytes ")

            self._insist(attempt, lambda: done, f"fetch {what}")
        if digest.hexdigest() != sha256:
            raise WrongBytes(f"Could not fetch {what}: its bytes have the digest {digest.hexdigest()}, not {sha256}.", "Run again.")

    def send(self, receiver: Sequence[str], source: BinaryIO, size: int, what: str) -> None:
        """Give a file to the container.

        :param receiver: the command that first writes a line {"have": offset} to its standard output, reads the bytes from
            there on, and last writes {"arrived": true}, or {"wrong": digest} where the whole has not the digest that is meant.
        :raises WrongBytes: the source's bytes are not those that are meant.
        :raises OcneError: they do not arrive.
        """
        done = 0

        def attempt() -> None:
            nonlocal done
            with self._run(receiver) as process:
                answers = _Answers(process, f"send {what}")
                done = answers.offset(size)
                source.seek(done)
                while done < size:
                    piece = source.read(min(PIECE, size - done))
                    if not piece:
                        raise WrongBytes(f"Could not send {what}: it ends after {done} of {size} bytes.", "It was changed: run again.")
                    process.write(piece)
                    done += len(piece)
                    self._progress(f"sending {what}", done, size)
                last = answers.next()
                if last.get("arrived") is not True:
                    if "wrong" not in last:
                        raise ConnectionLost(f"the pod answered {str(last)[:80]}")
                    raise WrongBytes(f"Could not send {what}: its bytes have the digest {last['wrong']}.", "It was changed: run again.")

        self._insist(attempt, lambda: done, f"send {what}")

    def _insist(self, attempt: Callable[[], None], done: Callable[[], int], what: str) -> None:
        """Try until it succeeds, for as long as it gets further."""
        last, pause = self._clock(), 0.5
        while True:
            before = done()
            try:
                return attempt()
            except (ConnectionLost, ClusterError) as error:
                if isinstance(error, ClusterError) and error.status in (401, 403) and not error.passing:
                    raise
                problem = error
            if done() > before:
                last, pause = self._clock(), 0.5
            self._alive()
            if self._clock() - last > PATIENCE:
                raise OcneError(
                    f"Could not {what}: {problem}, for {PATIENCE:.0f} s without a byte.",
                    "Check the network to the cluster, and its API server and nodes; then run again.",
                ) from problem
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class _Answers:
    """The lines that a receiver writes, as JSON objects."""

    def __init__(self, process: RemoteProcess, what: str) -> None:
        self._process, self._what = process, what
        self._chunks = process.output()
        self._rest = b""

    def offset(self, size: int) -> int:
        """What the receiver has of so many bytes.

        :raises ConnectionLost: it does not say.
        """
        have = self.next().get("have")
        if not isinstance(have, int) or isinstance(have, bool) or not 0 <= have <= size:
            raise ConnectionLost(f"the pod answered that it has {str(have)[:80]} of {size} bytes")
        return have

    def next(self) -> dict[str, Any]:
        """The next line.

        :raises ConnectionLost: there is none: the process was ended.
        :raises OcneError: it refused.
        """
        while b"\n" not in self._rest:
            chunk = next(self._chunks, None)
            if chunk is None or len(self._rest) > _LINE_LIMIT:
                raise _ended(self._process, self._what)
            self._rest += chunk
        line, _newline, self._rest = self._rest.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            raise ConnectionLost(f"the pod answered {line[:80]!r}") from None
        return answer if isinstance(answer, dict) else {}


def _ended(process: RemoteProcess, what: str, when: str = "") -> Exception:
    """The error for a process that ended and should have done more."""
    said = process.stderr.splitlines()
    why = f"{when}the pod's end of it stopped with status {process.returncode}" + (f" ({said[-1][:300]})" if said else "")
    if process.returncode == REFUSED:
        return OcneError(f"Could not {what}: {why}.", "Run again.")
    return ConnectionLost(why)
