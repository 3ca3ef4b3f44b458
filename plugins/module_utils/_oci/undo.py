# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step has made and would remove again should it fail."""

from __future__ import annotations

from types import TracebackType
from typing import Callable

from .._errors import OcneError


class Undo:
    """A context manager: left by an exception, it calls what was added, the newest first, and says in the error's hint
    what was removed and what is left. One that fails does not keep the others from being tried."""

    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], None]]] = []

    def add(self, thing: str, remove: Callable[[], None]) -> None:
        self._steps.append((thing, remove))

    def forget(self) -> None:
        """The work is done: keep all."""
        self._steps.clear()

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            return
        removed, left = [], []
        for thing, remove in reversed(self._steps):
            try:
                remove()
                removed.append(thing)
            except Exception as problem:  # whatever it is, the others are tried, and the first error is the one to tell
                left.append(f"{thing} is left: {problem.message if isinstance(problem, OcneError) else repr(problem)}")
        if isinstance(error, OcneError):
            said = [f"Removed again: {', '.join(removed)}."] if removed else []
            error.hint = " ".join([error.hint, *said, *left]).strip()
