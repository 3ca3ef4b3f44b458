# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod's end of a transfer: a file out of it from an offset on, or into it, bounded by length and checked by digest.

    python3 -m _imagebuild.transfer send PATH SIZE OFFSET
    python3 -m _imagebuild.transfer receive PATH SIZE SHA256

What is received appears whole under its name or not at all. When a connection broke, what had come stays for the next. Exit status
TRY_AGAIN says that too little came; any other but 0 is a refusal, with its reason on standard error.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

TRY_AGAIN = os.EX_TEMPFAIL
_CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031  # linux/fcntl.h; named by Python from 3.10 on


def send(path: Path, size: int, offset: int, output: int) -> None:
    """Write the file, which is of that size, from the offset on to a file descriptor."""
    _widen(output)
    with path.open("rb") as file:
        there = os.fstat(file.fileno()).st_size
        if there != size:
            raise SystemExit(f"{path.name} has {there} bytes, and had {size}")
        while offset < size and (count := os.sendfile(output, file.fileno(), offset, _CHUNK)):
            offset += count


def receive(path: Path, size: int, sha256: str, source: int, answers: BinaryIO) -> None:
    """Read what is missing of a file from a file descriptor.

    :param sha256: in hex, of the whole. Where the bytes have another one, they are removed.
    :param answers: gets the lines {"have": offset}, and {"arrived": true} or {"wrong": digest}.
    """

    def say(**answer: object) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    if path.exists():
        say(have=size)
        say(arrived=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    partial.touch(mode=0o600)
    _widen(source)
    # A receiver whose connection broke may still write what it had read: the same bytes to the same place.
    with partial.open("r+b", buffering=0) as file:
        digest, offset = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            offset += len(chunk)
        say(have=offset)
        while offset < size and (chunk := os.read(source, min(_CHUNK, size - offset))):
            file.write(chunk)
            digest.update(chunk)
            offset += len(chunk)
    if offset < size:
        raise SystemExit(TRY_AGAIN)
    if digest.hexdigest() != sha256:
        partial.unlink()
        say(wrong=digest.hexdigest())
        return
    partial.replace(path)
    say(arrived=True)


def _widen(pipe: int) -> None:
    """Let a pipe hold more, where it is one and that is allowed: its ends wait for each other less often."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _CHUNK)


def main() -> None:
    what, path, *numbers = sys.argv[1:]
    if what == "send":
        send(Path(path), int(numbers[0]), int(numbers[1]), sys.stdout.fileno())
    else:
        receive(Path(path), int(numbers[0]), numbers[1], sys.stdin.fileno(), sys.stdout.buffer)


if __name__ == "__main__":
    main()
