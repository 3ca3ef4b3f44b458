# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that are made to do harm, given to modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.hostile.judging import MIB, judge, run
from tests.support.hostile_disks import CONTENTS, CONVERSION, HEADERS, Attack
from tests.support.measured_calls import Limits

#: The engine works in this process alone: the kernel holds its memory, too.
LIMITS = Limits(address_space=768 * MIB, open_files=64, seconds=120)


def boot_image(top: Path, engine: str) -> dict[str, Any]:
    return {"dest": str(top / "dest/boot.oci"), "engine": engine}


def prove(top: Path, attacks: Mapping[str, Attack], modules: Mapping[str, Mapping[str, Any]]) -> None:
    (top / "sources").mkdir()
    sources = {}
    for number, (name, attack) in enumerate(attacks.items()):
        source = top / f"sources/{number}.qcow2"
        content = attack.make()
        if isinstance(content, bytearray):
            source.write_bytes(content)
        else:
            content(source)
        sources[name] = str(source)
    results = run(top, sources, modules, LIMITS)
    assert len(results) == len(attacks) * len(modules)
    judge({name: attack.said for name, attack in attacks.items()}, results, r"\.qcow2|\.oci|partition|Boot entry")


def test_what_headers_show_is_refused_before_anything_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # guestfish and qemu-img are not there to be tried
    modules = {
        "ocne_boot_image native": boot_image(tmp_path, "native"),
        "ocne_boot_image guestfs": boot_image(tmp_path, "guestfs"),
        "ocne_image_info auto": {"engine": "auto"},
        "ocne_image_info guestfs": {"engine": "guestfs"},
    }
    prove(tmp_path, HEADERS, modules)


def test_what_shows_when_a_disk_is_read_is_refused(tmp_path: Path) -> None:
    prove(tmp_path, CONTENTS, {"ocne_boot_image": boot_image(tmp_path, "native"), "ocne_image_info": {"engine": "native"}})


def test_what_a_conversion_reads_is_refused(tmp_path: Path) -> None:
    prove(tmp_path, CONVERSION, {"ocne_boot_image": boot_image(tmp_path, "native")})
