# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration, as far as it tells where files are served from, and on which port.

Reference: https://nginx.org/en/docs/http/ngx_http_core_module.html (root, alias, listen, location) and
https://nginx.org/en/docs/ngx_core_module.html (include).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .image_files import ImageFiles

DEFAULT_PORT = 80
#: How deep includes and blocks may go: nobody's configuration does.
_DEPTH = 20
#: Characters of all that is included, together with what it costs to look for it.
_INCLUDED_LIMIT = 8 << 20
_INCLUDE_COST, _NAME_COST = 256, 16

_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<mark>[{};]) | "(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>(?:[^'\\]|\\.)*)' | (?P<word>[^\s;{}"'][^\s;{}]*)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Directive:
    """A directive; block is empty for a simple one."""

    name: str
    arguments: tuple[str, ...]
    block: tuple[Directive, ...] = ()


@dataclass(frozen=True)
class Site:
    """Where the server that answers plain HTTP takes files from.

    :param root: as configured; '' where nothing is.
    """

    root: str
    port: int


def read_site(files: ImageFiles, path: str, url_path: str) -> Site:
    """What the configuration at path says for requests of url_path.

    :raises ValueError: it is malformed.
    """
    directives = _load(_Counted(files), path, posixpath.dirname(path), 0)
    http = [inner for directive in directives if directive.name == "http" for inner in directive.block]
    servers = [(directive, listen) for directive in http if directive.name == "server" if (listen := _plain_http(directive))]
    if not servers:
        return Site(_value(http, "root"), DEFAULT_PORT)
    server, (port, _default) = next(((server, listen) for server, listen in servers if listen[1]), servers[0])
    location = _location(server.block, url_path)
    root = _value(location, "root") or _value(server.block, "root") or _value(http, "root")
    return Site(root, port)


def _plain_http(server: Directive) -> tuple[int, bool] | None:
    """The server's first port without TLS, and whether it is the default server there; None where it has none."""
    listens = [directive.arguments for directive in server.block if directive.name == "listen"]
    for address, *options in listens or [(str(DEFAULT_PORT),)]:
        if "ssl" in options or "quic" in options or address.startswith("unix:"):
            continue
        match = re.fullmatch(r"(?:.*:)?(\d{1,5})", address)
        return int(match[1]) if match else DEFAULT_PORT, "default_server" in options or "default" in options
    return None


def _location(block: tuple[Directive, ...], url_path: str) -> tuple[Directive, ...]:
    """The block of the longest prefix location that takes the path."""
    best: tuple[int, tuple[Directive, ...]] = (-1, ())
    for directive in block:
        if directive.name == "location" and directive.arguments and directive.arguments[0] not in ("=", "~", "~*"):
            prefix = directive.arguments[-1]
            if url_path.startswith(prefix) and len(prefix) > best[0]:
                best = len(prefix), directive.block
    return best[1]


def _value(block: tuple[Directive, ...] | list[Directive], name: str) -> str:
    return next((directive.arguments[0] for directive in block if directive.name == name and directive.arguments), "")


class _Counted:
    """The image's files, as many as one configuration may include: files that include each other would otherwise take forever."""

    def __init__(self, files: ImageFiles) -> None:
        self._files = files
        self._left = _INCLUDED_LIMIT

    def read(self, path: str) -> str:
        text = self._files.read(path) or ""
        self._count(path, len(text) + _INCLUDE_COST)
        return text

    def names(self, folder: str) -> list[str]:
        names = self._files.names(folder)
        self._count(folder, len(names) * _NAME_COST + _INCLUDE_COST)
        return names

    def _count(self, path: str, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise ValueError(f"with {path} it includes more than {_INCLUDED_LIMIT} bytes")


def _load(files: _Counted, path: str, prefix: str, depth: int) -> tuple[Directive, ...]:
    if depth > _DEPTH:
        raise ValueError(f"{path} is included too deeply")
    return tuple(_parse(_tokens(files.read(path), path), files, path, prefix, depth, nested=False))


def _parse(tokens: Iterator[tuple[str, bool]], files: _Counted, path: str, prefix: str, depth: int, nested: bool) -> Iterator[Directive]:
    if depth > _DEPTH:
        raise ValueError(f"{path} has blocks in blocks without end")
    words: list[str] = []
    for token, is_mark in tokens:
        if not is_mark:
            words.append(token)
        elif token == "}":
            if not nested or words:
                raise ValueError(f"{path} has a '}}' where none belongs")
            return
        elif not words:
            raise ValueError(f"{path} has a {token!r} where a directive belongs")
        else:
            name, *arguments = words
            words = []
            if token == "{":
                yield Directive(name, tuple(arguments), tuple(_parse(tokens, files, path, prefix, depth + 1, nested=True)))
            elif name == "include" and arguments:
                for included in _included(files, posixpath.join(prefix, arguments[0])):
                    yield from _load(files, included, prefix, depth + 1)
            else:
                yield Directive(name, tuple(arguments))
    if words or nested:
        raise ValueError(f"{path} ends in the middle of a directive")


def _included(files: _Counted, pattern: str) -> list[str]:
    folder, name = posixpath.split(pattern)
    return sorted(posixpath.join(folder, entry) for entry in files.names(folder) if fnmatchcase(entry, name))


def _tokens(text: str, path: str) -> Iterator[tuple[str, bool]]:
    """Words and marks; True for a mark."""
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"{path} has a quote that does not end")
        at = match.end()
        if match["mark"]:
            yield match["mark"], True
        elif match.lastgroup:
            yield match[match.lastgroup], False
