# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes when the newest of each kind stay: files of a folder, images of a compartment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Callable, TypeVar

T = TypeVar("T")


def superseded(newest_first: Iterable[T], keep: int, kind: Callable[[T], Hashable]) -> list[T]:
    """All but the first of each kind, in their order.

    :param keep: how many of each kind stay.
    """
    seen: Counter[Hashable] = Counter()
    found = []
    for each in newest_first:
        its_kind = kind(each)
        seen[its_kind] += 1
        if seen[its_kind] > keep:
            found.append(each)
    return found
