# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a build program says how far it is."""

from __future__ import annotations

from typing import Callable, Optional

#: A total that counts per cent instead of bytes.
PERCENT = 100

#: Called with what is being done, how many bytes are done, and how many there are (None: not known; PERCENT: per cent are counted).
Progress = Callable[[str, int, Optional[int]], None]


def silent(activity: str, done: int, total: int | None) -> None:
    """Progress for callers that do not listen."""
