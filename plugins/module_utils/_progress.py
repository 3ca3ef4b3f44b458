# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module tells the action plugin that runs it how far it is: a file of one line, which it writes anew.

The action plugin names the file, by VARIABLE; it is there for as long as the module works. A module that nobody listens
to writes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Optional

from ._imagebuild.progress import Progress, silent

#: Environment variable with the path of the file; '~' and variables in it are those of the host where the module runs.
VARIABLE = "OCNE_IMAGES_PROGRESS"

#: Seconds between two writes of the same activity.
_INTERVAL = 0.5
_LONGEST_ACTIVITY = 200


@dataclass(frozen=True)
class State:
    """How far a module is.

    :param pid: of the module's process.
    :param done: bytes, or as total says.
    :param total: bytes; PERCENT; None: not known.
    """

    pid: int
    activity: str
    done: int
    total: Optional[int]

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, text: str) -> Optional[State]:
        """What the first line says: what follows may be the rest of a longer one. None where it says nothing (yet)."""
        try:
            value = json.loads(text.partition("\n")[0])
            total = value["total"]
            return cls(int(value["pid"]), str(value["activity"]), int(value["done"]), None if total is None else int(total))
        except (ValueError, KeyError, TypeError):
            return None


class Reporter:
    """A Progress that writes to the file; no more often than somebody could read it. A context manager, which removes the file.

    :raises OSError: the file cannot be made.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._activity, self._next = "", 0.0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self("starting", 0, None)

    def __call__(self, activity: str, done: int, total: int | None) -> None:
        now = self._clock()
        if activity == self._activity and now < self._next and done != total:
            return
        self._activity, self._next = activity, now + _INTERVAL
        with contextlib.suppress(OSError):  # a full disk is for the work itself to tell
            os.pwrite(self._file, State(os.getpid(), activity[:_LONGEST_ACTIVITY], done, total).encode(), 0)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_error: object) -> None:
        os.close(self._file)
        self._path.unlink(missing_ok=True)


@contextlib.contextmanager
def reporting() -> Iterator[Progress]:
    """Progress to the one who listens, where there is one."""
    name = os.environ.pop(VARIABLE, "")  # programs that this one starts are not listened to
    with contextlib.ExitStack() as stack:
        progress: Progress = silent
        if name:
            with contextlib.suppress(OSError):
                progress = stack.enter_context(Reporter(Path(os.path.expandvars(name)).expanduser()))
        yield progress
