# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import module_call, registry
from tests.support.registry import Registry


class Converter:
    """ocne_boot_image with a folder and a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.dest = folder / "images/boot.oci"
        self.cache = folder / "cache"
        self.params: dict[str, Any] = {"dest": str(self.dest), "cache_dir": str(self.cache), "architecture": "amd64", "tls_verify": False}

    def __call__(self, source: object, check: bool = False, **options: Any) -> dict[str, Any]:
        return module_call.call("ocne_boot_image", {**self.params, "source": str(source), **options}, check)

    def message(self, source: object, check: bool = False, **options: Any) -> str:
        return module_call.message("ocne_boot_image", {**self.params, "source": str(source), **options}, check)

    def left(self) -> list[str]:
        """Names of all files beside the artefact."""
        return sorted(path.name for path in self.dest.parent.iterdir()) if self.dest.parent.is_dir() else []


@pytest.fixture
def convert(tmp_path: Path) -> Converter:
    return Converter(tmp_path)


@pytest.fixture(scope="session")
def a_registry() -> Iterator[Registry]:
    with registry.serve() as running:
        yield running
