# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals that wait: while something is made and its id is noted, so that it can be removed by that id; while it is removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back what would end the run until the block is left, then let it come. Only for the main thread.

    A signal mask does not do: Python runs handlers in the main thread whichever thread the signal came to.
    """
    arrived: list[int] = []

    def hold(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    handlers = [(number, signal.signal(number, hold)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])
