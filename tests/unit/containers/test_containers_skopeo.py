# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When skopeo is run again. A script stands in for it, which fails in a chosen way."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.access import Access
from ansible_collections.ocne.images.plugins.module_utils._containers.failures import SkopeoFailed
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import parse_reference
from ansible_collections.ocne.images.plugins.module_utils._containers.skopeo import Skopeo

SOURCE, DEST = parse_reference("oci-archive:/srv/a.tar"), parse_reference("docker://registry.example.com/a:1")


class Script:
    """A skopeo that fails the first so many times it is run, and keeps its arguments."""

    def __init__(self, folder: Path, failures: int, message: str) -> None:
        self.calls = folder / "calls"
        self.calls.touch()
        program = folder / "skopeo"
        program.write_text(
            f'#!/bin/sh\necho "$@" >>{self.calls}\n'
            f'[ "$(wc -l <{self.calls})" -gt {failures} ] || {{ echo \'level=fatal msg="{message}"\' >&2; exit 1; }}\n'
        )
        program.chmod(0o755)

    def count(self) -> int:
        return len(self.calls.read_text().splitlines())


def _copy(
    monkeypatch: pytest.MonkeyPatch, folder: Path, failures: int, message: str, retries: int
) -> tuple[Script, list[float], list[int]]:
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    script, pauses, cleared = Script(folder, failures, message), list[float](), list[int]()
    skopeo = Skopeo(Access(), retries=retries, sleep=pauses.append)
    skopeo.copy(SOURCE, DEST, before_try=lambda: cleared.append(script.count()))
    return script, pauses, cleared


def test_broken_connection_is_tried_again_from_a_clean_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script, pauses, cleared = _copy(monkeypatch, tmp_path, 2, "connection refused", 3)
    assert script.count() == 3
    assert pauses == [1, 2]
    assert cleared == [0, 1, 2]


@pytest.mark.parametrize(("retries", "message"), [(0, "connection refused"), (3, "unauthorized"), (3, "no space left on device")])
def test_what_cannot_succeed_is_not_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, retries: int, message: str) -> None:
    with pytest.raises(SkopeoFailed, match=message):
        _copy(monkeypatch, tmp_path, 1, message, retries)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_last_failure_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SkopeoFailed, match="connection refused"):
        _copy(monkeypatch, tmp_path, 9, "connection refused", 2)
    assert len((tmp_path / "calls").read_text().splitlines()) == 3


def test_each_side_is_reached_in_its_own_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = Script(tmp_path, 0, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    source = parse_reference("docker://other.example.com/a:1")
    Skopeo(Access(username="u", password="canary", tls_verify=False), Access()).copy(source, DEST)
    arguments = script.calls.read_text()
    assert "--dest-tls-verify=false" in arguments
    assert "--src-tls-verify" not in arguments
    assert "--dest-authfile" in arguments
    assert "--src-authfile" not in arguments
    assert "canary" not in arguments


OPENS_FILES = """#!{python}
import os, sys
for number in range(3, 40):
    os.dup2(os.open("/dev/null", os.O_RDONLY), number)
print(*(open(word.partition("=")[2]).read() for word in sys.argv if word.startswith("--authfile=")))
"""


def test_password_is_not_in_the_way_of_files_of_skopeos_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For containers-storage it runs itself again where the user is not root, with pipes at the first numbers."""
    (tmp_path / "skopeo").write_text(OPENS_FILES.format(python=sys.executable))
    (tmp_path / "skopeo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert b"registry.example.com" in Skopeo(Access(username="u", password="p")).manifest(DEST)
