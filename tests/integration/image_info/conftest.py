# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import module_call


class Info:
    """ocne_image_info with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"

    def __call__(self, source: object, check: bool = False, **options: Any) -> dict[str, Any]:
        return module_call.call("ocne_image_info", self._params(source, options), check)

    def image(self, source: object, **options: Any) -> dict[str, Any]:
        return dict(self(source, **options)["image"])

    def archive(self, source: object, **options: Any) -> dict[str, Any]:
        return dict(self(source, **options)["archive"])

    def message(self, source: object, check: bool = False, **options: Any) -> str:
        return module_call.message("ocne_image_info", self._params(source, options), check)

    def left(self) -> list[str]:
        """Names of all that is in the cache beside blobs."""
        return sorted(path.name for path in self.cache.iterdir() if path.name != "blobs") if self.cache.is_dir() else []

    def _params(self, source: object, options: dict[str, Any]) -> dict[str, Any]:
        return {"source": str(source), "cache_dir": str(self.cache), "tls_verify": False, **options}


@pytest.fixture
def info(tmp_path: Path) -> Info:
    return Info(tmp_path)
