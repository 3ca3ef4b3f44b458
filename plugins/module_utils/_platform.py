# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and defaults of Oracle Cloud Native Environment that several modules share."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from ._errors import OcneError

DEFAULT_KUBERNETES_VERSION = "1.33"
REGISTRY = "container-registry.oracle.com/olcne"
IMAGES_FOLDER = "~/.ocne/images"
CACHE_FOLDER = "~/.ocne/cache"

#: Architectures as container images name them, by what else they are called.
ARCHITECTURES = {"amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64"}

_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?([-+_.][0-9A-Za-z.-]+)?")


def architecture(asked: str | None) -> str:
    """The architecture as container images name it; that of this host when none is asked for."""
    name = asked or platform.machine()
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise OcneError(f"OCK images exist for amd64 and arm64, this host is {name}.", "Set the option architecture.") from None


def kubernetes_version(version: str) -> str:
    """The version, when it can be the tag of an image."""
    if not _VERSION.fullmatch(version):
        raise OcneError(f"kubernetes_version is {version!r}.", "Give it as 1.33 or 1.33.1.")
    return version


def boot_image_name(version: str, architecture: str, provider: str) -> str:
    """What a boot image for the provider is called in IMAGES_FOLDER."""
    return f"boot.qcow2-{version}-{architecture}.{provider}"


def boot_image_path(given: str | None, version: str | None, asked: str | None) -> str:
    """The boot image for OCI: a given file, or the file of the usual name in a given folder, or in IMAGES_FOLDER."""
    path = Path(given or IMAGES_FOLDER).expanduser()
    if given and not path.is_dir():
        return str(path)
    return str(path / boot_image_name(kubernetes_version(version or DEFAULT_KUBERNETES_VERSION), architecture(asked), "oci"))


def ostree_archive_name(version: str, architecture: str) -> str:
    """What the ostree archive is called in IMAGES_FOLDER."""
    return f"ock-{version}-{architecture}-ostree.tar"
