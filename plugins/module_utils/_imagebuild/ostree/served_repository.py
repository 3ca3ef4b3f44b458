# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository that a web server gives, read by several connections at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Optional, TypeVar

from ..errors import BuildError
from ..progress import Progress, silent
from ..web import WebAccess, WebFolder
from .objects import METADATA_LIMIT
from .repository import object_path
from .repository_facts import SUMMARY_LIMIT, summary_refs

T = TypeVar("T")

_CONNECTIONS = 16
_MOST_MOVES = 5
#: Requests under way at once: their answers are in memory until they are taken.
_AHEAD = 256


class ServedRepository:
    """See repository_facts.Repository; a context manager that ends its connections."""

    def __init__(self, url: str, access: WebAccess, progress: Progress = silent) -> None:
        self._access = access
        self._progress = progress
        self._folder = WebFolder(url, access)
        self._workers = ThreadPoolExecutor(_CONNECTIONS, "ostree")
        self.where = self._folder.url

    def __enter__(self) -> ServedRepository:
        try:
            self._follow()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.close()
        self._workers.shutdown(wait=True, cancel_futures=True)

    def read(self, path: str, limit: int) -> Optional[bytes]:
        return self._folder.get(path, limit)

    def read_all(self, names: Iterable[str]) -> Iterator[tuple[str, Optional[bytes]]]:
        return self._each(names, "reading directories", lambda name: (name, self._folder.get(object_path(name), METADATA_LIMIT)))

    def sizes(self, names: Iterable[str]) -> Iterator[Optional[int]]:
        return self._each(names, "looking at objects", lambda name: self._folder.size(object_path(name)))

    def refs(self) -> Optional[dict[str, str]]:
        data = self._folder.get("summary", SUMMARY_LIMIT)
        if data is None:
            return None
        try:
            return summary_refs(data)
        except ValueError as error:
            raise BuildError(f"{self.where}: its summary is malformed: {error}.", "Make it anew: ostree summary --update.") from error

    def _follow(self) -> None:
        """Go to where the server sends those who ask."""
        for _turn in range(_MOST_MOVES):
            url = self._folder.moved("config")
            if url == self._folder.url:
                return
            folder = WebFolder(url, self._access)
            if folder.server != self._folder.server:
                # Another server gets no password of this one.
                folder = WebFolder(url, self._access.without_account())
            self._folder.close()
            self._folder = folder
            self.where = folder.url
        raise BuildError(f"{self.where}: the server sends those who ask from one URL to another.", "Check the URL and the server.")

    def _each(self, names: Iterable[str], activity: str, ask: Callable[[str], T]) -> Iterator[T]:
        """The answers in order, with a bounded number of questions ahead of them."""
        wanted = list(names)
        for start in range(0, len(wanted), _AHEAD):
            self._progress(activity, 0, None)
            yield from self._workers.map(ask, wanted[start : start + _AHEAD])
