# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._builder.program import PROGRAM_MODULE, TRANSFER_MODULE, program_zip
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.transfer import TRY_AGAIN
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.transfer import REFUSED

ROOT = Path(__file__).resolve().parents[3]
CONTENT = os.urandom(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "program.zip"
    path.write_bytes(program_zip())
    return path


def python(program: Path, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The zip's Python, isolated from all else."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(program)}
    command = [sys.executable, "-s", "-m", *(str(each) for each in arguments)]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False, cwd=program.parent)


def receive(program: Path, path: Path, content: bytes, status: int = 0) -> list[dict[str, object]]:
    result = python(program, TRANSFER_MODULE, "receive", path, len(CONTENT), SHA256, stdin=content)
    assert result.returncode == status, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_it_is_small_and_always_the_same(program: Path) -> None:
    assert program.read_bytes() == program_zip()
    assert program.stat().st_size < 400_000, "a ConfigMap takes 1 MiB, and certificates need some of it"


def test_it_holds_each_source_as_it_is(program: Path) -> None:
    package = ROOT / "plugins/module_utils/_imagebuild"
    with zipfile.ZipFile(program) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {f"_imagebuild/{path.relative_to(package)}": path.read_bytes() for path in package.rglob("*.py")}


def test_it_is_the_same_out_of_the_zip_in_which_ansible_ships_modules(program: Path, tmp_path: Path) -> None:
    payload = tmp_path / "payload.zip"
    base = "ansible_collections/ocne/images/plugins/module_utils"
    with zipfile.ZipFile(payload, "w") as archive:
        for folder in ("", "/ocne", "/ocne/images", "/ocne/images/plugins"):
            archive.writestr(f"ansible_collections{folder}/__init__.py", "")
        for path in (ROOT / "plugins/module_utils").rglob("*.py"):
            archive.write(path, f"{base}/{path.relative_to(ROOT / 'plugins/module_utils')}")
    code = f"import sys; sys.path.insert(0, {str(payload)!r})\n"
    code += f"from {base.replace('/', '.')}._builder.program import program_zip; sys.stdout.buffer.write(program_zip())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=tmp_path)
    assert result.stdout == program.read_bytes(), result.stderr.decode()


def test_a_file_arrives_whole_and_twice_is_no_harm(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "in/file"
    assert receive(program, path, CONTENT + b"more that nobody reads") == [{"have": 0}, {"arrived": True}]
    assert path.read_bytes() == CONTENT
    assert receive(program, path, b"") == [{"have": len(CONTENT)}, {"arrived": True}]


def test_a_file_that_was_cut_is_not_there_and_goes_on(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert receive(program, path, CONTENT[:70_000], TRY_AGAIN) == [{"have": 0}]
    assert not path.exists()
    assert receive(program, path, CONTENT[70_000:]) == [{"have": 70_000}, {"arrived": True}]
    assert path.read_bytes() == CONTENT


def test_other_bytes_do_not_stay(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "file"
    other = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    assert receive(program, path, other) == [{"have": 0}, {"wrong": hashlib.sha256(other).hexdigest()}]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offset", [0, 99_999, 100_000])
def test_a_file_is_sent_from_an_offset_on(program: Path, tmp_path: Path, offset: int) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    assert python(program, TRANSFER_MODULE, "send", tmp_path / "file", len(CONTENT), offset).stdout == CONTENT[offset:]


def test_a_file_that_has_become_another_is_not_sent(program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    result = python(program, TRANSFER_MODULE, "send", tmp_path / "file", len(CONTENT), 0)
    assert (result.returncode, result.stdout, result.stderr) == (REFUSED, b"", b"file has 99999 bytes, and had 100000\n")


def test_a_program_says_what_is_wrong_and_ends(program: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"no disk image at all")
    request = {
        "program": "boot_image",
        "awaits": [str(tmp_path / "disk")],
        "sources": [{"file": str(tmp_path / "disk")}],
        "arguments": {
            "source_digest": "sha256:00",
            "options": {"provider": "oci", "ignition_provider": "", "kernel_arguments": []},
            "engine": "native",
        },
        "output": str(tmp_path / "output"),
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    result = python(program, PROGRAM_MODULE, tmp_path / "request.json")
    last = json.loads(io.BytesIO(result.stdout).readlines()[-1])
    assert result.returncode == 1 and "qcow2" in last["error"] and last["hint"]
    assert result.stderr == b""
