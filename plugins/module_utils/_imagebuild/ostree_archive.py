# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build program that makes an ostree archive container: the commit of an ostree container, served by nginx.

One pass: the layers of the ostree container go in, one layer with an archive-mode repository comes out, on top of the
base image's own layers.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import BuildError
from .layout import Image
from .ostree.archive_image import add_base_layers, add_image
from .ostree.deflate import DEFAULT_LEVEL, Deflate
from .ostree.encapsulated import check_encapsulated
from .ostree.image_files import read_files
from .ostree.layer_writer import LayerWriter
from .ostree.oci_archive import OciArchive
from .ostree.repository import check_ref
from .ostree.repository_layer import write_repository
from .ostree.web_server import find_web_server
from .progress import Progress, silent
from .streams import CHUNK

#: Changes whenever the same input and options are to give other bytes, so that archives made before count as out of date.
CONVERSION_VERSION = 2


@dataclass(frozen=True)
class Options:
    """What is asked for.

    :param compression_level: 1 to 9.
    :param document_root: where the base image's web server takes files from; '': what its configuration says.
    """

    ref: str = "ock"
    compression_level: int = DEFAULT_LEVEL
    document_root: str = ""


@dataclass(frozen=True)
class Built:
    """An archive that was made.

    :param digest: of the image's manifest.
    :param sha256: of the file, in hex.
    :param version: of the commit; '' where it has none.
    :param port: where the image's web server listens.
    :param unreferenced: how many objects of the source nothing in the commit names; they are left out.
    :param compressed_by: the libraries that compressed objects, with versions: others may give other bytes.
    """

    digest: str
    sha256: str
    size: int
    commit: str
    version: str
    port: int
    unreferenced: int
    compressed_by: str


def build(source: Image, base: Image, options: Options, output: Path, progress: Progress = silent) -> Built:
    """Make the archive.

    :param source: an encapsulated ostree commit.
    :param base: an image with nginx, for the same architecture.
    :param output: written anew, mode 0600; not yet on disk for good: publishing it is the caller's.
    :raises BuildError: with the output in an undefined state.
    """
    check_ref(options.ref)
    check_encapsulated(source)
    if base.architecture != source.architecture:
        raise BuildError(
            f"The base image {base.digest} is for {base.architecture}, the ostree container {source.digest} for {source.architecture}.",
            "Choose images of one architecture.",
        )
    try:
        server = find_web_server(base, read_files(base, progress), options.document_root)
        output.unlink(missing_ok=True)
        with os.fdopen(os.open(output, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b", buffering=CHUNK) as file:
            archive = OciArchive(file)
            add_base_layers(archive, base, progress)
            start = archive.begin_blob()
            layer = LayerWriter(file)
            deflate = Deflate(options.compression_level)
            commit, unreferenced = write_repository(layer, source, server, options.ref, deflate, output.parent, progress)
            archive.end_blob(start, layer.digest, layer.size)
            digest = add_image(archive, base, layer, server, options.ref, commit)
            file.flush()
            sha256, size = _sha256(file, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(f"No space is left for {output} ({error.strerror}).", "Free some space, or choose another folder.") from error
        raise
    return Built(digest, sha256, size, commit.checksum, commit.version, server.port, unreferenced, deflate.libraries)


def _sha256(file: BinaryIO, progress: Progress) -> tuple[str, int]:
    """Digest in hex and size of all that was written. It is read again as the sizes of blobs were filled in last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    digest, done = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        done += len(chunk)
        progress("computing the digest", done, size)
    return digest.hexdigest(), size
