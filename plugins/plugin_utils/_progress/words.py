# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module's progress in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ...module_utils._imagebuild.progress import PERCENT
from ...module_utils._progress import State

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def label(what: str, names: Sequence[str], arguments: Mapping[str, Any], host: str = "") -> str:
    """What a module makes, so that it can be told from what others make at the same time.

    :param names: of the arguments that tell it apart, as far as they are given.
    :param host: '' where there is only one.
    """
    given = (str(arguments[name]) for name in names if arguments.get(name))
    return f"{f'[{host}] ' if host else ''}{' '.join((what, *given))}"


def sentence(state: State, seconds: float, rate: Optional[float], still: float) -> str:
    """What is being done, how much of it is done, how fast, and how long it takes.

    :param seconds: since it has been done.
    :param rate: of what state.done counts, each second; None: not known.
    :param still: seconds since state.done has changed; 0.0 where it moves.
    """
    amount = _amount(state)
    if not amount:
        return f"{state.activity}, {duration(seconds)}" if seconds >= 1 else state.activity
    parts = [f"{state.activity} {amount}"]
    if still:
        parts.append(f"nothing new for {duration(still)}")
    elif rate:
        if state.total != PERCENT:
            parts.append(f"{size(rate)}/s")
        if state.total and state.done < state.total:
            parts.append(f"{duration((state.total - state.done) / rate)} left")
    return ", ".join(parts)


def _amount(state: State) -> str:
    if state.total == PERCENT:
        return f"{state.done} %"
    if state.total:
        return f"{size(state.done)} of {size(state.total)}"
    return size(state.done) if state.done else ""


def size(count: float) -> str:
    """Bytes, with two or three digits: '1.4 GiB', '412 MiB'."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit and count < 9.95 else f"{count:.0f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Seconds, as exact as people want to know: '10 s', '2 min 5 s', '15 min', '1 h 5 min'."""
    whole = max(round(seconds), 1)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return (f"{hours} h {minutes} min" if minutes else f"{hours} h") if hours else f"{minutes} min"
