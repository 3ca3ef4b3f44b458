# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The web server in a base image: where it takes files from, and on which port it gives them."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from ..errors import BuildError
from ..layout import Image
from .image_files import Folder, ImageFiles
from .nginx_configuration import read_site

#: Where images keep nginx's configuration, and the prefixes (nginx -V) that relative paths in it can begin at:
#: packages and images of nginx.org, Debian, Fedora and Oracle Linux; nginx's own default; Bitnami's image.
_KNOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/etc/nginx/nginx.conf", ("/usr/share/nginx", "/etc/nginx")),
    ("/usr/local/nginx/conf/nginx.conf", ("/usr/local/nginx",)),
    ("/opt/bitnami/nginx/conf/nginx.conf", ("/opt/bitnami/nginx",)),
)
#: The document root where nothing sets one.
_DEFAULT_ROOT = "html"
#: The path in URLs, and the folder in the document root, under which the repository is served.
SERVED_AS = "ostree"


@dataclass(frozen=True)
class WebServer:
    """:param folders: the folders of the document root's path, outermost first, as the image has them."""

    document_root: str
    port: int
    folders: tuple[tuple[str, Folder], ...]


def find_web_server(image: Image, files: ImageFiles, document_root: str = "") -> WebServer:
    """The web server of the image.

    :param document_root: what to take instead of what the configuration says; '': nothing.
    :raises BuildError: there is none, or its configuration does not tell.
    """
    configuration, prefixes = next(((path, prefixes) for path, prefixes in _KNOWN if files.read(path) is not None), ("", ()))
    if not configuration:
        raise BuildError(
            f"Base image {image.digest} has no nginx: there is none of {', '.join(path for path, _prefixes in _KNOWN)} in it.",
            "Choose an nginx image as base_image.",
        )
    command = image.config.get("config") or {}
    if not (command.get("Entrypoint") or command.get("Cmd")):
        raise BuildError(f"Base image {image.digest} does not say what to run.", "Choose a base_image that starts nginx.")
    try:
        site = read_site(files, configuration, f"/{SERVED_AS}/config")
    except ValueError as error:
        raise BuildError(f"nginx's configuration in base image {image.digest} cannot be read: {error}.") from error
    root = document_root or site.root or _DEFAULT_ROOT
    if "$" in root:
        raise BuildError(
            f"nginx's configuration in base image {image.digest} has the document root {root!r}, which only nginx itself can tell.",
            "Set document_root to its absolute path.",
        )
    roots = [posixpath.join(prefix, root) for prefix in prefixes]
    root = next((path for path in roots if files.folder(files.resolve(path))), roots[0])
    root = files.resolve(root)
    if not root.isprintable():
        raise BuildError(f"The document root in base image {image.digest} is {root!r}, which is no text.", "Choose a usual nginx image.")
    return WebServer(root, site.port, tuple(_folders(root, files)))


def _folders(root: str, files: ImageFiles) -> list[tuple[str, Folder]]:
    """A folder that the image does not have is open to all, as is one that was not listed by its layers."""
    paths = []
    while root != "/":
        paths.append(root)
        root = posixpath.dirname(root)
    return [(path, files.folder(path) or Folder(0o755, 0, 0)) for path in reversed(paths)]
