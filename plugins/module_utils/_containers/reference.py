# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""References to container images: containers-transports(5) and registry names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .._errors import OcneError

#: containers-transports(5).
TRANSPORTS = (
    "containers-storage",
    "dir",
    "docker",
    "docker-archive",
    "docker-daemon",
    "oci",
    "oci-archive",
    "ostree",
    "sif",
)
#: Transports that name a file or folder of this host first.
_PATH_TRANSPORTS = ("dir", "docker-archive", "oci", "oci-archive", "sif")


@dataclass(frozen=True)
class Reference:
    """An image by transport and the rest, as skopeo takes it: <transport>:<rest>."""

    transport: str
    rest: str

    def __str__(self) -> str:
        return f"{self.transport}:{self.rest}"

    @property
    def registry(self) -> str:
        """Host and port of the registry; '' for other transports."""
        if self.transport != "docker":
            return ""
        host, slash, _path = self.rest[2:].partition("/")
        known = slash and ("." in host or ":" in host or host == "localhost")
        return host if known else "docker.io"

    @property
    def short(self) -> str:
        """What people call the image: the last part of its repository's or file's name."""
        return (str(self.path) if self.path else self.rest.partition("@")[0]).rpartition("/")[2]

    @property
    def path(self) -> Path | None:
        """The file or folder that the reference names, for transports that name one."""
        if self.transport not in _PATH_TRANSPORTS:
            return None
        return Path(self.rest if self.transport in ("dir", "sif") else self.rest.partition(":")[0])

    def with_path(self, path: Path) -> Reference:
        """The same image in another file or folder."""
        _path, colon, name = self.rest.partition(":")
        return Reference(self.transport, str(path) if self.transport in ("dir", "sif") else f"{path}{colon}{name}")

    @property
    def name(self) -> str:
        """What the image is called in an archive or layout; '' where it has no name."""
        return self.rest.partition(":")[2] if self.transport in ("docker-archive", "oci", "oci-archive") else ""

    def at(self, digest: str) -> Reference:
        """The same repository of a registry, pinned to a digest."""
        name = self.rest.partition("@")[0]
        head, slash, last = name.rpartition("/")
        return Reference(self.transport, f"{head}{slash}{last.partition(':')[0]}@{digest}")


def parse_reference(text: str) -> Reference:
    """A reference; a name without a transport is one of a registry, as podman has it.

    :raises OcneError: it is no reference.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport in TRANSPORTS:
        if transport == "docker" and not rest.startswith("//"):
            raise OcneError(f"{text!r} is not a reference: docker: is followed by //.", f"Write docker://{rest}.")
        reference = Reference(transport, rest)
        name = rest[2:] if transport == "docker" else rest
    else:
        reference, name = Reference("docker", f"//{text}"), text
    if not name or re.search(r"[\s\x00-\x1f]", name) or name.startswith("-") or "://" in name:
        raise OcneError(
            f"{text!r} is not a reference to an image.", "Write it as in containers-transports(5), e.g. docker://host/name:tag."
        )
    return reference


def is_file_path(text: str) -> bool:
    """Whether a source is meant as a file of this host and not as a reference."""
    return text.startswith(("/", "./", "../", "~"))
