# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upload playbook as a person and as a job run it: a registry refuses, and the playbook asks, or fails at once."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.collection import collections_path
from tests.support.image_push import Image
from tests.support.registry import PASSWORD, USER, Registry

#: Seconds after which a program at a terminal hangs.
SILENCE = 120


@pytest.fixture
def command(image: Image, secured: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The playbook over an archive and a registry that wants an account."""
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections_path()), "ANSIBLE_HOME": str(tmp_path / "home"), "NO_COLOR": "1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("CI", "JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    variables = {
        "ocne_images_ostree_archive_src": image.archive(tmp_path / "a.tar"),
        "ocne_images_upload_dest": f"docker://{secured.host}/{tmp_path.name.lower().replace('_', '-')}:1",
        "ocne_images_ca_certificates": secured.ca,
    }
    extra = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    return [str(Path(sys.executable).with_name("ansible-playbook")), "ocne.images.upload_ostree_archive", *extra]


def _type(command: Sequence[str], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run a command at a terminal and answer what it asks; its exit status, and all that the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(command[0], command)
    shown, questions, typed, heard = "", list(answers), 0.0, time.monotonic()
    while True:
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the other side is closed
                os.close(terminal)
                return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown
            heard = time.monotonic()
        if time.monotonic() - heard > SILENCE:
            os.kill(process, signal.SIGKILL)
            raise AssertionError(f"for {SILENCE} s there was nothing after: {shown}")
        if questions and questions[0][0] in shown:
            # Ansible drops what was typed before it listens, which is some moments after its question.
            if typed and not _listens(terminal):
                questions.pop(0)
                typed = 0.0
            elif _listens(terminal) and time.monotonic() - typed > 5:
                os.write(terminal, f"{questions[0][1]}\r".encode())
                typed = time.monotonic()


def _listens(terminal: int) -> bool:
    """Whether keys go to the program as they are pressed."""
    return not termios.tcgetattr(terminal)[3] & termios.ICANON


def test_person_is_asked_once_and_the_password_is_not_shown(command: list[str], secured: Registry) -> None:
    questions = ((f"Username at {secured.host}", USER), (f"Password of {USER} at {secured.host} (output is hidden)", PASSWORD))
    status, shown = _type([*command, "-vvv"], questions)
    assert status == 0, shown
    assert PASSWORD not in shown
    assert shown.count("Password of") == shown.count("(output is hidden)") == 1
    assert '"copied": true' in shown


def test_wrong_answer_fails_without_a_second_question(command: list[str], secured: Registry) -> None:
    questions = ((f"Username at {secured.host}", USER), ("(output is hidden)", "wrong-canary"))
    status, shown = _type([*command, "-vvv"], questions)
    assert status == 2
    assert f"The registry {secured.host} refused the account {USER}" in shown
    assert "wrong-canary" not in shown
    assert shown.count("(output is hidden)") == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_job_fails_at_once_and_says_what_to_configure(command: list[str], terminal: bool) -> None:
    if terminal:  # one that a controller shows, and where nobody sits
        status, shown = _type([*command, "-e", "ocne_images_ask_for_account=false"], ())
    else:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)
        status, shown = result.returncode, result.stdout
        assert "ocne_images_authfile, or ocne_images_username and ocne_images_password" in shown
    assert status == 2
    assert "wants an account" in shown
    assert "hidden" not in shown


def test_job_with_an_account_asks_nothing_and_changes_once(command: list[str], tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.yml"
    secrets.write_text(f"ocne_images_username: {USER}\nocne_images_password: {PASSWORD}\n")
    shown = []
    for options in (["--check"], [], ["--check"], []):
        run = [*command, "-e", f"@{secrets}", "-vvv", *options]
        result = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300)
        assert result.returncode == 0, result.stdout
        assert PASSWORD not in result.stdout + result.stderr
        shown.append(result.stdout)
    assert ["changed=1" in output for output in shown] == [True, True, False, False]
