# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A check of a qcow2 header (docs/interop/qcow2 of QEMU), before and without any tool opening the file."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_FEATURES = struct.Struct(">QQQII")
_CORRUPT, _EXTERNAL_DATA = 1 << 1, 1 << 2
_KNOWN_INCOMPATIBLE = 0b11111  # dirty, corrupt, external data file, compression type, extended L2 entries


class BadImage(Exception):
    """What is wrong with a disk image."""


@dataclass(frozen=True)
class Header:
    version: int
    virtual_size: int
    cluster_size: int


def read_header(path: Path, max_virtual_size: int) -> Header:
    """:raises BadImage: no qcow2, truncated, or not to be imported: backing file, external data, unknown features, too large."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(_HEADER.size + _FEATURES.size)
    if len(raw) < _HEADER.size or raw[:4] != b"QFI\xfb":
        raise BadImage("the disk image is not in qcow2 format")
    (
        _magic,
        version,
        backing,
        _backing_size,
        cluster_bits,
        virtual_size,
        encryption,
        l1_size,
        l1_offset,
        refcounts,
        refcount_clusters,
        _snapshots,
        _snapshots_offset,
    ) = _HEADER.unpack(raw[: _HEADER.size])
    if version not in (2, 3):
        raise BadImage(f"qcow2 version {version} is not supported")
    if version == 3:
        if len(raw) < _HEADER.size + _FEATURES.size:
            raise BadImage("the qcow2 header is truncated")
        incompatible = _FEATURES.unpack(raw[_HEADER.size :])[0]
        if incompatible & ~_KNOWN_INCOMPATIBLE:
            raise BadImage(f"unknown incompatible qcow2 features: {incompatible & ~_KNOWN_INCOMPATIBLE:#x}")
        if incompatible & _CORRUPT:
            raise BadImage("the qcow2 image is marked as corrupt")
        if incompatible & _EXTERNAL_DATA:
            raise BadImage("the qcow2 image has an external data file")
    if backing:
        raise BadImage("the qcow2 image has a backing file")
    if encryption:
        raise BadImage("the qcow2 image is encrypted")
    if not 9 <= cluster_bits <= 21:
        raise BadImage(f"qcow2 cluster_bits is {cluster_bits}")
    if not 0 < virtual_size <= max_virtual_size:
        raise BadImage(f"the virtual size of {virtual_size} bytes is not within 1 to {max_virtual_size}")
    cluster = 1 << cluster_bits
    for name, start, length in (("L1 table", l1_offset, l1_size * 8), ("refcount table", refcounts, refcount_clusters * cluster)):
        if start % cluster or start + length > size or not start:
            raise BadImage(f"the {name} at {start} does not lie within the file of {size} bytes: it is truncated or damaged")
    return Header(version, virtual_size, cluster)


def check_consistency(path: Path) -> None:
    """Let `qemu-img check` look at references and refcounts, where it is installed; the header must have been checked before.

    :raises BadImage: errors were found (leaked clusters are none).
    """
    tool = shutil.which("qemu-img")
    if tool is None:
        return
    done = subprocess.run([tool, "check", "-f", "qcow2", "--output=json", str(path)], capture_output=True, text=True, check=False)
    if done.returncode in (0, 3):
        return
    try:
        report = json.loads(done.stdout)
        found = ", ".join(f"{name}: {report[name]}" for name in ("corruptions", "check-errors") if report.get(name))
    except ValueError:
        found = done.stderr.strip()
    raise BadImage(f"the qcow2 image is damaged ({found})")
