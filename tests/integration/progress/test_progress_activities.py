# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules tell of their work: how much of how much, in which order."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _module
from ansible_collections.ocne.images.plugins.module_utils._containers import watching

from tests.support import module_call, registry
from tests.support.container_image import Layout
from tests.support.sample_disk import SMALL, boot_disk

SIZE = 40 << 20
Told = dict[str, list[tuple[int, Optional[int]]]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is told of each activity, in order."""
    heard: Told = {}

    @contextlib.contextmanager
    def reporting() -> Iterator[Any]:
        yield lambda activity, done, total: heard.setdefault(activity, []).append((done, total))

    monkeypatch.setattr(_module, "reporting", reporting)
    monkeypatch.setattr(watching, "_INTERVAL", 0.01)
    return heard


def _amounts(told: Told, activity: str) -> list[int]:
    """How much was done, which grows up to the whole."""
    amounts = [done for done, _total in told[activity]]
    assert amounts == sorted(amounts)
    return amounts


def test_fetching_tells_what_has_arrived_of_what_is_missing(tmp_path: Path, told: Told) -> None:
    layout = Layout(tmp_path / "layout")
    image = layout.add_image([{"disk/boot.qcow2": boot_disk(SMALL)}, {"more": random.Random(1).randbytes(SIZE)}], "amd64", "none")
    layout.tag("1", layout.add_index([image]))
    with registry.serve() as running:
        source = running.push(f"oci:{tmp_path / 'layout'}:1", "olcne/ock:1")
        params = {"source": source, "dest": str(tmp_path / "boot"), "cache_dir": str(tmp_path / "cache"), "architecture": "amd64"}
        module_call.call("ocne_boot_image", {**params, "tls_verify": False})
    amounts = _amounts(told, "fetching ock")
    (total,) = {total for _done, total in told["fetching ock"]}
    assert total and total > SIZE and SIZE // 4 < amounts[-1] <= total
    assert next(iter(told)) == "looking at what is there" and list(told)[-1] == "writing boot to disk"
    assert "changing the disk" in told and told["computing the digest"][-1][0] == told["computing the digest"][-1][1]


def test_a_push_tells_what_it_has_copied(tmp_path: Path, told: Told) -> None:
    layout = Layout(tmp_path / "layout")
    layout.tag("1", layout.add_image([{"a": random.Random(2).randbytes(SIZE)}], "amd64", "none"))
    module_call.call("ocne_image_push", {"src": f"oci:{tmp_path / 'layout'}:1", "dest": f"oci-archive:{tmp_path / 'archive'}:1"})
    amounts = _amounts(told, "copying layout")
    assert SIZE // 4 < amounts[-1] <= SIZE + (1 << 20) and len(set(amounts)) > 2
