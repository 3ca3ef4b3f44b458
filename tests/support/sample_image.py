# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images of boot disks, like Oracle's: an OCI layout with an index over one or more architectures.

    python -m tests.support.sample_image DEST [--arch amd64 --arch arm64] [--compression zstd] [--flaw no-entries] ...

DEST becomes an OCI layout folder whose image is called by the disk's version ('oci:DEST:1.33').
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tests.support.container_image import LAYERS, Json, Layer, Layout
from tests.support.sample_disk import SMALL, DiskSpec, add_disk_options, boot_disk, disk_spec


def write_layout(
    dest: Path,
    disk: DiskSpec = SMALL,
    *,
    architectures: Sequence[str] = ("amd64",),
    compression: str = "gzip",
    index: bool = True,
    more_layers: bool = False,
) -> str:
    """Make the folder dest an OCI layout that holds the disk for each architecture, tagged with its version.

    :param compression: of the layers: gzip, zstd or none.
    :param index: put the images under an index; without, there is one bare manifest.
    :param more_layers: a layer before and one after that of the disk, as 'FROM' and 'COPY' make them.
    :returns: the digest of what the tag names ('sha256:...').
    """
    layout = Layout(dest)
    manifests: list[Json] = []
    for architecture in architectures:
        layers: list[Layer] = [{"disk/boot.qcow2": boot_disk(dataclasses.replace(disk, architecture=architecture))}]
        if more_layers:
            layers = [{"etc/issue": b"a base image\n"}, *layers, {"disk/README": b"about the disk\n"}]
        manifests.append(layout.add_image(layers, architecture, compression))
    if not index and len(manifests) != 1:
        raise ValueError("several architectures need an index")
    top = layout.add_index(manifests) if index else manifests[0]
    layout.tag(disk.version, top)
    return str(top["digest"])


def main() -> None:
    parser = argparse.ArgumentParser(description="Make a container image of an OCK-like boot disk, as an OCI layout folder.")
    parser.add_argument("dest", type=Path)
    parser.add_argument("--arch", action="append", help="an architecture of the index; may be repeated (default: amd64)")
    parser.add_argument("--compression", choices=LAYERS, default="gzip", help="of the layers")
    parser.add_argument("--index", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--more-layers", action="store_true")
    add_disk_options(parser)
    options = parser.parse_args()
    digest = write_layout(
        options.dest,
        disk_spec(options),
        architectures=options.arch or ("amd64",),
        compression=options.compression,
        index=options.index,
        more_layers=options.more_layers,
    )
    print(digest)


if __name__ == "__main__":
    main()
