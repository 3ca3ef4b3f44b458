# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build programs as one file that Python runs: a zip of the package _imagebuild, the same bytes for the same sources."""

from __future__ import annotations

import importlib.util
import io
import pkgutil
import zipfile
from collections.abc import Iterator

from .. import _imagebuild
from .._errors import OcneError

# Nothing else imports what runs in the pod, and Ansible ships only what is imported.
from .._imagebuild import pod as _pod
from .._imagebuild import transfer as _transfer

PACKAGE = "_imagebuild"
PROGRAM_MODULE, TRANSFER_MODULE = (f"{PACKAGE}.{module.__name__.rpartition('.')[2]}" for module in (_pod, _transfer))
_TIME = (1980, 1, 1, 0, 0, 0)


def program_zip() -> bytes:
    """The zip. The sources come from wherever this package was loaded: a checkout, or the payload that Ansible sent."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, source in sorted(_sources()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, source)
    return output.getvalue()


def _sources() -> Iterator[tuple[str, bytes]]:
    """Names in the zip, and sources."""
    root = _imagebuild.__name__
    names = [root, *(module.name for module in pkgutil.walk_packages(_imagebuild.__path__, f"{root}."))]
    for name in names:
        spec = importlib.util.find_spec(name)
        source = spec.loader.get_source(name) if spec and spec.loader and hasattr(spec.loader, "get_source") else None
        if spec is None or source is None:
            raise OcneError(f"The source of {name} cannot be read, so it cannot be sent to a pod.", "Install the collection anew.")
        path = f"{PACKAGE}{name[len(root) :].replace('.', '/')}"
        yield (f"{path}/__init__.py" if spec.submodule_search_locations is not None else f"{path}.py"), source.encode()
