# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that are made to do harm, given to modules: each is refused with a message, in bounded time and memory, and nothing is left."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile_disks import CONTENTS, CONVERSION, HEADERS, Attack
from tests.support.measured_calls import Call, Limits, Measured, call

MIB = 1 << 20
#: The engine works in this process alone: the kernel holds its memory, too.
LIMITS = Limits(address_space=768 * MIB, open_files=64, seconds=60)
PEAK = 192 * MIB


def snapshot(top: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below the folder: its type and mode, its size, and when it was changed."""
    found = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        found[str(path.relative_to(top))] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def run(top: Path, attacks: Mapping[str, Attack], modules: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], Measured]:
    """What each module says of each disk, by both names. The folders of dest and cache exist, and are empty."""
    for folder in ("dest", "cache", "home", "tmp", "sources"):
        (top / folder).mkdir()
    calls = {}
    for number, (name, attack) in enumerate(attacks.items()):
        source = top / f"sources/{number}.qcow2"
        content = attack.make()
        if isinstance(content, bytearray):
            source.write_bytes(content)
        else:
            content(source)
        for module, params in modules.items():
            given = {"source": str(source), "cache_dir": str(top / "cache"), "architecture": "amd64", **params}
            calls[name, module] = Call(module.partition(" ")[0], given)
    before = snapshot(top)
    measured = call(list(calls.values()), LIMITS, {"HOME": str(top / "home"), "TMPDIR": str(top / "tmp")})
    after = snapshot(top)
    # The folders' own times change as temporary files come and go; digests of files that were read are remembered.
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not [path for path in changed if path not in ("dest", "cache", "tmp", "home") and not path.startswith("cache/digests")]
    return dict(zip(calls, measured))


def judge(attacks: Mapping[str, Attack], results: Mapping[tuple[str, str], Measured]) -> None:
    """Every refusal says what and where, and took no more than it may."""
    for (name, module), measured in results.items():
        told = f"{name}, {module}: {measured}"
        assert re.search(attacks[name].said, measured.message), told
        assert "Traceback" not in str(measured.result) and "exception" not in measured.result, told
        assert ".oci.part" not in measured.message, told
        assert ".qcow2" in measured.message or "partition" in measured.message or "Boot entry" in measured.message, told
        assert measured.message.rstrip().endswith("."), told
        assert measured.peak < PEAK, told
        assert (measured.descriptors, measured.threads) == (0, 0), told


def boot_image(top: Path, engine: str) -> dict[str, Any]:
    return {"dest": str(top / "dest/boot.oci"), "engine": engine}


def test_what_headers_show_is_refused_before_anything_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # guestfish and qemu-img are not there to be tried
    modules = {
        "ocne_boot_image native": boot_image(tmp_path, "native"),
        "ocne_boot_image guestfs": boot_image(tmp_path, "guestfs"),
        "ocne_image_info auto": {"engine": "auto"},
        "ocne_image_info guestfs": {"engine": "guestfs"},
    }
    results = run(tmp_path, HEADERS, modules)
    assert len(results) == 4 * len(HEADERS)
    judge(HEADERS, results)


def test_what_shows_when_a_disk_is_read_is_refused(tmp_path: Path) -> None:
    modules = {"ocne_boot_image": boot_image(tmp_path, "native"), "ocne_image_info": {"engine": "native"}}
    judge(CONTENTS, run(tmp_path, CONTENTS, modules))


def test_what_a_conversion_reads_is_refused(tmp_path: Path) -> None:
    judge(CONVERSION, run(tmp_path, CONVERSION, {"ocne_boot_image": boot_image(tmp_path, "native")}))
