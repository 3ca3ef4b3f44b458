# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which engine does a piece of work: the one asked for, or the first that does not refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Callable, TypeVar

from ..errors import BuildError, Unsupported
from .device import HostFile
from .gpt import read_gpt
from .guestfs import GuestfsDisk
from .image import open_image
from .interface import Disk
from .native import open_native
from .qcow2_header import read_header

T = TypeVar("T")


def _open_guestfs(path: Path, writable: bool) -> Disk:
    """What can be judged here is judged before libguestfs sees the image: it would follow whatever a header says."""
    with closing(HostFile(path, writable=False)) as file:
        read_header(file)
        with suppress(Unsupported):
            read_gpt(open_image(file))
    return GuestfsDisk(path, writable)


ENGINES: Mapping[str, Callable[[Path, bool], Disk]] = {"native": open_native, "guestfs": _open_guestfs}


def candidates(engine: str) -> Sequence[str]:
    """The engines to try, in order. engine: one of ENGINES, or 'auto'."""
    return tuple(ENGINES) if engine == "auto" else (engine,)


def with_disk(path: Path, engine: str, writable: bool, work: Callable[[Disk], T]) -> tuple[T, str, str]:
    """Open the disk image and do the work.

    :returns: the work's result, the engine that did it, and why it was not an earlier candidate ('' where it was the first).
    :raises BuildError: as the work, or the engine that is opened.
    """
    reason = ""
    *earlier, last = candidates(engine)
    for name in earlier:
        try:
            with ENGINES[name](path, writable) as disk:
                return work(disk), name, reason
        except Unsupported as refusal:
            reason = str(refusal)
    try:
        with ENGINES[last](path, writable) as disk:
            return work(disk), last, reason
    except BuildError as error:
        if not reason:
            raise
        raise BuildError(f"{error.message} The engine {last} was to do it, as the engine before it said: {reason}", error.hint) from error
