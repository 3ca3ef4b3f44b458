# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that is watched while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers import watching
from ansible_collections.ocne.images.plugins.module_utils._containers.watching import run_watched

_READER = "import sys; sys.stdin.buffer.read(3 << 20); print('read', flush=True); sys.stdin.read(1); sys.exit(3)"


def test_bytes_that_it_reads_are_told_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_INTERVAL", 0.05)
    reader, writer = os.pipe()
    feeder = subprocess.Popen(
        [sys.executable, "-c", "import os; os.write(1, b'x' * (3 << 20)); os.read(0, 1)"], stdin=reader, stdout=subprocess.PIPE
    )
    told: list[int] = []

    def watch(count: int) -> None:
        told.append(count)
        if count >= 3 << 20:
            os.write(writer, b"x")  # only now may the feeder end, and with it the reader

    done = run_watched([sys.executable, "-c", _READER], watch, stdin=feeder.stdout)
    assert (done.returncode, done.stdout) == (3, b"read\n")
    assert told == sorted(told) and told[-1] >= 3 << 20
    feeder.wait()
    assert feeder.stdout is not None
    feeder.stdout.close()
    os.close(reader)
    os.close(writer)


def test_what_ends_the_watching_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_INTERVAL", 0.05)

    def watch(_count: int) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_watched(["sleep", "60"], watch)
    assert time.monotonic() - began < 30


def test_a_program_that_does_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_INTERVAL", 0.05)
    monkeypatch.setattr(watching, "PATIENCE", 0.5)
    with pytest.raises(watching.Hangs, match="nothing was read or written"):
        run_watched(["sleep", "600"], lambda _count: None)


def test_what_a_child_reads_is_seen() -> None:
    """skopeo has itself run again in a user namespace, and waits for that."""
    command = [sys.executable, "-c", "import os; os.write(1, b'x'); os.read(0, 1); os.write(1, b'x'); os.read(0, 1)"]
    with subprocess.Popen(["sh", "-c", '"$0" "$@"; exit 3', *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.read(1)
        before = watching._moved(process.pid)
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)
        assert before and len(before) == 2
        assert before != watching._moved(process.pid)


def test_a_process_that_is_gone_has_read_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert watching.bytes_read(process.pid) == 0
