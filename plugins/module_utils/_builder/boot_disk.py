# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk of a boot image as it is, for machines that boot from it unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from .. import _platform
from .._containers.access import access
from .._errors import OcneError
from .._imagebuild.boot_image import check_bootable, extract_disk, private_file
from .._imagebuild.disk.qcow2_extents import inspect_header
from .._imagebuild.errors import BuildError
from .._imagebuild.progress import Progress, silent
from .artefact import making
from .source import FileSource, Source, find, with_image

#: Longest wait for another run that takes the same disk out of its image.
_LOCK_TIMEOUT = 3600


class BootDisk:
    """A boot image by reference, or a qcow2 file, as ocne_boot_image takes them; looked for when it is asked for.

    :param params: the options source, kubernetes_version, and those to reach registries.
    """

    def __init__(self, params: Mapping[str, Any], progress: Progress = silent) -> None:
        self._params = params
        self._progress = progress
        self._source: Optional[Source] = None

    def digest(self, architecture: str) -> str:
        """What identifies the disk for machines of this architecture, 'sha256:…'; moves a few kilobytes.

        :raises OcneError: it is not there.
        """
        version = _platform.kubernetes_version(self._params["kubernetes_version"] or _platform.DEFAULT_KUBERNETES_VERSION)
        reference = self._params["source"] or f"{_platform.REGISTRY}/ock:{version}"
        self._source = find(reference, architecture, access(self._params))
        return self._source.digest

    @contextmanager
    def file(self) -> Iterator[Path]:
        """The verified qcow2 image of that digest, while the block lasts; fetched where it has to be.

        :raises OcneError: it cannot be fetched, or no machine can boot from it.
        """
        source = self._source
        if source is None:
            raise RuntimeError("digest() comes first")
        if isinstance(source, FileSource):
            yield self._checked(source.path)
            return
        cache = Path(self._params["cache_dir"]).expanduser()
        taken_out = cache / "disks" / f"{source.digest.partition(':')[2]}.qcow2"
        with making(taken_out, _LOCK_TIMEOUT, self._progress) as path:
            with_image(source, cache, lambda image: extract_disk(image, lambda: private_file(path), self._progress), self._progress)
            yield self._checked(path)

    def _checked(self, path: Path) -> Path:
        try:
            inspect_header(path)
            check_bootable(path)
        except BuildError as error:
            name = self._params["source"] or path
            raise OcneError(f"No machine can boot from {name}: {error.message}", error.hint or "Choose an OCK boot image.") from error
        return path
