# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a line of progress is due, and what it says."""

from __future__ import annotations

from collections import deque
from typing import Optional

from ...module_utils._progress import State
from .words import duration, sentence

#: Seconds before the first line: what takes less is not worth one.
FIRST = 3.0
#: Seconds between two lines, at least, and at most. Automation controllers end jobs that are silent; 30 s is promised.
SHORTEST, LONGEST = 5.0, 20.0
#: How much of the whole has to be done anew for a line before it is due.
STEP = 0.1
#: Seconds over which a rate is taken.
WINDOW = 30.0


class Teller:
    """Follows the states of one module. The clock is the caller's, in seconds.

    :param label: what every line begins with.
    :param now: when the module was started.
    :param discreet: say that it runs, and nothing of what it does.
    """

    def __init__(self, label: str, now: float, discreet: bool = False) -> None:
        self._label, self._discreet = label, discreet
        self._begun = self._last = now
        self._state: Optional[State] = None
        self._since = now  # its activity is what it is
        self._moved = now  # its done is what it is
        self._samples: deque[tuple[float, int]] = deque()
        self._told: Optional[State] = None

    def observe(self, state: State, at: float) -> None:
        """:param at: when it was so."""
        if self._discreet:
            return
        before, self._state = self._state, state
        if before is None or (before.activity, before.total) != (state.activity, state.total) or state.done < before.done:
            self._samples.clear()
            self._moved = at
            if before is None or before.activity != state.activity:
                self._since = at
        elif state.done != before.done:
            self._moved = at
        self._samples.append((at, state.done))
        while len(self._samples) > 2 and at - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    def line(self, now: float) -> Optional[str]:
        """The line that is due now; None: none is."""
        if not self._is_due(now):
            return None
        self._last, self._told = now, self._state
        if self._state is None:
            return f"{self._label}: running, {duration(now - self._begun)}"
        still = now - self._moved
        return f"{self._label}: {sentence(self._state, now - self._since, self._rate(), still if still >= LONGEST else 0.0)}"

    def _is_due(self, now: float) -> bool:
        silence, state, told = now - self._last, self._state, self._told
        if silence >= LONGEST:
            return True
        if state is None or silence < (SHORTEST if told else FIRST):
            return False
        if told is None or told.activity != state.activity:
            return True
        return bool(state.total) and abs(state.done - told.done) >= STEP * (state.total or 0)

    def _rate(self) -> Optional[float]:
        (first, start), (last, end) = self._samples[0], self._samples[-1]
        return (end - start) / (last - first) if last > first and end > start else None
