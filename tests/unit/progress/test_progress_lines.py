# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lines of progress say, and when they are due."""

from __future__ import annotations

from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import PERCENT
from ansible_collections.ocne.images.plugins.module_utils._progress import State
from ansible_collections.ocne.images.plugins.plugin_utils._progress.teller import FIRST, LONGEST, SHORTEST, Teller
from ansible_collections.ocne.images.plugins.plugin_utils._progress.words import duration, label, sentence, size

MIB, GIB = 1 << 20, 1 << 30


def _state(activity: str = "uploading", done: int = 0, total: Optional[int] = None) -> State:
    return State(1, activity, done, total)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (9.94 * MIB, "9.9 MiB"),
        (9.96 * MIB, "10 MiB"),
        (412 * MIB, "412 MiB"),
        (999 * MIB, "999 MiB"),
        (1023 * MIB, "1.0 GiB"),
        (1.4 * GIB, "1.4 GiB"),
        (5000 * 1024 * GIB, "5000 TiB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (599, "9 min 59 s"),
        (629, "10 min"),
        (3599, "1 h"),
        (3900, "1 h 5 min"),
        (7200, "2 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("state", "rate", "still", "text"),
    [
        (_state("uploading", 412 * MIB, 1434 * MIB), 96.0 * MIB, 0.0, "uploading 412 MiB of 1.4 GiB, 96 MiB/s, 11 s left"),
        (_state("uploading", 0, 1434 * MIB), None, 0.0, "uploading 0 B of 1.4 GiB"),
        (_state("uploading", 10, 10), 5.0, 0.0, "uploading 10 B of 10 B, 5 B/s"),
        (_state("uploading", 5, 10), 5.0, 40.0, "uploading 5 B of 10 B, nothing new for 40 s"),
        (_state("copying", 5 * MIB), 1.0 * MIB, 0.0, "copying 5.0 MiB, 1.0 MiB/s"),
        (_state("importing", 64, PERCENT), 0.5, 0.0, "importing 64 %, 1 min 12 s left"),
        (_state("importing", 0, PERCENT), None, 0.0, "importing 0 %"),
        (_state("waiting for a node"), None, 70.0, "waiting for a node, 1 min 10 s"),
    ],
)
def test_sentences(state: State, rate: Optional[float], still: float, text: str) -> None:
    assert sentence(state, 70.0, rate, still) == text


def test_what_has_just_begun_has_no_duration() -> None:
    assert sentence(_state("waiting for a node"), 0.4, None, 0.0) == "waiting for a node"


@pytest.mark.parametrize(
    ("arguments", "host", "text"),
    [
        ({"architecture": "arm64", "version": "1.33"}, "", "boot image 1.33 arm64"),
        ({"architecture": "arm64", "password": "canary"}, "", "boot image arm64"),
        ({"version": 1.33, "architecture": None}, "", "boot image 1.33"),
        ({}, "node1", "[node1] boot image"),
    ],
)
def test_labels(arguments: dict[str, Any], host: str, text: str) -> None:
    assert label("boot image", ("version", "architecture"), arguments, host) == text


class Play:
    """A module that is looked at every second, and what is said of it."""

    def __init__(self, discreet: bool = False) -> None:
        self.now = 0.0
        self.teller = Teller("it", 0.0, discreet)
        self.lines: list[tuple[float, str]] = []

    def seconds(self, count: int, *states: State) -> None:
        """Let time go by; a state each second, the last one for the rest."""
        for number in range(count):
            self.now += 1.0
            if states:
                self.teller.observe(states[min(number, len(states) - 1)], self.now)
            line = self.teller.line(self.now)
            if line:
                self.lines.append((self.now, line))


def test_what_is_over_in_no_time_is_not_told() -> None:
    play = Play()
    play.seconds(int(FIRST) - 1, _state())
    assert play.lines == []


def test_a_quick_transfer_is_told_in_steps_of_time() -> None:
    play = Play()
    play.seconds(20, *(_state("uploading", done * MIB, 20 * MIB) for done in range(1, 21)))
    assert play.lines == [
        (3.0, "it: uploading 3.0 MiB of 20 MiB, 1.0 MiB/s, 17 s left"),
        (8.0, "it: uploading 8.0 MiB of 20 MiB, 1.0 MiB/s, 12 s left"),
        (13.0, "it: uploading 13 MiB of 20 MiB, 1.0 MiB/s, 7 s left"),
        (18.0, "it: uploading 18 MiB of 20 MiB, 1.0 MiB/s, 2 s left"),
    ]


def test_a_slow_transfer_is_told_in_steps_of_the_whole_and_never_too_seldom() -> None:
    play = Play()
    play.seconds(400, *(_state("uploading", done, 1000) for done in range(1, 401)))
    times = [at for at, _line in play.lines]
    assert {late - early for early, late in zip(times, times[1:])} == {LONGEST}
    play.seconds(100, *(_state("uploading", 400 + done * 6, 1000) for done in range(1, 101)))
    times = [at for at, _line in play.lines if at > 420]
    assert {late - early for early, late in zip(times, times[1:])} <= {16.0, 17.0}


def test_a_new_activity_is_told_soon_but_not_at_once_after_another_line() -> None:
    play = Play()
    play.seconds(4, _state("fetching"))
    play.seconds(6, _state("converting"))
    assert play.lines == [(3.0, "it: fetching, 2 s"), (3.0 + SHORTEST, "it: converting, 3 s")]


def test_nobody_waits_for_a_word_longer_than_is_promised() -> None:
    play = Play()
    play.seconds(60)
    play.seconds(120, _state("uploading", 5, 10))
    times = [0.0, *(at for at, _line in play.lines), play.now]
    assert max(late - early for early, late in zip(times, times[1:])) <= LONGEST < 30
    assert play.lines[0] == (LONGEST, "it: running, 20 s")
    assert play.lines[-1][1] == "it: uploading 5 B of 10 B, nothing new for 1 min 42 s"


def test_a_rate_is_that_of_the_last_half_minute() -> None:
    play = Play()
    play.seconds(100, *(_state("copying", done * 1000 * MIB) for done in range(100)))
    play.seconds(60, *(_state("copying", 99000 * MIB + done * MIB) for done in range(60)))
    assert play.lines[-1][1].endswith(", 1.0 MiB/s")


def test_a_try_that_begins_anew_has_no_negative_rate() -> None:
    play = Play()
    play.seconds(4, *(_state("copying", done * MIB, 100 * MIB) for done in (50, 60, 70, 80)))
    play.seconds(5, *(_state("copying", done * MIB, 100 * MIB) for done in (0, 1, 2, 3, 4)))
    assert play.lines[-1] == (8.0, "it: copying 3.0 MiB of 100 MiB, 1.0 MiB/s, 1 min 37 s left")


def test_what_must_not_be_told_is_not() -> None:
    play = Play(discreet=True)
    play.seconds(50, _state("uploading the secret", 5, 10))
    assert [line for _at, line in play.lines] == ["it: running, 20 s", "it: running, 40 s"]
